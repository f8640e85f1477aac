import { access, constants } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Finding } from '../../activities/preflight/reachable.ts';
import { connectTemporal, temporalSettings, type TemporalSettings } from '../../client/connection.ts';
import { Holdpoint } from '../../client/holdpoint.ts';
import { keyDirectory } from '../../client/keys.ts';
import { RefusedError } from '../../client/remote-error.ts';
import { silenceOf } from '../../client/temporal/silence.ts';
import { ToldError } from '../../domain/errors.ts';
import { TargetError, type Target } from '../../domain/target.ts';
import { counted } from '../../domain/text.ts';
import { clustersOf } from '../../runbooks/configuration/clusters.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { parseTarget } from '../../runbooks/targets.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { configurationFile, readConfiguration } from '../runbook-files.ts';
import { silenceText } from '../silence-view.ts';
import type { Terminal } from '../terminal.ts';
import { allKeys, entriesOf, stateText } from './keys.ts';

/** A worker waits for work for a minute at a time. */
const pollFreshMs = 75_000;
/** Clusters of holdpoint.yaml that are looked at where none is named. */
const clustersMax = 5;

interface DoctorOptions extends CommonOptions {
  config?: string;
}

export const registerDoctor: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('doctor'))
    .description(
      'Looks at everything that a run needs, and tells what works, what does not and what to do: Temporal, its worker, the ' +
        'configuration, your keys and, of targets, AWS and what a drain may do in Kubernetes. It changes nothing. Targets are seen with ' +
        'the credentials of this shell: in the place of the worker it tells what the worker may do.',
    )
    .argument('[target...]', 'such as eks/eu-central-1/demo; without any, the clusters of holdpoint.yaml')
    .option('--config <file>', 'holdpoint.yaml (else HOLDPOINT_CONFIG, else the one in this folder)')
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint doctor\n  holdpoint doctor eks/eu-central-1/demo --json\n\n' +
        'Exit codes: 0 all of it works, 1 something does not, 2 bad input.',
    )
    .action(async (names: string[], options: DoctorOptions) => {
      const terminal = context.terminal(options);
      const targets = names.map(targetOf);
      const findings: Finding[] = [];
      const tell = (found: readonly Finding[]): void => {
        findings.push(...found);
        terminal.lines(found.flatMap((finding) => findingLines(finding, terminal)));
      };
      tell(await lookAtTemporal(terminal));
      const { configuration, findings: configured } = await lookAtConfiguration(terminal, options);
      tell(configured);
      tell([await lookAtKeys(terminal, configuration)]);
      tell(await lookAtTargets(targets, terminal, options, configuration));
      const bad = findings.filter(({ state }) => state === 'bad').length;
      terminal.result({ ok: bad === 0, findings });
      terminal.line();
      terminal.line(bad === 0 ? 'All of that works.' : `${counted(bad, 'part does', 'parts do')} not work.`);
      context.exit(bad === 0 ? exitCodes.done : exitCodes.error);
    });
};

function targetOf(text: string): Target {
  try {
    return parseTarget(text);
  } catch (error) {
    throw error instanceof TargetError ? new UsageError(error.message) : error;
  }
}

function findingLines({ what, state, says, todo }: Finding, { colors }: Terminal): string[] {
  const mark = { good: colors.green('✓'), bad: colors.red('✗'), unsure: colors.yellow('!') }[state];
  return [`${mark} ${colors.bold(what)}: ${says}`, ...(todo === undefined || todo === '' ? [] : [`    ${todo}`])];
}

function told(what: string, error: unknown): Finding {
  if (error instanceof ToldError) return { what, state: 'bad', says: error.message, todo: error.remedy };
  return { what, state: 'bad', says: error instanceof Error ? error.message : String(error) };
}

async function lookAtTemporal(terminal: Terminal): Promise<Finding[]> {
  let settings: TemporalSettings;
  try {
    settings = temporalSettings(terminal.surroundings.env);
  } catch (error) {
    return [told('Temporal', error)];
  }
  const { address, namespace } = settings;
  const begin = performance.now();
  try {
    const client = await connectTemporal(settings);
    const says = `answers at ${address}, namespace ${namespace} (${Math.round(performance.now() - begin)} ms)`;
    try {
      const holdpoint = new Holdpoint(client, settings);
      return [
        { what: 'Temporal', state: 'good', says },
        await lookAtAttributes(holdpoint),
        await lookAtWorker(holdpoint, () => silenceOf(client, settings), terminal),
      ];
    } finally {
      await client.connection.close();
    }
  } catch (error) {
    return [told('Temporal', error)];
  }
}

async function lookAtAttributes(holdpoint: Holdpoint): Promise<Finding> {
  const what = 'Search attributes';
  try {
    // The search names one of them.
    const runs = await holdpoint.list({ openOnly: true, phase: 'holding', most: 100 });
    return { what, state: 'good', says: `runs can be listed (${counted(runs.length, 'run')} at a hold now)` };
  } catch (error) {
    return { ...told(what, error), todo: '`holdpoint worker` adds them when it starts and may; docs/temporal.md has the command.' };
  }
}

/** A document that no worker can use: the answer shows that one is at work, and nothing comes of it. */
const probe = { file: 'holdpoint-doctor.yaml', text: '' };

async function lookAtWorker(holdpoint: Holdpoint, silence: () => ReturnType<typeof silenceOf>, terminal: Terminal): Promise<Finding> {
  const what = 'Worker';
  const todo = 'Start one with `holdpoint worker`, and see that HOLDPOINT_TASK_QUEUE is the same for both.';
  const begin = performance.now();
  try {
    await holdpoint.plan(probe, {});
  } catch (error) {
    if (error instanceof RefusedError) {
      const { queue } = await silence();
      return { what, state: 'good', says: `one answers on the task queue ${queue} (${Math.round(performance.now() - begin)} ms)` };
    }
    const { lastPollAt, ...others } = await silence();
    const now = terminal.surroundings.now();
    const isFresh = lastPollAt !== undefined && now.getTime() - Date.parse(lastPollAt) < pollFreshMs;
    const says = silenceText({ ...others, lastPollAt }, now);
    return { what, state: 'bad', says: isFresh ? `${says} It may be busy, or just gone.` : says, todo };
  }
  return { what, state: 'unsure', says: 'a worker has planned a document that is none: is it one of Holdpoint?' };
}

async function lookAtConfiguration(
  terminal: Terminal,
  { config }: DoctorOptions,
): Promise<{ configuration?: Configuration; findings: Finding[] }> {
  const what = 'Configuration';
  const file = configurationFile(terminal, config);
  try {
    const configuration = await readConfiguration(terminal, config);
    if (!configuration) {
      const says = `${file} is not here; workers have their own, and you need one to verify receipts and to see policies`;
      return { findings: [{ what, state: 'unsure', says, todo: 'Name it with --config or HOLDPOINT_CONFIG.' }] };
    }
    const { people, policies, clusters = {} } = configuration;
    const counts = [
      counted(Object.keys(people ?? {}).length, 'person', 'people'),
      counted(Object.keys(policies ?? {}).length, 'policy', 'policies'),
      counted(Object.keys(clusters).length, 'cluster'),
    ];
    const says = `${file} is sound: ${counts.join(', ')}`;
    return { configuration, findings: [{ what, state: 'good', says }, await lookAtEvidence(file, configuration)] };
  } catch (error) {
    return { findings: [told(what, error)] };
  }
}

async function lookAtEvidence(file: string, { evidence }: Configuration): Promise<Finding> {
  const what = 'Evidence';
  if (evidence && 's3' in evidence) {
    return { what, state: 'unsure', says: `records are in the bucket ${evidence.s3.bucket}, which only workers need to write` };
  }
  const directory = resolve(dirname(file), evidence?.directory ?? 'evidence');
  const can = async (mode: number): Promise<boolean> =>
    access(directory, mode).then(
      () => true,
      () => false,
    );
  if (await can(constants.R_OK)) return { what, state: 'good', says: `records are in ${directory}` };
  return { what, state: 'unsure', says: `${directory} cannot be read here; the worker makes it with its first record` };
}

async function lookAtKeys(terminal: Terminal, configuration: Configuration | undefined): Promise<Finding> {
  const what = 'Keys';
  const { env } = terminal.surroundings;
  const directory = keyDirectory(env);
  const { usable, problems } = await allKeys(directory, env);
  const [problem] = problems;
  if (problem) return { what, state: 'bad', says: problem.message, todo: problem.remedy };
  if (usable.length === 0) {
    const todo = 'Make one with `holdpoint keys create NAME`, or enrol your SSH key with `holdpoint keys enrol NAME`.';
    return { what, state: 'unsure', says: `there is none in ${directory}, and no SSH key: you can look, and sign nothing`, todo };
  }
  if (!configuration)
    return { what, state: 'unsure', says: `${counted(usable.length, 'key')} here; without holdpoint.yaml nobody knows whose` };
  const now = terminal.surroundings.now();
  const known = usable.flatMap(({ key }) => entriesOf(key, configuration.people ?? {}, now));
  const says = known.map((entry) => `${entry.person} (${stateText(entry)})`).join(', ');
  if (known.some(({ state }) => state === 'good')) return { what, state: 'good', says: `you can sign as ${says}` };
  const todo = 'Have the platform team add yours to `people` of holdpoint.yaml: `holdpoint keys list` prints it.';
  return { what, state: 'bad', says: known.length === 0 ? 'no key of yours is in holdpoint.yaml' : `none is good: ${says}`, todo };
}

async function lookAtTargets(
  named: readonly Target[],
  terminal: Terminal,
  { config }: DoctorOptions,
  configuration: Configuration | undefined,
): Promise<Finding[]> {
  const clusters = configuration ? clustersOf(configurationFile(terminal, config), configuration) : {};
  const others = Object.keys(clusters)
    .slice(0, clustersMax)
    .map((name) => parseTarget(`kubernetes/${name}`));
  const targets = named.length > 0 ? named : others;
  if (targets.length === 0) {
    return [{ what: 'Targets', state: 'unsure', says: 'none was looked at', todo: 'Name one: `holdpoint doctor eks/REGION/CLUSTER`.' }];
  }
  const { lookAtTarget } = await import('../../activities/preflight/reachable.ts');
  const findings: Finding[] = [];
  for (const target of targets) findings.push(...(await lookAtTarget(target, clusters)));
  return findings;
}

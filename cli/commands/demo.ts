import type { RunbookDocument } from '../../domain/runbook.ts';
import type { Forecast } from '../../domain/plan/forecast.ts';
import { connectTemporal, temporalSettings } from '../../client/connection.ts';
import { readEvidence, type EvidenceReport, type ReadRecord } from '../../client/evidence.ts';
import { Holdpoint, type LiveRun } from '../../client/holdpoint.ts';
import { readKey } from '../../client/keys.ts';
import { isObject, type JsonObject } from '../../domain/json.ts';
import { counted } from '../../domain/text.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { checkInputs } from '../../runbooks/compiler/inputs.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { freePort } from '../../lab/temporal.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { formatDuration } from '../format.ts';
import { forecastLines } from '../plan-view.ts';
import { holdLines } from '../run-view.ts';
import {
  startEnvironment,
  startSandboxCluster,
  type Environment,
  type ClusterStart,
  type EnvironmentCluster,
  type SandboxCluster,
  type SandboxWorld,
} from '../environment.ts';
import { etcdBackup } from '../demos/etcd-backup.ts';
import { auroraFailover } from '../demos/aurora-failover.ts';
import { authorityRotation, clusterUpgrade } from '../demos/cluster-upgrade.ts';
import { sightingOfPods, watchSandbox, type Act, type Demo, type Sighting } from '../demos/demo.ts';
import { startAuroraCluster } from '../aurora-cluster.ts';
import { startEtcdCluster } from '../etcd-cluster.ts';
import { labClusterName, startLabCluster, type LabCluster } from '../lab-cluster.ts';
import { readConfiguration } from '../runbook-files.ts';
import { pagesFolder, serveEnvironment, type Serving } from '../serving.ts';
import type { Terminal } from '../terminal.ts';
import { needsPeople, RunWatch } from '../watch.ts';
import { readSpeed } from './up.ts';

const speedDefault = 12;
/** Holds that a run of a demo may have. */
const holdsMax = 50;
/** Each hold is signed by somebody else. */
const signers = ['ada', 'grace'] as const;
const nodesMaintained = 2;

const rotationInSandbox: Demo<SandboxCluster> = {
  name: 'node-group-rotation',
  acts: [
    {
      runbook: 'node-group-rotation',
      inputs: () => ({ region: 'eu-central-1', cluster: 'demo', nodegroup: 'blue', newNodegroup: 'green' }),
    },
  ],
  watch: watchSandbox,
  counts: ({ spans }, isDone) => {
    const oldNodes = spans[0]?.plan.steps[0]?.plan.outputs.nodes;
    return { nodesReplaced: isDone && Array.isArray(oldNodes) ? oldNodes.length : 0 };
  },
};

const maintenanceOnLab: Demo<LabCluster> = {
  name: 'node-maintenance',
  acts: [
    {
      runbook: 'node-maintenance',
      inputs: ({ nodes }) => ({ target: `kubernetes/${labClusterName}`, nodes: nodes.slice(0, nodesMaintained) }),
    },
  ],
  watch: async (cluster) => {
    const end = await cluster.watch(cluster.nodes.slice(0, nodesMaintained));
    return async () => sightingOfPods(await end(), 'looks at the API server five times a second');
  },
  counts: (_forecast, isDone) => ({ nodesMaintained: isDone ? nodesMaintained : 0 }),
};

/** Those that are shown in a sandbox, each with its world and how fast that runs if nobody says otherwise. */
const inSandbox: readonly { demo: Demo<SandboxCluster>; world: SandboxWorld; speed: number }[] = [
  { demo: rotationInSandbox, world: 'demo', speed: 12 },
  { demo: clusterUpgrade, world: 'upgrade', speed: 120 },
  { demo: authorityRotation, world: 'upgrade', speed: 60 },
];

interface DemoOptions extends CommonOptions {
  yes?: boolean;
  speed?: string;
  on: string;
}

const namesInSandbox = inSandbox.map(({ demo }) => demo.name).join(', ');

export const registerDemo: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('demo'))
    .argument(
      '[runbook]',
      `${namesInSandbox}, ${auroraFailover.name}, ${etcdBackup.name}, or node-maintenance on the lab`,
      rotationInSandbox.name,
    )
    .option('--on <cluster>', 'sandbox, or lab: a real Kubernetes control plane with played nodes', 'sandbox')
    .option('--yes', "sign as the demo's people without asking")
    .option('--speed <factor>', 'how much faster than real time the sandbox runs (12, or 60 and more for what takes EKS hours)')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  holdpoint demo --yes',
        '  holdpoint demo cluster-upgrade --yes',
        '  holdpoint demo aurora-failover --yes',
        '  holdpoint demo etcd-backup --yes',
        '  holdpoint demo node-maintenance --on lab --yes',
        '',
        'Everything runs on this machine and is stopped at the end; the evidence stays. Without a terminal it signs as the demo’s',
        'own people, as with --yes, and says so.',
        '',
        'Exit codes: 0 shown and verified, 1 error or a budget was broken, 2 bad input, 4 stuck, 5 rejected by you.',
      ].join('\n'),
    )
    .action(async (runbook: string, options: DemoOptions) => {
      const terminal = context.terminal(options);
      const sandboxed = options.on === 'sandbox' ? inSandbox.find(({ demo }) => demo.name === runbook) : undefined;
      const speed = readSpeed(options.speed ?? String(sandboxed?.speed ?? speedDefault));
      if (runbook === maintenanceOnLab.name && options.on === 'lab') {
        context.exit(await show(maintenanceOnLab, startLabCluster, options, terminal));
      } else if (runbook === auroraFailover.name && options.on === 'sandbox') {
        context.exit(await show(auroraFailover, (start) => startAuroraCluster(speed, start), options, terminal));
      } else if (runbook === etcdBackup.name) {
        context.exit(await show(etcdBackup, startEtcdCluster, options, terminal));
      } else if (sandboxed) {
        context.exit(
          await show(sandboxed.demo, (start) => startSandboxCluster(speed, start, { world: sandboxed.world }), options, terminal),
        );
      } else {
        throw new UsageError(
          `There is no demo of ${runbook} on ${options.on}.`,
          `\`holdpoint demo\` shows ${namesInSandbox} in a sandbox, ${auroraFailover.name} on a real PostgreSQL, ` +
            `${etcdBackup.name} on a real etcd, and ` +
            `\`holdpoint demo ${maintenanceOnLab.name} --on lab\` the other one.`,
        );
      }
    });
};

async function show<Cluster extends EnvironmentCluster>(
  demo: Demo<Cluster>,
  startCluster: (start: ClusterStart) => Promise<Cluster>,
  options: DemoOptions,
  terminal: Terminal,
): Promise<number> {
  const { signal } = terminal.surroundings;
  const pagesUrl = `http://localhost:${await freePort()}`;
  const environment = await startEnvironment({ startCluster, report: (sentence) => terminal.note(sentence), signal, pagesUrl });
  let serving: Serving | undefined;
  try {
    // Where the pages were not built there is nothing to open.
    if (pagesFolder() !== undefined) serving = await serveEnvironment(terminal, environment);
    const link = serving?.links.ada;
    if (link !== undefined) terminal.note(`Watch it, and sign, in a browser: ${link}`);
    const code = await Promise.race([playDemo(demo, environment, options, terminal), environment.broken]);
    if (typeof code === 'string') throw new Error(code);
    return code;
  } finally {
    await serving?.stop();
    await environment.stop();
  }
}

async function playDemo<Cluster extends EnvironmentCluster>(
  demo: Demo<Cluster>,
  environment: Environment<Cluster>,
  options: DemoOptions,
  terminal: Terminal,
): Promise<number> {
  const settings = temporalSettings({ ...process.env, ...environment.env });
  const client = await connectTemporal(settings);
  try {
    const holdpoint = new Holdpoint(client, settings);
    const look = await demo.watch(environment.cluster);
    let code: number = exitCodes.error;
    for (const act of demo.acts) {
      const begin = performance.now();
      if (act.prelude) terminal.lines(['', act.prelude.says]);
      await act.prelude?.cause?.(environment.cluster);
      const planned = await plan(act.runbook, act.inputs(environment.cluster), holdpoint, terminal);
      if (act.refusal) {
        requireRefusal(planned.forecast, act.refusal);
        terminal.lines(['', `${terminal.colors.green('✓')} The plan says what is wrong, and nothing is started.`]);
        continue;
      }
      const live = await carryOut(holdpoint, planned, { act, environment, options }, terminal);
      const tookMs = performance.now() - begin;
      const end = act.regression ? 'undone' : 'done';
      const counts = demo.counts(planned.forecast, live.state.phase === 'done');
      const configuration = environment.env.HOLDPOINT_CONFIG ?? '';
      const measured = demo.measured?.bind(demo);
      code = await conclude(live, { seen: await look(), counts, tookMs, configuration, end, measured }, terminal);
      if (code !== exitCodes.done) break;
    }
    return code;
  } finally {
    await client.connection.close();
  }
}

/** Throws an Error where nothing in the plan stands in the way that reads so. */
function requireRefusal({ spans }: Forecast, refusal: RegExp): void {
  const reasons = spans.flatMap(({ plan: { steps } }) => steps.flatMap(({ plan: { blockers } }) => blockers.map(({ reason }) => reason)));
  if (!reasons.some((reason) => refusal.test(reason))) throw new Error(`the plan should have been refused: ${reasons.join(' ')}`);
}

interface Planned {
  document: RunbookDocument;
  forecast: Forecast;
}

async function plan(name: string, inputs: JsonObject, holdpoint: Holdpoint, terminal: Terminal): Promise<Planned> {
  const document = readRunbook(name);
  const { runbook } = compileRunbook(document.text, document.file, undefined, document.runbooks);
  if (!runbook) throw new Error(`the runbook ${document.file} does not compile`);
  const forecast = await holdpoint.plan(document, checkInputs(runbook, inputs).inputs);
  terminal.line();
  terminal.lines(forecastLines(forecast, terminal));
  return { document, forecast };
}

async function carryOut<Cluster extends EnvironmentCluster>(
  holdpoint: Holdpoint,
  { document, forecast }: Planned,
  { act, environment, options }: { act: Act<Cluster>; environment: Environment<Cluster>; options: DemoOptions },
  terminal: Terminal,
): Promise<LiveRun> {
  const keys = environment.env.HOLDPOINT_KEYS ?? '';
  terminal.line();
  terminal.line('dana starts the run and signs the first part.');
  terminal.line();
  const { run, admission } = await holdpoint.start(document, forecast, await readKey('dana', keys));
  if (!admission.admitted) throw new Error(`the run was refused: ${admission.reason}`);
  const watch = new RunWatch(holdpoint, terminal);
  let left = act.regression;
  for (let signed = 0; signed < holdsMax;) {
    const live = await watch.watch(run, (seen) => needsPeople(seen) || (left !== undefined && isUnderWay(seen, left.step)));
    if (left && isUnderWay(live, left.step)) {
      terminal.lines(['', left.says, '']);
      await left.cause(environment.cluster);
      left = undefined;
    } else if (live.state.phase === 'stuck' && act.regression) {
      await askToUndo(holdpoint, live, await readKey('dana', keys), terminal);
      await watch.watch(run, ({ state }) => state.phase !== 'stuck');
    } else if (live.state.phase === 'holding' && live.state.hold) {
      await decide(holdpoint, live, await readKey(signers[signed % signers.length] ?? 'ada', keys), options, terminal);
      signed += 1;
    } else return live;
  }
  return watch.watch(run, needsPeople);
}

function isUnderWay({ state }: LiveRun, step: string): boolean {
  return state.steps.some(({ id, status }) => id === step && status === 'running');
}

async function askToUndo(
  holdpoint: Holdpoint,
  { state }: LiveRun,
  key: Awaited<ReturnType<typeof readKey>>,
  terminal: Terminal,
): Promise<void> {
  terminal.lines(['', `dana asks to have the run undone: ${state.stuck?.reason ?? ''}`, '']);
  await holdpoint.operate(state.run, 'undo', 'it is worse than before', key);
}

/** Asks on a terminal; elsewhere, and with --yes, signs as the demo's people and says so. */
async function decide(
  holdpoint: Holdpoint,
  live: LiveRun,
  key: Awaited<ReturnType<typeof readKey>>,
  options: DemoOptions,
  terminal: Terminal,
): Promise<void> {
  const held = live.state.hold;
  if (!held) return;
  terminal.line();
  terminal.lines(holdLines(live.state, held, terminal, { plan: true }));
  terminal.line();
  const asks = terminal.interactive && !options.yes;
  const approved = asks ? await terminal.confirm(`Sign this plan as ${key.person}? (No rejects it and ends the run.)`) : true;
  if (!asks) terminal.line(`Signing as ${key.person}, one of the demo's people, with their own key.`);
  const decision = approved ? 'approve' : 'reject';
  await holdpoint.decide(live.state, held.request, decision, approved ? 'looks right' : 'not now', key);
  terminal.line();
}

interface Conclusion {
  seen: Sighting;
  counts: JsonObject;
  tookMs: number;
  configuration: string;
  /** How the run has to end. */
  end: 'done' | 'undone';
  measured: Demo<EnvironmentCluster>['measured'];
}

async function conclude(
  { state }: LiveRun,
  { seen, counts, tookMs, configuration, end, measured }: Conclusion,
  terminal: Terminal,
): Promise<number> {
  const { report: verified, entries } = await readAs(configuration, state.evidence, terminal);
  const { sentence, violations, leftovers } = seen;
  const ok = state.phase === end && violations.length === 0 && leftovers.length === 0 && verified.ok && isSigned(verified);
  const { colors } = terminal;
  terminal.lines([
    '',
    `${ok ? colors.green('✓') : colors.red('✗')} ${state.phase} in ${formatDuration(tookMs)}: ${sentence}.`,
    ...[...violations, ...leftovers, ...verified.problems.map(({ sentence }) => sentence)].map((each) => `  ${colors.red('✗')} ${each}`),
    `  evidence ${state.evidence} (${evidenceInWords(verified)})`,
    `  verify it with: npm run --silent holdpoint -- evidence verify ${state.evidence} --config ${configuration}`,
  ]);
  terminal.result({
    status: state.phase,
    seconds: Math.round(tookMs / 100) / 10,
    ...counts,
    ...seen.counts,
    ...measured?.(outputsIn(entries)),
    evidence: state.evidence,
    evidenceVerified: verified.ok && isSigned(verified),
  });
  return ok ? exitCodes.done : exitCodeOf(state.phase) || exitCodes.error;
}

/** Reads and verifies a record as the command does that is printed for it. */
async function readAs(file: string, record: string, terminal: Terminal): Promise<ReadRecord> {
  const configuration = await readConfiguration(terminal, file);
  return readEvidence(record, configuration?.people, { authority: configuration });
}

function outputsIn(entries: ReadRecord['entries']): JsonObject[] {
  const done = entries.filter(({ entry }) => entry.kind === 'step.done');
  return done.flatMap(({ entry: { body } }) => (isObject(body.outputs) ? [body.outputs] : []));
}

/** Whether the worker of the demo has signed every entry. */
function isSigned({ entries, workers }: EvidenceReport): boolean {
  return entries > 0 && workers.known === entries;
}

function evidenceInWords(report: EvidenceReport): string {
  const { entries, workers, signatures } = report;
  const signed = isSigned(report) ? 'each signed by the worker' : `${workers.known} of them signed by the worker`;
  return `${counted(entries, 'entry', 'entries')}, ${signed}; ${counted(signatures.length, 'signature')} of people`;
}

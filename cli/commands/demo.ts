import type { RunbookDocument } from '../../domain/runbook.ts';
import type { Forecast } from '../../domain/plan/forecast.ts';
import { connectTemporal, temporalSettings } from '../../client/connection.ts';
import { verifyEvidence, type EvidenceReport } from '../../client/evidence.ts';
import { Holdpoint, type LiveRun } from '../../client/holdpoint.ts';
import { readKey } from '../../client/keys.ts';
import type { JsonObject } from '../../domain/json.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { checkInputs } from '../../runbooks/compiler/inputs.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { counted, formatDuration } from '../format.ts';
import { forecastLines } from '../plan-view.ts';
import { holdLines } from '../run-view.ts';
import {
  startEnvironment,
  startSandboxCluster,
  type Environment,
  type ClusterStart,
  type EnvironmentCluster,
  type SandboxCluster,
} from '../environment.ts';
import { labClusterName, startLabCluster, type LabCluster } from '../lab-cluster.ts';
import { readConfiguration } from '../runbook-files.ts';
import type { Terminal } from '../terminal.ts';
import { needsPeople, RunWatch } from '../watch.ts';
import { readSpeed } from './up.ts';

const speedDefault = 12;
/** Each hold is signed by somebody else. */
const signers = ['ada', 'grace'] as const;
const nodesMaintained = 2;

/** What was seen of the cluster from outside, while the run worked on it. */
interface Sighting {
  podsMoved: number;
  violations: string[];
  leftovers: string[];
  seenBy: string;
}

/** What a demo shows, on which cluster. */
interface Demo<Cluster extends EnvironmentCluster> {
  runbook: string;
  inputs(cluster: Cluster): JsonObject;
  /** Called before the run begins; gives what is called when it is over. */
  watch(cluster: Cluster): Promise<() => Promise<Sighting>>;
  /** What `--json` says besides. */
  counts(forecast: Forecast, isDone: boolean): JsonObject;
}

const rotationInSandbox: Demo<SandboxCluster> = {
  runbook: 'node-group-rotation',
  inputs: () => ({ region: 'eu-central-1', cluster: 'demo', nodegroup: 'blue', newNodegroup: 'green' }),
  watch: async ({ url }) => {
    return async () => {
      const { violations, counters } = (await (await fetch(`${url}/sandbox/observer`)).json()) as Observer;
      const seenBy = "the sandbox's observer";
      return { podsMoved: counters.podsMoved, violations: violations.map(({ sentence }) => sentence), leftovers: [], seenBy };
    };
  },
  counts: ({ spans }, isDone) => {
    const oldNodes = spans[0]?.plan.steps[0]?.plan.outputs.nodes;
    return { nodesReplaced: isDone && Array.isArray(oldNodes) ? oldNodes.length : 0 };
  },
};

const maintenanceOnLab: Demo<LabCluster> = {
  runbook: 'node-maintenance',
  inputs: ({ nodes }) => ({ target: `kubernetes/${labClusterName}`, nodes: nodes.slice(0, nodesMaintained) }),
  watch: async (cluster) => {
    const end = await cluster.watch(cluster.nodes.slice(0, nodesMaintained));
    return async () => ({ ...(await end()), seenBy: 'looks at the API server five times a second' });
  },
  counts: (_forecast, isDone) => ({ nodesMaintained: isDone ? nodesMaintained : 0 }),
};

interface Observer {
  violations: { sentence: string }[];
  counters: { podsMoved: number };
}

interface DemoOptions extends CommonOptions {
  yes?: boolean;
  speed: string;
  on: string;
}

export const registerDemo: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('demo'))
    .argument('[runbook]', 'node-group-rotation, or node-maintenance on the lab', rotationInSandbox.runbook)
    .option('--on <cluster>', 'sandbox, or lab: a real Kubernetes control plane with played nodes', 'sandbox')
    .option('--yes', "sign as the demo's people without asking")
    .option('--speed <factor>', 'how much faster than real time the sandbox runs', String(speedDefault))
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  holdpoint demo --yes',
        '  holdpoint demo node-maintenance --on lab --yes',
        '',
        'Everything runs on this machine and is stopped at the end; the evidence stays.',
      ].join('\n'),
    )
    .action(async (runbook: string, options: DemoOptions) => {
      const terminal = context.terminal(options);
      const speed = readSpeed(options.speed);
      const wanted = `${runbook} on ${options.on}`;
      if (wanted === `${maintenanceOnLab.runbook} on lab`) {
        context.exit(await show(maintenanceOnLab, startLabCluster, options, terminal));
      } else if (wanted === `${rotationInSandbox.runbook} on sandbox`) {
        context.exit(await show(rotationInSandbox, (start) => startSandboxCluster(speed, start), options, terminal));
      } else {
        throw new UsageError(
          `There is no demo of ${runbook} on ${options.on}.`,
          `\`holdpoint demo\` shows ${rotationInSandbox.runbook} in a sandbox, ` +
            `\`holdpoint demo ${maintenanceOnLab.runbook} --on lab\` the other one.`,
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
  const environment = await startEnvironment({ startCluster, report: (sentence) => terminal.note(sentence), signal });
  try {
    const code = await Promise.race([playDemo(demo, environment, options, terminal), environment.broken]);
    if (typeof code === 'string') throw new Error(code);
    return code;
  } finally {
    await environment.stop();
  }
}

async function playDemo<Cluster extends EnvironmentCluster>(
  demo: Demo<Cluster>,
  environment: Environment<Cluster>,
  options: DemoOptions,
  terminal: Terminal,
): Promise<number> {
  const begin = performance.now();
  const settings = temporalSettings({ ...process.env, ...environment.env });
  const client = await connectTemporal(settings);
  try {
    const holdpoint = new Holdpoint(client, settings);
    const planned = await plan(demo.runbook, demo.inputs(environment.cluster), holdpoint, terminal);
    const endWatch = await demo.watch(environment.cluster);
    const live = await carryOut(holdpoint, planned, environment.env.HOLDPOINT_KEYS ?? '', options, terminal);
    const tookMs = performance.now() - begin;
    const seen = await endWatch();
    const counts = demo.counts(planned.forecast, live.state.phase === 'done');
    return await conclude(live, { seen, counts, tookMs, configuration: environment.env.HOLDPOINT_CONFIG ?? '' }, terminal);
  } finally {
    await client.connection.close();
  }
}

interface Planned {
  document: RunbookDocument;
  forecast: Forecast;
}

async function plan(name: string, inputs: JsonObject, holdpoint: Holdpoint, terminal: Terminal): Promise<Planned> {
  const document = readRunbook(name);
  const { runbook } = compileRunbook(document.text, document.file);
  if (!runbook) throw new Error(`the runbook ${document.file} does not compile`);
  const forecast = await holdpoint.plan(document, checkInputs(runbook, inputs).inputs);
  terminal.line();
  terminal.lines(forecastLines(forecast, terminal));
  return { document, forecast };
}

async function carryOut(
  holdpoint: Holdpoint,
  { document, forecast }: Planned,
  keys: string,
  options: DemoOptions,
  terminal: Terminal,
): Promise<LiveRun> {
  terminal.line();
  terminal.line('dana starts the run and signs the first part.');
  terminal.line();
  const { run, admission } = await holdpoint.start(document, forecast, await readKey('dana', keys));
  if (!admission.admitted) throw new Error(`the run was refused: ${admission.reason}`);
  const watch = new RunWatch(holdpoint, terminal);
  for (const signer of signers) {
    const live = await watch.watch(run, needsPeople);
    if (live.state.phase !== 'holding' || !live.state.hold) return live;
    await decide(holdpoint, live, await readKey(signer, keys), options, terminal);
  }
  return watch.watch(run, needsPeople);
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

async function conclude(
  { state }: LiveRun,
  { seen, counts, tookMs, configuration }: { seen: Sighting; counts: JsonObject; tookMs: number; configuration: string },
  terminal: Terminal,
): Promise<number> {
  const verified = await verifyAs(configuration, state.evidence, terminal);
  const { podsMoved, violations, leftovers, seenBy } = seen;
  const ok = state.phase === 'done' && violations.length === 0 && leftovers.length === 0 && verified.ok && isSigned(verified);
  const { colors } = terminal;
  terminal.lines([
    '',
    `${ok ? colors.green('✓') : colors.red('✗')} ${state.phase} in ${formatDuration(tookMs)}: ${podsMoved} pods moved, ` +
      `${violations.length} budget violations seen by ${seenBy}.`,
    ...[...violations, ...leftovers, ...verified.problems.map(({ sentence }) => sentence)].map((each) => `  ${colors.red('✗')} ${each}`),
    `  evidence ${state.evidence} (${evidenceInWords(verified)})`,
    `  verify it with: npm run --silent holdpoint -- evidence verify ${state.evidence} --config ${configuration}`,
  ]);
  terminal.result({
    status: state.phase,
    seconds: Math.round(tookMs / 100) / 10,
    ...counts,
    podsMoved,
    budgetViolations: violations.length,
    evidence: state.evidence,
    evidenceVerified: verified.ok && isSigned(verified),
  });
  return ok ? exitCodes.done : exitCodeOf(state.phase) || exitCodes.error;
}

/** Verifies a record as the command does that is printed for it. */
async function verifyAs(file: string, record: string, terminal: Terminal): Promise<EvidenceReport> {
  const configuration = await readConfiguration(terminal, file);
  return verifyEvidence(record, configuration?.people, { authority: configuration });
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

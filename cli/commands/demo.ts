import type { RunbookDocument } from '../../domain/runbook.ts';
import type { Forecast } from '../../domain/plan/forecast.ts';
import { connectTemporal, temporalSettings } from '../../client/connection.ts';
import { verifyEvidence } from '../../client/evidence.ts';
import { Holdpoint, type LiveRun } from '../../client/holdpoint.ts';
import { readKey } from '../../client/keys.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { checkInputs } from '../../runbooks/compiler/inputs.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { formatDuration } from '../format.ts';
import { forecastLines, planLines } from '../plan-view.ts';
import { holdLines } from '../run-view.ts';
import { startEnvironment, type Environment } from '../environment.ts';
import type { Terminal } from '../terminal.ts';
import { needsPeople, RunWatch } from '../watch.ts';
import { readSpeed } from './up.ts';

const speedDefault = 12;
const demoInputs = { region: 'eu-central-1', cluster: 'demo', nodegroup: 'blue', newNodegroup: 'green' };
/** Each hold is signed by somebody else. */
const signers = ['ada', 'grace'] as const;

interface DemoOptions extends CommonOptions {
  yes?: boolean;
  speed: string;
}

export const registerDemo: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('demo'))
    .summary('watch a node group of a sandboxed EKS cluster being rotated, with two signatures on the way')
    .option('--yes', "sign as the demo's people without asking")
    .option('--speed <factor>', 'how much faster than real time the sandbox runs', String(speedDefault))
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint demo --yes\n\nEverything runs on this machine and is stopped at the end; the evidence stays.',
    )
    .action(async (options: DemoOptions) => {
      const terminal = context.terminal(options);
      const { signal } = terminal.surroundings;
      const environment = await startEnvironment({
        speed: readSpeed(options.speed),
        report: (sentence) => terminal.note(sentence),
        signal,
      });
      try {
        const play = playDemo(environment, options, terminal);
        const code = await Promise.race([play, environment.broken]);
        if (typeof code === 'string') throw new Error(code);
        context.exit(code);
      } finally {
        await environment.stop();
      }
    });
};

async function playDemo(environment: Environment, options: DemoOptions, terminal: Terminal): Promise<number> {
  const begin = performance.now();
  const settings = temporalSettings({ ...process.env, ...environment.env });
  const client = await connectTemporal(settings);
  try {
    const holdpoint = new Holdpoint(client, settings);
    const forecast = await planRotation(holdpoint, terminal);
    const live = await rotate(holdpoint, forecast, environment, options, terminal);
    return await conclude(environment, forecast, live, performance.now() - begin, terminal);
  } finally {
    await client.connection.close();
  }
}

interface Rotation {
  document: RunbookDocument;
  forecast: Forecast;
}

async function planRotation(holdpoint: Holdpoint, terminal: Terminal): Promise<Rotation> {
  const document = readRunbook('node-group-rotation');
  const { runbook } = compileRunbook(document.text, document.file);
  if (!runbook) throw new Error(`the runbook ${document.file} does not compile`);
  const forecast = await holdpoint.plan(document, checkInputs(runbook, demoInputs).inputs);
  terminal.line();
  terminal.lines(forecastLines(forecast, terminal));
  return { document, forecast };
}

async function rotate(
  holdpoint: Holdpoint,
  { document, forecast }: Rotation,
  environment: Environment,
  options: DemoOptions,
  terminal: Terminal,
): Promise<LiveRun> {
  const keys = environment.env.HOLDPOINT_KEYS ?? '';
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
  terminal.lines(terminal.interactive ? planLines(held.plan, terminal) : holdLines(live.state, held, terminal, { plan: true }));
  terminal.line();
  const asks = terminal.interactive && !options.yes;
  const approved = asks ? await terminal.confirm(`Sign this plan as ${key.person}? (No rejects it and ends the run.)`) : true;
  if (!asks) terminal.line(`Signing as ${key.person}, one of the demo's people, with their own key.`);
  const decision = approved ? 'approve' : 'reject';
  const { hold, number, planHash } = held.request;
  await holdpoint.decide(live.state.target, { hold, number, planHash }, decision, approved ? 'looks right' : 'not now', key);
  terminal.line();
}

interface Observer {
  violations: { sentence: string }[];
  counters: { podsMoved: number };
}

async function conclude(
  environment: Environment,
  { forecast }: Rotation,
  { state }: LiveRun,
  tookMs: number,
  terminal: Terminal,
): Promise<number> {
  const observer = (await (await fetch(`${environment.sandboxUrl}/sandbox/observer`)).json()) as Observer;
  const verified = await verifyEvidence(state.evidence);
  const oldNodes = forecast.spans[0]?.plan.steps[0]?.plan.outputs.nodes;
  const violations = observer.violations.length;
  const ok = state.phase === 'done' && violations === 0 && verified.ok;
  const { colors } = terminal;
  terminal.lines([
    '',
    `${ok ? colors.green('✓') : colors.red('✗')} ${state.phase} in ${formatDuration(tookMs)}: ${observer.counters.podsMoved} pods moved, ` +
      `${violations} budget violations seen by the sandbox's observer.`,
    ...observer.violations.map(({ sentence }) => `  ${colors.red('✗')} ${sentence}`),
    `  evidence ${state.evidence} (${verified.entries} entries, ${verified.signatures.length} signatures)`,
    `  verify it with: npm run --silent holdpoint -- evidence verify ${state.evidence} --config ${environment.env.HOLDPOINT_CONFIG ?? ''}`,
  ]);
  terminal.result({
    status: state.phase,
    seconds: Math.round(tookMs / 100) / 10,
    nodesReplaced: state.phase === 'done' && Array.isArray(oldNodes) ? oldNodes.length : 0,
    podsMoved: observer.counters.podsMoved,
    budgetViolations: violations,
    evidence: state.evidence,
  });
  return ok ? exitCodes.done : exitCodeOf(state.phase) || exitCodes.error;
}

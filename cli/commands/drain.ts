import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { DrainByHand, DrainEnd } from '../../activities/kubernetes/drain/by-hand.ts';
import type { Progress } from '../../domain/action.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { counted } from '../../domain/text.ts';
import { actionInputSchema } from '../../runbooks/actions/input-schema.ts';
import { addActionOptions } from '../action-options.ts';
import { withCommonOptions, type CommandContext, type CommonOptions, type RegisterCommand } from '../command.ts';
import { byHand } from '../by-hand.ts';
import { asOptions, drainEndLines, drainPreviewLines } from '../drain-view.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatClock } from '../format.ts';
import { nodeChoice, withNodeOptions, type NodeOptions } from '../node-choice.ts';
import { progressLines } from '../progress-view.ts';
import { screenOf, type Screen } from '../screen.ts';
import type { Terminal } from '../terminal.ts';

interface DrainOptions extends CommonOptions, NodeOptions {
  /** Of the program, as it is typed. */
  name: string;
  plan?: boolean;
  dryRun?: string | boolean;
  yes?: boolean;
  uncordon?: boolean;
  record?: string;
  disableEviction?: boolean;
  podSelector?: string;
  skipWaitForDeleteTimeout?: string;
}

/** In a pipe a line is written no more often than that, and at the end. */
const linePauseMs = 1_000;
const drainExitCodes = { done: exitCodes.done, stuck: exitCodes.stuck, interrupted: exitCodes.ended, failed: exitCodes.error } as const;

export const registerDrain: RegisterCommand = (program, context) => {
  const command = withNodeOptions(withCommonOptions(program.command('drain')))
    .description(
      'Cordons nodes and evicts their pods within every PodDisruptionBudget, on any cluster, with your own kubeconfig and rights; needs ' +
        'neither Temporal nor a worker. Shows its plan first and asks. Options of `kubectl drain` that mean the same have the same names.',
    )
    .option('-y, --yes', 'begin without asking')
    .option('--plan', 'only show the plan: what happens, in what order, how long it takes, what blocks it and what to do')
    .option('--dry-run [mode]', 'the same, as kubectl calls it')
    .option('--uncordon', 'uncordon the nodes again once they are drained')
    .option('--record <file>', 'a new file for the record (default: one in ~/.local/state/holdpoint)');
  const readSettings = addDrainSettings(command);
  const name = program.name();
  command
    .addHelpText(
      'after',
      `\nExamples:\n  ${name} drain ip-10-0-0-4.eu-central-1.compute.internal\n` +
        `  ${name} drain node-a node-b node-c --plan --nodes-at-once 2 --context staging\n` +
        `  ${name} drain --nodegroup blue --yes --delete-emptydir-data --json\n` +
        '\nCtrl-C stops it: requests under way are answered, nothing new begins, and pods that are ending go on doing so. ' +
        'Run it again to go on.\n' +
        `Nodes stay cordoned unless --uncordon is given; \`${name} uncordon\` puts them back.\n` +
        '\nExit codes: 0 drained (or nothing blocks the plan), 1 blocked or failed, 2 bad arguments, 4 stuck, 5 stopped by you.',
    )
    .action((names: string[], options: DrainOptions) => drain(names, { ...options, name }, readSettings(options), context));
};

/** The plan by itself, as the kubectl plugin has it. */
export const registerDrainPlan: RegisterCommand = (program, context) => {
  const command = withNodeOptions(withCommonOptions(program.command('plan'))).description(
    'Shows what draining nodes would do: what happens, in what order, how long it takes, what blocks it and what to do. Reads only.',
  );
  const readSettings = addDrainSettings(command);
  const name = program.name();
  command
    .addHelpText(
      'after',
      `\nExample:\n  ${name} plan node-a node-b --nodes-at-once 2\n\n` +
        'Exit codes: 0 nothing blocks it, 1 it is blocked or could not be planned, 2 bad arguments.',
    )
    .action((names: string[], options: DrainOptions) => drain(names, { ...options, name, plan: true }, readSettings(options), context));
};

/** Options for all that a drain takes; what scripts give to `kubectl drain` is taken, too. Returns how the settings are read from them. */
function addDrainSettings(command: Command): (options: object) => JsonObject {
  const read = addActionOptions(command, actionInputSchema('kubernetes.drain'), { leftOut: ['nodes', 'alsoCordoned'] });
  command
    .option('--ignore-daemonsets', 'taken for the sake of scripts: pods of DaemonSets stay in any case')
    .option('--disable-eviction', 'refused: pods are not deleted past their budgets')
    .option('--pod-selector <selector>', 'refused: whole nodes are emptied')
    .option('--skip-wait-for-delete-timeout <seconds>', 'refused: a node is drained when its pods are gone')
    .option('--chunk-size <number>', 'taken for the sake of scripts: lists are read in pages in any case');
  return (options) => settingsOf(read(options));
}

/** `--grace-period -1` and `--timeout 0` stand for no such setting, as with kubectl. */
function settingsOf({ gracePeriodSeconds, nodeDeadline, ...settings }: JsonObject): JsonObject {
  const isGraceGiven = gracePeriodSeconds !== undefined && gracePeriodSeconds !== -1;
  const isTimeoutGiven = nodeDeadline !== undefined && nodeDeadline !== 0 && nodeDeadline !== '0' && nodeDeadline !== '0s';
  return { ...settings, ...(isGraceGiven && { gracePeriodSeconds }), ...(isTimeoutGiven && { nodeDeadline: inOneUnit(nodeDeadline) }) };
}

/** kubectl takes `1m30s`, too. */
function inOneUnit(duration: Json): Json {
  const [, hours = 0, minutes = 0, seconds = 0] =
    (typeof duration === 'string' && /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(duration)) || [];
  const total = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  return total > 0 ? `${total}s` : duration;
}

async function drain(names: string[], options: DrainOptions, settings: JsonObject, context: CommandContext): Promise<void> {
  const terminal = context.terminal(options);
  refuseOptionsOfKubectl(options);
  const { isOnlyPlan, named } = readDryRun(options);
  const choice = nodeChoice([...named, ...names], options);
  const where = { kubeconfig: options.kubeconfig, context: options.context, env: terminal.surroundings.env };
  const planned = await byHand((module) => module.DrainByHand.plan(choice, settings, where));
  const blocked = planned.plan.blockers.length > 0;
  const { cluster, server } = planned;
  const plan = asOptions(planned.plan);
  terminal.lines(drainPreviewLines(planned, terminal));
  if (isOnlyPlan || blocked) {
    terminal.result({ cluster, server, plan, blocked });
    return context.exit(blocked ? exitCodes.error : exitCodes.done);
  }
  if (!(await mayBegin(planned, options, terminal))) {
    terminal.result({ cluster, server, plan, blocked, outcome: 'not begun' });
    terminal.line('Nothing was changed.');
    return context.exit(terminal.surroundings.signal.aborted ? exitCodes.ended : exitCodes.error);
  }
  const begunAtMs = terminal.surroundings.now().getTime();
  const { id, recordFile, end } = await carryOut(planned, options, terminal);
  const tookMs = terminal.surroundings.now().getTime() - begunAtMs;
  terminal.result({ id, cluster, server, plan, blocked, ...end, record: recordFile, tookMs });
  terminal.lines(drainEndLines(planned, end, { recordFile, tookMs, uncordon: options.uncordon === true, name: options.name }, terminal));
  context.exit(drainExitCodes[end.outcome]);
}

function refuseOptionsOfKubectl({ disableEviction, podSelector, skipWaitForDeleteTimeout }: DrainOptions): void {
  if (disableEviction) {
    throw new UsageError(
      'Pods are not deleted past their PodDisruptionBudgets: --disable-eviction is not there.',
      'What a budget holds back for too long can be deleted after a deadline: --pod-deadline 30m --on-deadline delete.',
    );
  }
  if (podSelector !== undefined) {
    throw new UsageError(
      'A drain empties whole nodes: --pod-selector is not there.',
      'Give the pods that shall stay the label cluster.x-k8s.io/drain=skip, and drain without --pod-selector.',
    );
  }
  if (skipWaitForDeleteTimeout !== undefined) {
    throw new UsageError(
      'A node is drained when its pods are gone: --skip-wait-for-delete-timeout is not there.',
      'Pods of a node that does not answer can be deleted after a deadline: --pod-deadline 30m --on-deadline delete.',
    );
  }
}

/** With kubectl a mode follows a `=`: what stands after the option is the name of a node there. */
function readDryRun({ plan, dryRun }: DrainOptions): { isOnlyPlan: boolean; named: string[] } {
  const isMode = typeof dryRun !== 'string' || ['none', 'client', 'server'].includes(dryRun);
  const isOnlyPlan = plan === true || (dryRun !== undefined && dryRun !== 'none');
  return { isOnlyPlan, named: isMode ? [] : [dryRun] };
}

async function mayBegin({ plan }: DrainByHand, { yes }: DrainOptions, terminal: Terminal): Promise<boolean> {
  if (yes) return true;
  if (!terminal.interactive) {
    throw new UsageError('Nobody can be asked here whether to begin.', 'Give --yes to begin, or --plan to see the plan only.');
  }
  const nodes = counted(plan.facts.nodes.length, 'node');
  const risks = plan.risks.length === 0 ? '' : `, with ${counted(plan.risks.length, 'risk')}`;
  try {
    return await terminal.confirm(`Drain ${nodes} now${risks}?`);
  } catch (error) {
    if (terminal.surroundings.signal.aborted) return false;
    throw error;
  }
}

async function carryOut(
  planned: DrainByHand,
  { uncordon = false, record }: DrainOptions,
  terminal: Terminal,
): Promise<{ id: string; recordFile: string; end: DrainEnd }> {
  const { surroundings } = terminal;
  const { env, signal } = surroundings;
  const id = await byHand(async (module) => module.idOfDrain(surroundings.now()));
  const state = env.XDG_STATE_HOME || join(env.HOME ?? homedir(), '.local', 'state');
  const recordFile = record ?? join(state, 'holdpoint', `drain-${id}.jsonl`);
  const screen = new ProgressScreen(terminal);
  try {
    const end = await planned.carryOut(id, { recordFile, uncordon, signal, onProgress: (progress) => screen.show(progress) });
    return { id, recordFile, end };
  } finally {
    screen.end();
  }
}

/** Progress as it is: drawn anew on a terminal, a line now and then in a pipe, nothing with `--json`. */
class ProgressScreen {
  private readonly terminal: Terminal;
  private readonly screen: Screen | undefined;
  private shown = '';
  private shownAtMs = -Infinity;
  private latest = '';

  constructor(terminal: Terminal) {
    this.terminal = terminal;
    this.screen = screenOf(terminal);
  }

  show(progress: Progress | undefined): void {
    if (!progress) return;
    if (this.screen) return this.screen.draw(progressLines(progress, this.terminal));
    this.latest = progress.summary;
    if (performance.now() - this.shownAtMs >= linePauseMs) this.write();
  }

  end(): void {
    this.screen?.done();
    this.write();
  }

  private write(): void {
    if (this.latest === this.shown) return;
    this.terminal.line(`${formatClock(this.terminal.surroundings.now())}  ${this.latest}`);
    this.shown = this.latest;
    this.shownAtMs = performance.now();
  }
}

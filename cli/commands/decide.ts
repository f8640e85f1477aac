import { readFile } from 'node:fs/promises';
import type { Holdpoint, LiveRun } from '../../client/holdpoint.ts';
import type { Signer } from '../../client/signing.ts';
import { readDelegation } from '../../domain/approval/delegation.ts';
import type { DecisionAnswer } from '../../workflows/messages.ts';
import type { HoldState, RunState } from '../../domain/run/state.ts';
import { RefusedError } from '../../client/remote-error.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { hashDigitsMin, shortHash } from '../../domain/plan/plan.ts';
import {
  withCommonOptions,
  withFullOption,
  withSignerOptions,
  type CommonOptions,
  type FullOption,
  type CommandContext,
  type RegisterCommand,
  type SignerOptions,
} from '../command.ts';
import { unreadable, UsageError } from '../errors.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { formatTime, hashMatches } from '../format.ts';
import { runLines, standingLine } from '../run-view.ts';
import { remembering, tellReceipt } from '../receipt.ts';
import { withHoldpoint } from '../session.ts';
import { signerOf } from '../signer.ts';
import type { Terminal } from '../terminal.ts';
import { needsPeople, RunWatch } from '../watch.ts';

interface DecideOptions extends CommonOptions, FullOption, SignerOptions {
  plan?: string;
  reason?: string;
  from?: string;
  delegation?: string;
  wait?: boolean;
}

type DecisionKind = 'approve' | 'reject';
/** What is signed after a plan was read. */
type ReadKind = DecisionKind | 'break-glass';

export const registerDecide: RegisterCommand = (program, context) => {
  registerDecision('approve', program, context);
  registerDecision('reject', program, context);
  registerWithdraw(program, context);
  registerBreakGlass(program, context);
};

function registerBreakGlass(program: Parameters<RegisterCommand>[0], context: CommandContext): void {
  withFullOption(withSignerOptions(withCommonOptions(program.command('break-glass'))))
    .argument('<run>', 'id of the run, or its target such as eks/eu-central-1/demo')
    .requiredOption('--reason <text>', 'why it cannot wait, which everybody reads')
    .option('--plan <hash>', `the hash of the plan that you have read, at least ${hashDigitsMin} digits; without it you are shown the plan`)
    .option('--alone <hold>', 'name of the hold, to say that you release it alone; without it you are asked')
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint break-glass eks/eu-central-1/demo --as zoe --reason "the disk is full, nobody answers"\n\n' +
        'For people whom `breakGlass` of the policy names. It is told in every view and message, and when the work is done the run\n' +
        'waits until others have signed that it was right.\n\nExit codes: 0 released, 1 refused, 2 bad input.',
    )
    .action(async (name: string, options: DecideOptions & { reason: string; alone?: string }) => {
      const terminal = context.terminal(options);
      if (options.plan !== undefined) requireRunId(name, 'break-glass');
      const signer = await signerOf(terminal, options);
      await withHoldpoint(terminal, async (holdpoint) => {
        const state = await holdpoint.state(name);
        if (!state.hold) throw new HoldpointError('hold-not-waiting', { run: state.run, phase: state.phase });
        if (
          !(await seen(state, state.hold, { decision: 'break-glass', person: signer.person }, options, terminal)) ||
          !(await saysAlone(state.hold, options, terminal))
        ) {
          terminal.line('Nothing was signed.');
          return context.exit(exitCodes.error);
        }
        const { hold, number, planHash } = state.hold.request;
        const answer = await holdpoint.breakGlass(state, state.hold.request, options.reason, signer);
        terminal.result({ run: state.run, hold, request: number, planHash, brokenBy: signer.person, ...answer });
        terminal.line(
          `BREAK GLASS: ${signer.person} has released hold ${hold} of ${state.run} alone. Others must sign that when the work is done.`,
        );
      });
    });
}

/** Whether the person says once more that they release the hold alone. */
async function saysAlone({ request }: HoldState, { alone }: { alone?: string }, terminal: Terminal): Promise<boolean> {
  const { hold } = request;
  if (alone === hold) return true;
  const remedy = `Say \`--alone ${hold}\` if you mean to release it alone.`;
  if (alone !== undefined) throw new UsageError(`The run waits at hold ${hold}, not at ${alone}.`, remedy);
  if (!terminal.interactive) throw new UsageError('Nobody can be asked here whether this is meant.', remedy);
  return terminal.confirm(`BREAK GLASS: release hold ${hold} alone, without the people whose signatures it asks for?`);
}

function registerWithdraw(program: Parameters<RegisterCommand>[0], context: CommandContext): void {
  withSignerOptions(withCommonOptions(program.command('withdraw')))
    .argument('<run>', 'id of the run, or its target such as eks/eu-central-1/demo')
    .option('--reason <text>', 'why, for the record')
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint withdraw eks/eu-central-1/demo --as ada --reason "the shop team has called"\n\n' +
        'It counts until the steps begin that the approval stands for.\n\nExit codes: 0 taken back, 1 refused, 2 bad input.',
    )
    .action(async (name: string, options: DecideOptions) => {
      const terminal = context.terminal(options);
      const signer = remembering(await signerOf(terminal, options));
      await withHoldpoint(terminal, async (holdpoint) => {
        const state = await holdpoint.state(name);
        if (!state.hold) throw new HoldpointError('hold-not-waiting', { run: state.run, phase: state.phase });
        const { hold, number } = state.hold.request;
        const answer = await holdpoint.withdraw(state, options.reason ?? '', signer);
        const receipt = await tellReceipt(terminal, signer, options.config);
        terminal.result({ run: state.run, hold, request: number, person: signer.person, ...answer, receipt });
        terminal.line(`${signer.person} has taken back the approval at hold ${hold} of ${state.run}.`);
      });
    });
}

async function decided(
  holdpoint: Holdpoint,
  state: RunState,
  { request }: HoldState,
  word: { decision: DecisionKind; from?: string; delegation?: string; reason: string },
  signer: Signer,
): Promise<DecisionAnswer> {
  const { decision, from, delegation, reason } = word;
  if (delegation !== undefined) return holdpoint.approveInPlace(state, request, delegation, reason, signer);
  if (from !== undefined) return holdpoint.approveFrom(state, request, from, reason, signer);
  return holdpoint.decide(state, request, decision, reason, signer);
}

/** The signed delegation in a file. */
async function delegationIn(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw unreadable(`The delegation ${file}`, error);
  });
  if (readDelegation(text.trim())) return text.trim();
  throw new UsageError(`${file} has no delegation.`, 'Ask for the file that `holdpoint delegate` has written.');
}

/** A time that was typed, in UTC. Throws UsageError where it is none. */
export function timeOf(text: string): string {
  const atMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : NaN;
  if (!Number.isNaN(atMs)) return new Date(atMs).toISOString();
  throw new UsageError(`${text} is no time with its zone.`, 'Write it such as 2026-11-28T02:00+09:00 or 2026-11-27T17:00Z.');
}

function registerDecision(decision: DecisionKind, program: Parameters<RegisterCommand>[0], context: CommandContext): void {
  const command = withFullOption(withSignerOptions(withCommonOptions(program.command(decision))));
  if (decision === 'approve')
    command
      .option('--from <time>', 'let the approval count from then on, such as 2026-11-28T02:00+09:00')
      .option('--delegation <file>', 'approve in the place of whoever has signed the delegation in the file')
      .option('--wait', 'stay until the run has come to something that needs people, or to its end, and tell how it stands then')
      .option('--no-wait', 'return when it is signed, which is the default');
  command
    .argument('<run>', 'id of the run, or its target such as eks/eu-central-1/demo')
    .option(
      '--plan <hash>',
      `the hash of the plan that you have read, at least ${hashDigitsMin} digits; without it you are shown the plan and asked`,
    )
    .option('--reason <text>', 'why, for the record')
    .addHelpText(
      'after',
      `\nExamples:\n  holdpoint ${decision} eks/eu-central-1/demo --as ada\n` +
        `  holdpoint ${decision} r-20261121-7kq2m4 --as ada --reason "checked with the team" \\\n` +
        `    --plan ${'1a2b3c4d'.repeat(hashDigitsMin / 8)}\n\n` +
        'Exit codes: 0 signed, 1 refused, 2 bad input' +
        (decision === 'approve' ? '; with --wait also 3 waiting at a hold, 4 stuck, 5 ended by people.' : '.'),
    )
    .action(async (name: string, options: DecideOptions) => {
      const terminal = context.terminal(options);
      if (options.plan !== undefined) requireRunId(name, decision);
      const from = options.from === undefined ? undefined : timeOf(options.from);
      if (from !== undefined && options.delegation !== undefined) {
        throw new UsageError('--from and --delegation cannot be given together.', 'Approve when the time has come.');
      }
      const delegation = options.delegation === undefined ? undefined : await delegationIn(options.delegation);
      const signer = remembering(await signerOf(terminal, options));
      await withHoldpoint(terminal, async (holdpoint) => {
        const state = await holdpoint.state(name);
        if (!state.hold) throw new HoldpointError('hold-not-waiting', { run: state.run, phase: state.phase });
        if (!(await seen(state, state.hold, { decision, person: signer.person }, options, terminal))) {
          terminal.line('Nothing was signed.');
          return context.exit(exitCodes.error);
        }
        const { hold, number, planHash } = state.hold.request;
        const reason = options.reason ?? '';
        const answer = await decided(holdpoint, state, state.hold, { decision, from, delegation, reason }, signer);
        const later = from === undefined ? {} : { from };
        const receipt = await tellReceipt(terminal, signer, options.config);
        const begins = from === undefined ? '' : `, which counts from ${formatTime(from)} on`;
        const rest = answer.state === 'waiting' ? `; ${answer.missing} more must sign` : `; the hold is ${answer.state}`;
        const done = `${decision === 'approve' ? 'approved' : 'rejected'} ${shortHash(planHash)}`;
        terminal.line(`${signer.person} has ${done} at hold ${hold} of ${state.run}${begins}${rest}.`);
        const live = options.wait && answer.state !== 'waiting' ? await settled(holdpoint, state.hold, state.run, terminal) : undefined;
        const phase = live?.state.phase;
        terminal.result({
          run: state.run,
          hold,
          request: number,
          planHash,
          decision,
          ...later,
          person: signer.person,
          ...answer,
          phase,
          receipt,
        });
        if (!live) return;
        terminal.line(standingLine(live, terminal));
        context.exit(exitCodeOf(live.state.phase));
      });
    });
}

/** Waits until a run needs people again, or is over, after a request of it has been decided on. */
function settled(holdpoint: Holdpoint, { request }: HoldState, run: string, terminal: Terminal): Promise<LiveRun> {
  // The run may not have gone on from this very request yet.
  const isAnother = ({ state: { hold } }: LiveRun): boolean =>
    hold?.request.hold !== request.hold || hold.request.number !== request.number;
  return new RunWatch(holdpoint, terminal).watch(run, (live) => needsPeople(live) && (live.state.phase !== 'holding' || isAnother(live)));
}

/** Who has read a plan has read that of a run. Another one may be open on its target by now, with a plan of its own. */
function requireRunId(name: string, decision: ReadKind): void {
  if (!name.includes('/')) return;
  const remedy = `Give the id of the run that you have read, such as \`holdpoint ${decision} r-20261121-7kq2m4 --plan …\`.`;
  throw new UsageError(`${name} is a target, and --plan is about the plan of one run on it.`, remedy);
}

/** Whether the person has seen the very plan that would be signed: by its hash, or by being shown it now. */
async function seen(
  state: RunState,
  hold: HoldState,
  { decision, person }: { decision: ReadKind; person: string },
  options: DecideOptions,
  terminal: Terminal,
): Promise<boolean> {
  const { planHash } = hold.request;
  if (options.plan !== undefined) {
    if (hashMatches(planHash, options.plan)) return true;
    throw new RefusedError(
      'plan-differs',
      `The plan at hold ${hold.request.hold} is ${shortHash(planHash)}, not ${shortHash(options.plan)}. Nothing was signed.`,
      `Read it with \`holdpoint show ${state.run}\` and decide on that (at least ${hashDigitsMin} digits of its hash).`,
    );
  }
  if (!terminal.interactive) {
    const alone = decision === 'break-glass' ? ` --alone ${hold.request.hold} --reason …` : '';
    const command = `holdpoint ${decision} ${state.run} --plan ${shortHash(planHash)}${alone}`;
    const remedy = `Read it with \`holdpoint show ${state.run}\`, then give run and hash: ${command}`;
    throw new UsageError('Nobody can be shown the plan here.', remedy);
  }
  terminal.lines(runLines({ state, progress: {}, retrying: [] }, terminal, { plan: true, full: options.full }));
  terminal.line();
  return terminal.confirm(
    decision === 'reject' ? `Reject it as ${person} and end ${state.run}?` : `Sign this plan for ${state.run} as ${person}?`,
  );
}

import type { CommandName } from '../../domain/approval/statement.ts';
import type { Holdpoint, LiveRun } from '../../client/holdpoint.ts';
import type { CommandResult } from '../../workflows/messages.ts';
import { withCommonOptions, withSignerOptions, type CommonOptions, type RegisterCommand, type SignerOptions } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { remembering, tellReceipt } from '../receipt.ts';
import { leavingLines, standingLine } from '../run-view.ts';
import { withHoldpoint } from '../session.ts';
import { signerOf } from '../signer.ts';
import { commandDescriptions, commandSummaries, needsReason } from '../operator-commands.ts';
import type { Terminal } from '../terminal.ts';
import { isOver, needsPeople, RunWatch } from '../watch.ts';

interface OperateOptions extends CommonOptions, SignerOptions {
  reason?: string;
  wait: boolean;
  yes?: boolean;
}

/** What is said once a run has taken the word. */
const taken: Record<CommandName, string> = {
  pause: 'will pause at the next safe point',
  resume: 'goes on',
  retry: 'tries the step again',
  skip: 'leaves the step out',
  done: 'takes the step for done: a look agrees',
  adopt: 'adopts the change',
  proceed: 'goes on outside of its window',
  undo: 'goes back',
  abort: 'ends at the next safe point; its cordons are lifted',
};

export const registerOperate: RegisterCommand = (program, context) => {
  for (const command of Object.keys(commandSummaries) as CommandName[]) {
    const registered = withSignerOptions(withCommonOptions(program.command(command)))
      .description(commandDescriptions[command])
      .argument('<run>', 'id of the run, or its target such as eks/eu-central-1/demo')
      .option('--reason <text>', `why, for the record and for whoever has to sign${needsReason(command) ? ' (needed)' : ''}`)
      .option('--wait', 'stay until it has come to something, and tell how the run stands then')
      .option('--no-wait', 'return when the run has been told, which is the default');
    if (command === 'abort') registered.option('-y, --yes', 'abort without asking');
    registered
      .addHelpText('after', `\nExample:\n  holdpoint ${command} eks/eu-central-1/demo${exampleReasons[command]}\n\n${exitCodesOf(command)}`)
      .action(async (name: string, options: OperateOptions) => {
        const terminal = context.terminal(options);
        const signer = remembering(await signerOf(terminal, options));
        await withHoldpoint(terminal, async (holdpoint) => {
          const reason = await reasonFor(command, options, terminal);
          if (command === 'abort' && !(await isMeant(holdpoint, name, signer.person, options, terminal))) {
            terminal.line('Not aborted; the run goes on as it was.');
            return context.exit(exitCodes.error);
          }
          const answer = await holdpoint.operate(name, command, reason, signer);
          const receipt = await tellReceipt(terminal, signer, options.config);
          const live =
            options.wait && answer.notice === undefined ? await settled(holdpoint, name, command, terminal) : await holdpoint.show(name);
          const { run, target, phase } = live.state;
          terminal.result({ run, target, command, person: signer.person, ...answer, phase, receipt });
          terminal.lines(answerLines(command, answer, live, options.wait, terminal));
          context.exit(exitCodeFor(command, answer, live, options.wait));
        });
      });
  }
};

const exampleReasons: Record<CommandName, string> = {
  pause: ' --wait',
  resume: '',
  retry: ' --wait',
  skip: ' --reason "the add-on is not in use here"',
  done: ' --reason "deleted in the console, see CHG-1234"',
  adopt: ' --reason "the update that I began in the console"',
  proceed: ' --reason "the fix cannot wait for Sunday"',
  undo: ' --reason "p99 has doubled since the new nodes"',
  abort: ' --reason "wrong cluster" --wait',
};

function exitCodesOf(command: CommandName): string {
  const waited = { pause: '4 stuck or 5 ended before it stood still', abort: '0 it is over' }[command as 'pause'];
  return (
    'Exit codes: 0 the run was told, 1 it refused, 2 bad input, 3 others have to sign first; ' +
    `with --wait also ${waited ?? '3 waiting at a hold, 4 stuck, 5 ended by people'}.`
  );
}

/** Why, as it was given or is typed now. Throws UsageError where it is needed and nobody says it. */
async function reasonFor(command: CommandName, { reason = '' }: OperateOptions, terminal: Terminal): Promise<string> {
  if (reason.trim() !== '' || !needsReason(command)) return reason;
  const typed = await terminal.ask(`Why ${command}? It goes into the record, and whoever has to sign reads it:`);
  if (typed !== '') return typed;
  throw new UsageError(`\`${command}\` needs a reason: ${reasons[command] ?? 'others will want to know why.'}`, 'Give --reason "…".');
}

const reasons: Partial<Record<CommandName, string>> = {
  abort: 'the run ends in the middle, and whoever finds that later reads why.',
  skip: 'it departs from the signed plan, and others sign that.',
  done: 'it departs from the signed plan, and others may have to sign that.',
  adopt: 'a change that somebody else has begun counts as this run’s from then on.',
  undo: 'others sign the rollback.',
  proceed: 'others sign that the window does not count.',
};

/** Whether a person still wants to abort who has read what that leaves. Elsewhere the reason is enough. */
async function isMeant(holdpoint: Holdpoint, name: string, person: string, { yes }: OperateOptions, terminal: Terminal): Promise<boolean> {
  if (yes || !terminal.interactive) return true;
  const live = await holdpoint.show(name);
  // A run that is over, or that nobody answers for, says so when it is told.
  if (isOver(live) || live.lastKnown) return true;
  terminal.lines(leavingLines(live, terminal));
  return terminal.confirm(`Abort ${live.state.run}, signing as ${person}?`);
}

/** Waits until a word has come to something. */
function settled(holdpoint: Holdpoint, name: string, command: CommandName, terminal: Terminal): Promise<LiveRun> {
  return new RunWatch(holdpoint, terminal).watch(name, command === 'abort' ? isOver : needsPeople);
}

function exitCodeFor(command: CommandName, { hold, notice }: CommandResult, { state }: LiveRun, waited: boolean): number {
  if (notice !== undefined) return exitCodes.error;
  if (waited) return command === 'abort' && state.phase === 'aborted' ? exitCodes.done : exitCodeOf(state.phase);
  return hold === undefined || state.phase !== 'holding' ? exitCodes.done : exitCodes.holding;
}

function answerLines(command: CommandName, answer: CommandResult, live: LiveRun, waited: boolean, terminal: Terminal): string[] {
  const { run } = live.state;
  const now = standingLine(live, terminal);
  if (answer.notice !== undefined) return [answer.notice, now];
  if (waited) return [now];
  if (answer.hold === undefined || live.state.phase !== 'holding') {
    const later = command === 'resume' ? '' : ` This does not wait for it: --wait does, and \`holdpoint show ${run} --watch\`.`;
    return [`${run} ${taken[command]}.${later}`, now];
  }
  return [
    `${run} waits for others to sign that (hold ${answer.hold}):`,
    `  holdpoint show ${run}      what is to be signed, and by whom`,
    `  holdpoint approve ${run}`,
    `  holdpoint resume ${run}    take it back`,
  ];
}

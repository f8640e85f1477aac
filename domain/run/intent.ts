import type { CommandName } from '../approval/statement.ts';
import { endPhases, type Phase, type StuckState } from './state.ts';

/** A command of an operator whose signature has been verified. */
export interface OperatorCommand {
  command: CommandName;
  person: string;
  reason: string;
  /** When it was signed; ISO 8601, UTC. */
  at: string;
}

/**
 * What the operators of a run want of it. `asked`: a command waits to be dealt with (`given`), or is being dealt with (`taken`);
 * while others must sign it, its sender can only take it back (`withdrawnAt`). `paused` names who has asked for the pause.
 */
export type Intent =
  | { want: 'go-on'; paused?: string }
  | { want: 'asked'; paused?: string; asked: OperatorCommand; stage: 'given' | 'taken'; withdrawnAt?: string }
  | { want: 'abort'; by: OperatorCommand }
  | { want: 'end' };

/** What changes an intent: a command, or what the run itself has come to. */
export type IntentEvent =
  | { event: 'commanded'; command: OperatorCommand }
  /** The run begins to deal with the command that was given. */
  | { event: 'taken' }
  /** The command has been dealt with, whatever came of it. */
  | { event: 'settled' }
  /** The run rolls back, which has been signed since any pause. */
  | { event: 'rollback-began' }
  /** From here on no command counts. */
  | { event: 'ending' };

/** What a run wants before anybody has said anything. */
export const initialIntent: Intent = { want: 'go-on' };

/** The intent after an event. A command that `refusalOfCommand` has not let pass changes nothing. */
export function next(intent: Intent, event: IntentEvent): Intent {
  if (intent.want === 'end' || event.event === 'ending') return { want: 'end' };
  if (intent.want === 'abort') return intent;
  const { paused } = intent;
  switch (event.event) {
    case 'commanded':
      return afterCommand(intent, event.command);
    case 'taken':
      return intent.want === 'asked' ? { ...intent, stage: 'taken' } : intent;
    case 'settled':
      return { want: 'go-on', paused };
    case 'rollback-began':
      return { want: 'go-on' };
  }
}

function afterCommand(intent: Exclude<Intent, { want: 'abort' } | { want: 'end' }>, command: OperatorCommand): Intent {
  const { paused } = intent;
  if (command.command === 'abort') return { want: 'abort', by: command };
  if (intent.want === 'asked') {
    if (command.command !== 'resume') return intent;
    // What nobody has taken up yet is simply gone; what is put up for signature is closed by whoever waits there.
    return intent.stage === 'given' ? { want: 'go-on', paused } : { ...intent, withdrawnAt: command.at };
  }
  if (command.command === 'pause') return { ...intent, paused: paused ?? command.person };
  if (command.command === 'resume') return { want: 'go-on' };
  return { want: 'asked', paused, asked: command, stage: 'given' };
}

/** Who has asked for the pause that is wanted; undefined where none is. */
export function pausedBy(intent: Intent): string | undefined {
  return intent.want === 'go-on' || intent.want === 'asked' ? intent.paused : undefined;
}

/** Whether somebody has asked the run to stop, for a while or for good. */
export function isInterrupted(intent: Intent): boolean {
  return intent.want === 'abort' || pausedBy(intent) !== undefined;
}

/** The command that waits to be taken up; undefined where none does. */
export function givenCommand(intent: Intent): OperatorCommand | undefined {
  return intent.want === 'asked' && intent.stage === 'given' ? intent.asked : undefined;
}

/** Whether a command is still to be dealt with: given and not settled, replaced or overtaken by an abort. */
export function isUnanswered(intent: Intent, command: OperatorCommand): boolean {
  return intent.want === 'asked' && intent.asked === command;
}

/** What a run shows that decides on which commands make sense. */
export interface Situation {
  phase: Phase;
  /** Whether the work is over, and only what somebody has released alone is looked at. */
  reviewing?: boolean;
  stuck?: StuckState;
  /** Whether the stuck step is an action, which can be skipped or done by hand. */
  stuckAtAction: boolean;
  rollingBack: boolean;
  /** Whether there is anything to roll back. */
  canRollBack: boolean;
  /** The hold at which others must sign what an operator has asked for. */
  exceptionHold?: string;
}

/** The commands that make sense now, in the order in which they are offered. */
export function possibleCommands(intent: Intent, { phase, stuck, ...situation }: Situation): CommandName[] {
  if (intent.want === 'abort' || intent.want === 'end' || endPhases.includes(phase)) return [];
  if (situation.reviewing) return ['abort'];
  if (intent.want === 'asked') return ['resume', 'abort'];
  const commands: CommandName[] = [];
  if (stuck) {
    commands.push('retry');
    if (situation.stuckAtAction) commands.push('skip', 'done');
    if (stuck.code === 'change-in-flight') commands.push('adopt');
  }
  if (phase === 'parked') commands.push('proceed');
  commands.push(intent.paused === undefined ? 'pause' : 'resume');
  const standsStill = phase === 'holding' || phase === 'parked' || phase === 'paused' || phase === 'stuck';
  if (standsStill && !situation.rollingBack && situation.canRollBack) commands.push('undo');
  return [...commands, 'abort'];
}

/** Why a command makes no sense now, as part of a sentence, with those that do; undefined where it does. */
export function refusalOfCommand(
  intent: Intent,
  situation: Situation,
  command: CommandName,
  step: { named: string; isNeeded: boolean },
): { cause: string; possible: CommandName[] } | undefined {
  const possible = possibleCommands(intent, situation);
  if (!possible.includes(command)) return { cause: causeOf(intent, situation, command), possible };
  const { stuck } = situation;
  if (!step.isNeeded || step.named === stuck?.step) return undefined;
  return { cause: `it is stuck at ${stuck?.step ?? 'no step'}, and the command was about ${step.named || 'no step'}`, possible };
}

function causeOf(intent: Intent, { phase, exceptionHold, rollingBack, canRollBack }: Situation, command: CommandName): string {
  if (intent.want === 'abort') return 'it is being aborted';
  if (intent.want === 'end') return 'it is ending';
  if (exceptionHold !== undefined) return `it waits for a signature at hold ${exceptionHold}`;
  if (command === 'undo' && rollingBack) return 'it is rolling back already';
  if (command === 'undo' && !canRollBack) return 'it has changed nothing yet that could be undone';
  return intent.paused !== undefined && phase !== 'paused' ? `it is pausing, and ${phase} until then` : `it is ${phase}`;
}

import { commandsWithReason, type CommandName } from '../domain/approval/statement.ts';

/** What each of an operator's words does, for help and for the list of choices. */
export const commandSummaries: Record<CommandName, string> = {
  pause: 'stop at the next safe point',
  resume: 'go on, or take back what waits for a second person',
  retry: 'try the stuck step again',
  skip: 'leave the stuck step out (a second person signs)',
  done: 'the stuck step was done by hand (a second person signs what cannot be seen)',
  adopt: 'take the same change, begun by somebody else, for this run',
  proceed: 'go on although the window is shut (others sign first)',
  undo: 'go back step by step (others sign the rollback first)',
  abort: 'end the run as it stands, and lift its cordons',
};

/** Whether the command line asks why: of what departs from what was signed, and of an end that others will want to understand. */
export function needsReason(command: CommandName): boolean {
  return command === 'abort' || commandsWithReason.includes(command);
}

/** A command as it is typed. */
export function operatorWords(command: CommandName, run: string): string {
  return `holdpoint ${command} ${run}${needsReason(command) ? ' --reason "…"' : ''}`;
}

/** The same at length, for the help of each. */
export const commandDescriptions: Record<CommandName, string> = {
  pause:
    'Stops a run at the next safe point: the unit in hand is finished, such as an eviction, and nothing new begins. Nodes stay cordoned, ' +
    'and what EKS or RDS was asked for goes on. `holdpoint resume` goes on.',
  resume: 'Goes on with a run that is paused, or takes back what waits for the signatures of others (skip, done, undo, proceed).',
  retry: 'Tries the step again that a run is stuck at, or asks anew for signatures that have expired.',
  skip: 'Leaves the step out that a run is stuck at. It departs from the signed plan, so somebody else signs that first.',
  done: 'Says that the stuck step was done by hand. Where a look at the world agrees, the run goes on; else others sign that first.',
  adopt: 'Takes the very change that somebody else has begun for that of the stuck step, and waits for its end.',
  proceed: 'Goes on although the window is shut; others sign that first.',
  undo: 'Goes back step by step, the last one first, by a plan that others sign first. `holdpoint show` has it then.',
  abort:
    'Ends a run where it stands and lifts its cordons. Nothing is taken back, and what EKS or RDS was asked for goes on. A terminal ' +
    'shows what it leaves and asks.',
};

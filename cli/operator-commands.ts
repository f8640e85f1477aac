import type { CommandName } from '../domain/approval/statement.ts';

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

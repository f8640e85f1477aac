import type { CommandName } from '../../domain/approval/statement.ts';
import type { RunState } from '../../domain/run/state.ts';
import type { Random } from '../../sandbox/random.ts';

/** What people say to a run; `silence`: nothing, until the hold has expired. */
export type Saying = CommandName | 'approve' | 'reject' | 'silence';

/** In what a run waits for people: at a hold of its runbook, for the signature of a second person, at a stuck step, paused. */
export type Situation = 'hold' | 'exception' | 'stuck' | 'paused';

/** How often they say what, against each other. What is not offered is left out. */
const weights: Record<Situation, Partial<Record<Saying, number>>> = {
  hold: { approve: 24, undo: 4, pause: 1.5, reject: 0.7, silence: 0.5, abort: 0.4 },
  exception: { approve: 12, reject: 2, resume: 1.2, silence: 0.3, abort: 0.3 },
  stuck: { retry: 8, adopt: 8, skip: 3, done: 3, undo: 2.5, pause: 0.5, abort: 0.3 },
  paused: { resume: 8, undo: 2.5, abort: 0.4 },
};

/** What has the run go on. */
const usual: Record<Situation, Saying> = { hold: 'approve', exception: 'approve', stuck: 'retry', paused: 'resume' };

const signatures: readonly Saying[] = ['approve', 'reject', 'silence'];

/** In which of them a run is; undefined where it waits for nobody. */
export function situationOf({ phase, hold, stuck }: RunState): Situation | undefined {
  if (phase === 'holding' && hold) return hold.request.askedBy === undefined ? 'hold' : 'exception';
  if (phase === 'stuck' && stuck) return 'stuck';
  return phase === 'paused' ? 'paused' : undefined;
}

/**
 * Draws what somebody says, out of what the run offers. Undefined where the run is busy with a word and would not take the usual one.
 *
 * @param mayBeOdd whether it may be something else than what has the run go on.
 */
export function sayingFor(situation: Situation, commands: readonly CommandName[], random: Random, mayBeOdd: boolean): Saying | undefined {
  const main = usual[situation];
  const isOffered = (saying: Saying): boolean => signatures.includes(saying) || commands.some((command) => command === saying);
  if (!isOffered(main)) return undefined;
  if (!mayBeOdd) return main;
  const offered = (Object.entries(weights[situation]) as [Saying, number][]).filter(([saying]) => isOffered(saying));
  let left = random.next() * offered.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [saying, weight] of offered) {
    left -= weight;
    if (left < 0) return saying;
  }
  return main;
}

/** Whether it is something else than what has the run go on. */
export function isOdd(situation: Situation, saying: Saying): boolean {
  return saying !== usual[situation] && saying !== 'adopt';
}

import type { Observation } from '../action.ts';
import type { PerformedStep } from './steps.ts';

/** What a look at a step has shown when its run ended, or why there was none. */
export type LastLook = Observation | { unread: string };

/**
 * What a step has left in the world that was begun and not undone, as a sentence without a full stop.
 *
 * @param seen what a look has just shown; undefined where none was taken.
 */
export function leftoverText(
  { id, uses, performed: { finished, kept } }: { id: string; uses: string; performed: Pick<PerformedStep, 'finished' | 'kept'> },
  seen: LastLook | undefined,
): string {
  const step = `step ${id} (${uses})`;
  if (kept !== undefined) return `${step} stays: ${kept}${seen ? `; now: ${nowText(seen)}` : ''}`;
  if (seen === undefined) return `${step} ${finished ? 'was done and stays' : 'was stopped before its end'}`;
  if ('unread' in seen) {
    const before = finished ? 'was done' : 'was stopped before its end';
    return `${step} ${before}; how it stands now could not be read: ${seen.unread}`;
  }
  if (seen.state === 'done')
    return `${step} ${finished ? 'was done and stays' : 'was stopped, and is done all the same'}${summaryIn(seen)}`;
  if (finished) return `${step} was done, and is not as it left it any more: ${nowText(seen)}`;
  if (seen.untouched) return `${step} was stopped before it changed anything`;
  return `${step} was stopped before its end: ${nowText(seen)}`;
}

function summaryIn({ progress }: Pick<Observation, 'progress'>): string {
  return progress === undefined ? '' : `: ${progress.summary}`;
}

function nowText(seen: LastLook): string {
  if ('unread' in seen) return `nobody could see: ${seen.unread}`;
  const { progress } = seen;
  const goesOn = seen.state === 'done' ? undefined : (seen.goesOn ?? (seen.state === 'moving' ? 'it goes on by itself' : undefined));
  const first = seen.state === 'stuck' ? seen.reason.replace(/\.$/, '') : (progress?.summary ?? 'what it was to change is not there');
  return goesOn === undefined ? first : `${first}; ${goesOn}`;
}

import type { WholeEntry } from '../domain/evidence/meaning.ts';
import { toldOf } from '../domain/evidence/narrative.ts';
import { formatTime } from './format.ts';

/** A record for a reader: a line for each entry, with who has signed what and what was changed below it. */
export function recordLines(entries: readonly WholeEntry[]): string[] {
  return entries.flatMap(({ entry, isSigned }) => {
    const { says, more = [] } = toldOf(entry);
    const mark = typeof entry.body.jws === 'string' ? (isSigned ? '  [signature holds]' : '  [SIGNATURE DOES NOT HOLD]') : '';
    return [`${String(entry.sequence).padStart(4)}  ${formatTime(entry.at)}  ${says}${mark}`, ...more.map((line) => `        ${line}`)];
  });
}

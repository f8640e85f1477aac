import { dirname, join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { evidenceDirectoryDefault } from '../runbooks/configuration/places.ts';
import { readEvidence } from './evidence.ts';

/** The last approval of a hold is recorded when its plan has been looked at once more. */
const recordedWithinMs = 20_000;
const pauseMs = 200;

/** Whether the record of a run has what somebody has signed; `unseen` where it cannot be read from here. */
export type Receipt = 'recorded' | 'not-recorded' | 'unseen';

/**
 * Looks for what somebody has signed in the record of the run that it was said to. The answer of a run is the word of whoever takes its
 * tasks from the queue; only workers that may write there put something into its record.
 *
 * @param record where the workers of the configuration keep it: not where the run says.
 */
export async function receiptOf(
  record: string,
  signature: string,
  configuration: Pick<Configuration, 'people' | 'groups' | 'policies' | 'workers'>,
  region?: string,
): Promise<Receipt> {
  const giveUpAt = performance.now() + recordedWithinMs;
  for (;;) {
    try {
      const { report, entries } = await readEvidence(record, configuration.people, { authority: configuration, region });
      const isThere = entries.some(({ entry, isSigned }) => isSigned && entry.body.jws === signature);
      if (isThere && report.ok) return 'recorded';
    } catch {
      // It is not kept here, or not for us to read.
      return 'unseen';
    }
    if (performance.now() > giveUpAt) return 'not-recorded';
    await wait(pauseMs);
  }
}

/**
 * Where the record of a run is, as `readEvidence` takes it: where the workers of a configuration keep it.
 *
 * @param file the path of the configuration, which paths in it are relative to.
 */
export function recordOf(run: string, file: string, { evidence }: Configuration): { record: string; region?: string } {
  if (evidence === undefined || 'directory' in evidence) {
    return { record: join(resolve(dirname(file), evidence?.directory ?? evidenceDirectoryDefault), run) };
  }
  const { bucket, prefix, region } = evidence.s3;
  return { record: ['s3:/', bucket, ...(prefix === undefined ? [] : [prefix]), run].join('/'), region };
}

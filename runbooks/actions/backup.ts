import * as z from 'zod';
import { parseDurationMs } from '../configuration/duration.ts';
import { declareAction, minuteMs, text, type SystemDeclaration } from './declaration.ts';

const age = z
  .string()
  .max(20)
  .refine((given) => (parseDurationMs(given) ?? 0) > 0, { error: 'must be a duration such as 26h or 7d' });

const required = declareAction({
  name: 'backup.required',
  summary: 'Lets a run go on only while there is a fresh backup that was read back, and, where that is asked for, a fresh drill.',
  input: z.strictObject({
    of: z
      .string()
      .min(1)
      .max(300)
      .describe('Whose backups are looked at, such as etcd/prod; those of the target of the run if left out.')
      .optional(),
    takenWithin: age.default('26h').describe('How old the newest backup may be: 26h, 7d; 26h if left out.'),
    drilledWithin: age.describe('How old the last drill may be that has restored a backup; no drill is needed if left out.').optional(),
  }),
  change: 'reads',
  limits: { timeoutMs: 5 * minuteMs },
  outputs: { backup: text, takenAt: text, drilledAt: { type: 'string', mayBeAbsent: true } },
});

/** Backups, of whatever they are. Work on a target of any kind can ask for them. */
export const backup = { name: 'backup', targets: [], actions: { 'backup.required': required } } as const satisfies SystemDeclaration;

import * as z from 'zod';
import { isRunId } from '../../domain/evidence/evidence.ts';
import { statementCharactersMax } from '../../domain/approval/statement.ts';
import { phases } from '../../domain/run/state.ts';

const nameMax = 253;
const cursorMax = 4_096;
/** Runs of one page. */
export const pageRunsMax = 100;

const name = z
  .string()
  .min(1)
  .max(nameMax)
  .regex(/^[\w./[\]:-]+$/, 'must be made of letters, digits and . - _ / : [ ]');
/** A run by its id; a target has slashes, and may have another run by the time that it is read. */
const run = z.string().max(nameMax).refine(isRunId, { error: 'must be the id of a run, such as r-20261121-7kq2m4' });
const time = z.iso.datetime({ error: 'must be a time in UTC such as 2026-11-28T00:00:00Z' });
const signature = z.string().min(1).max(statementCharactersMax);
/** As it was signed, apart from its signature: its kind says which claims it has, and nothing else is let in. */
const statement = z.record(z.string().max(64), z.union([z.string().max(statementCharactersMax), z.number()]));
/** Checked by the JSON Schema of the runbook. */
const inputs = z.record(z.string().max(nameMax), z.unknown());
const runbookName = z
  .string()
  .max(63)
  .regex(/^[a-z0-9][a-z0-9-]*$/, 'must be the name of a runbook that comes with Holdpoint');

export const runParams = z.strictObject({ run });
export const holdParams = z.strictObject({
  run,
  hold: name,
  opening: z.string().regex(/^[1-9]\d{0,5}$/, 'must be the number of a request: 1, 2, 3 …'),
});
export const planParams = z.strictObject({ hash: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 digits') });
export const planQuery = z.strictObject({ run: run.describe('A run whose hold has asked for it.') });
export const runbookParams = z.strictObject({ runbook: runbookName });

export const runsQuery = z.strictObject({
  open: z.enum(['true', 'false']).optional().describe('Only runs that are not over; true if left out without other filters.'),
  phase: z.enum(phases).optional(),
  target: name.optional(),
  runbook: runbookName.optional(),
  requester: name.optional(),
  since: time.optional().describe('Only runs that began after it.'),
  limit: z
    .string()
    .regex(/^([1-9]|[1-9]\d|100)$/, `must be a whole number from 1 to ${pageRunsMax}`)
    .optional(),
  cursor: z
    .string()
    .max(cursorMax)
    .regex(/^[\w-]+$/, 'must be `next` of an answer')
    .optional(),
});
export type RunsQuery = z.output<typeof runsQuery>;

export const forecastBody = z.strictObject({ runbook: runbookName, inputs });
export const startBody = z.strictObject({ runbook: runbookName, inputs, statement, signature });
/** `delegation`: what somebody else has signed, for an approval in their place. */
export const signedBody = z.strictObject({ statement, signature, delegation: signature.optional() });
export const commandBody = z.strictObject({ statement, signature });

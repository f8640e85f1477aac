import * as z from 'zod';
import { windowMaxMs } from '../../domain/calendar/window.ts';
import { calendarGrammar } from '../configuration/calendars.ts';
import { parseDurationMs } from '../configuration/duration.ts';
import { apiVersion, documentName } from './runbook.ts';

/** A duration of at least a second. Temporal counts in seconds. */
const duration = z
  .string()
  .refine((given) => (parseDurationMs(given) ?? 0) >= 1_000, { error: 'must be a duration such as 90s, 10m or 2h' })
  .refine((given) => (parseDurationMs(given) ?? 0) <= windowMaxMs, { error: `must be ${windowMaxMs / 86_400_000} days at most` });

const { zone, weekly, rrule, start, duration: length, dst } = calendarGrammar.shape;

/** The whole language of schedules. */
export const scheduleGrammar = z.strictObject({
  apiVersion: z.literal(apiVersion).describe('Version of the language.'),
  kind: z.literal('Schedule').describe('What the document is.'),
  metadata: z
    .strictObject({
      name: documentName.describe('Name of the schedule, a DNS label.'),
    })
    .describe('What the schedule is called.'),
  requester: z
    .string()
    .describe('In whose name runs are started: somebody in people of holdpoint.yaml, a person or a machine, whose key signs the schedule.'),
  runbook: z
    .string()
    .min(1)
    .max(500)
    .describe('Name of a runbook that comes with Holdpoint, or a path relative to this file, such as ./mine.yaml.'),
  inputs: z.looseObject({}).describe('Inputs of the runbook.').optional(),
  target: z.string().max(500).describe('The target that the runbook and its inputs must come to; not looked at if left out.').optional(),
  calendar: z.string().describe('Name of a calendar of holdpoint.yaml: each of its openings starts a run.').optional(),
  times: z
    .strictObject({ zone, weekly, rrule, start, duration: length, dst })
    .describe('Openings of the schedule itself, written like a calendar, in the place of `calendar`.')
    .optional(),
  jitter: duration.describe('A run starts up to so much later than its opening, by chance, so that not all start at once.').optional(),
  catchUp: duration
    .describe('How late a run may start where workers or Temporal were down; while the window is open if left out, and never later.')
    .optional(),
  ticket: z
    .strictObject({
      id: z.string().describe('Id of the ticket, such as CHG-1234.'),
      link: z.string().describe('Where it is found.').optional(),
    })
    .describe('What the runs are done for.')
    .optional(),
});

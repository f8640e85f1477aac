import * as z from 'zod';
import type { AvailabilityGoal } from '../../domain/availability/availability.ts';
import { didYouMean } from '../../domain/suggestion.ts';
import type { SourceMap } from '../grammar/document.ts';
import { parseDurationMs } from './duration.ts';

const perMinMs = 86_400_000;
const perMaxMs = 3_650 * 86_400_000;

const perWords = 'must be a duration of 1 to 3650 days such as 30d or 365d';

/** An entry of `availability` of holdpoint.yaml. */
export const availabilityGrammar = z.strictObject({
  goal: z
    .string()
    .regex(/^\d{1,2}(\.\d{1,6})?%$/, 'must be a percentage below 100 such as 99.99%')
    .describe('How much of the time writes are to be accepted, such as 99.99%.'),
  per: z
    .string()
    .refine((text) => (parseDurationMs(text) ?? 0) >= perMinMs && (parseDurationMs(text) ?? 0) <= perMaxMs, { error: perWords })
    .describe('The time that the goal is for, up to now, such as 365d.'),
  overspend: z
    .string()
    .describe('The least policy of the hold above a change that would overspend; such a change is blocked if left out.')
    .optional(),
});

type Document = Record<string, z.output<typeof availabilityGrammar>>;

/** Tells what a grammar cannot: that policies are there. */
export function checkAvailability(availability: Document, policies: readonly string[], sourceMap: SourceMap): void {
  for (const [target, { overspend }] of Object.entries(availability)) {
    if (overspend === undefined || policies.includes(overspend)) continue;
    const message = `There is no policy "${overspend}".${didYouMean(overspend, policies)}`;
    sourceMap.error(['availability', target, 'overspend'], message);
  }
}

/** Of goals that have been checked. */
export function availabilityIn(availability: Document): Record<string, AvailabilityGoal> {
  const goals = Object.entries(availability).map(([target, { goal, per, overspend }]): [string, AvailabilityGoal] => {
    const perMs = parseDurationMs(per) ?? 0;
    return [target, { goalPercent: Number.parseFloat(goal), perMs, ...(overspend !== undefined && { overspend }) }];
  });
  return Object.fromEntries(goals);
}

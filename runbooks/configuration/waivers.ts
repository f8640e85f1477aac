import * as z from 'zod';
import { checks } from '../../domain/preflight/checks.ts';

/** How many waivers one document may have. */
export const waiversMax = 50;

/** A finding of `holdpoint check` that people go past, until a time. */
export const waiverGrammar = z.strictObject({
  finding: z
    .string()
    .min(1)
    .max(500)
    .regex(/^[a-z][a-z0-9-]*(:.+)?$/, 'must be the name of a finding such as `single-replica:Deployment/shop/web`, or of a check')
    .refine((finding) => checks.some(({ name }) => name === checkOf(finding)), {
      error: ({ input }) => `there is no check "${checkOf(String(input))}"; docs/preflight.md lists all of them`,
    })
    .describe('Name of the finding (`<check>:<object>`), or of a check for all that it finds.'),
  reason: z.string().min(1).max(500).describe('Why it does not matter here; people sign it.'),
  until: z.iso.datetime({ error: 'must be a time in UTC such as 2026-12-31T00:00:00Z' }).describe('When the waiver ends.'),
});

function checkOf(finding: string): string {
  return finding.split(':', 1)[0] ?? '';
}

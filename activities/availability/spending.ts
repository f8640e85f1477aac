import { withSpending } from '../../domain/availability/availability.ts';
import { isAtLeast } from '../../domain/approval/rules.ts';
import { ToldError } from '../../domain/errors.ts';
import { ownValue } from '../../domain/map.ts';
import type { StepPlan } from '../../domain/plan/plan.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import type { AvailabilityLedger } from './ledger.ts';

interface Parts {
  configuration: Configuration;
  ledger: Pick<AvailabilityLedger, 'read'>;
  interrupts: (action: string) => boolean;
}

/**
 * The steps of a span with what they leave of the time that their target may refuse writes, where holdpoint.yaml sets one. Where records
 * cannot be read, nobody knows what is left, which is treated as if nothing were.
 */
export async function withAvailability(
  { configuration, ledger, interrupts }: Parts,
  { target, policy }: { target: string; policy: string | undefined },
  steps: readonly StepPlan[],
): Promise<StepPlan[]> {
  const goal = ownValue(configuration.availability ?? {}, target);
  if (!goal || !steps.some(({ uses }) => interrupts(uses))) return [...steps];
  const nowMs = Date.now();
  const { interruptions, unknown } = await ledger.read(target, nowMs - goal.perMs).then(
    (found) => ({ interruptions: found, unknown: undefined }),
    (error: unknown) => ({ interruptions: undefined, unknown: reasonOf(error) }),
  );
  const mayOverspend = mayOverspendBy(configuration, policy, goal.overspend);
  return withSpending(steps, { target, goal, interruptions, unknown, nowMs, interrupts, mayOverspend });
}

/** Errors of ours hold no secret; of others only that they were there is told. */
function reasonOf(error: unknown): string {
  if (error instanceof ToldError) return error.message.replace(/\.$/, '');
  return error instanceof Error && error.name === 'Error' ? error.message : 'the records of its runs cannot be read';
}

function mayOverspendBy(configuration: Configuration, given: string | undefined, least: string | undefined): boolean {
  const [own, wanted] = [given, least].map((name) => (name === undefined ? undefined : ownValue(configuration.policies, name)));
  return own !== undefined && wanted !== undefined && isAtLeast(own, wanted, configuration);
}

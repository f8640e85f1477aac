import { secondPersonOf, shortfallOf, type Parties, type Policy } from './policy.ts';

/** How the name of a hold begins at which others look at what somebody has released alone; then comes the name of that hold. */
export const reviewPrefix = 'review:';
/** How long such a hold waits: over a weekend and a holiday. It locks the target meanwhile, unless an operator ends it. */
export const reviewMs = 7 * 86_400_000;
/** How often it reminds where the policy does not say. */
const reviewRemindMs = 86_400_000;

/** Whether a person is named by a policy as somebody who may release its holds alone. Who is excluded from signing may be. */
export function mayBreakGlass({ breakGlass }: Policy, person: string): boolean {
  return breakGlass?.includes(person) === true;
}

/** The hold whose release is looked at; undefined for a hold of another kind. */
export function reviewedHold(hold: string): string | undefined {
  return hold.startsWith(reviewPrefix) ? hold.slice(reviewPrefix.length) : undefined;
}

/**
 * The policy of the hold at which others sign what was released by breaking the glass: the same people as for the policy itself, but for
 * whoever has broken it (`askedBy`). Where those are too few, one of them; undefined where nobody is left.
 */
export function reviewPolicyOf(parties: Parties): Policy | undefined {
  const { breakGlass: _breakGlass, ...rest } = parties.policy;
  const policy = { ...rest, expiresMs: reviewMs, remindMs: rest.remindMs ?? reviewRemindMs } as Policy;
  return [policy, secondPersonOf(policy)].find((possible) => shortfallOf({ ...parties, policy: possible }) === undefined);
}

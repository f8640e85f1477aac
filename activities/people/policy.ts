import { keysOf, type PersonKey } from '../../domain/approval/keys.ts';
import { everybody, type Policy } from '../../domain/approval/policy.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { ownValue } from '../../domain/map.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';

/** What asks for one other person where no policy of the configuration says who may sign. */
const secondPerson: Policy = {
  name: 'second-person',
  atLeast: 1,
  of: everybody,
  exclude: [],
  reason: 'optional',
  expiresMs: 24 * 3_600_000,
};

/** A policy as it is now, with the people of its group; without a name, one other person of all who are known. Throws `policy-unknown`. */
export function policyNow(configuration: Configuration, name: string | undefined): { policy: Policy; members: string[] } {
  const policy = name === undefined ? secondPerson : ownValue(configuration.policies, name);
  if (!policy) throw new HoldpointError('policy-unknown', { policy: name ?? '' });
  return { policy, members: membersOf(policy.of, configuration) };
}

/** The people of a group at this moment. */
export function membersOf(group: string, { people, groups }: Configuration): string[] {
  return ownValue(groups, group) ?? (group === everybody ? Object.keys(people) : []);
}

/** Public keys by person, with the times between which they count. */
export type PublicKeys = Record<string, readonly PersonKey[]>;

/** The keys of all people at this moment. */
export function keysNow({ people }: Configuration): PublicKeys {
  return Object.fromEntries(Object.entries(people).map(([person, keys]) => [person, keysOf(keys)]));
}

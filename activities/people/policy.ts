import { keysOf, type PersonKey } from '../../domain/approval/keys.ts';
import { everybody, withPeople, type Policy, type PolicyWithPeople } from '../../domain/approval/policy.ts';
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

/** A policy as it is now, with the people of its groups; without a name, one other person of all who are known. Throws `policy-unknown`. */
export function policyNow(configuration: Configuration, name: string | undefined): PolicyWithPeople {
  const policy = name === undefined ? secondPerson : ownValue(configuration.policies, name);
  if (!policy) throw new HoldpointError('policy-unknown', { policy: name ?? '' });
  return withPeople(policy, configuration);
}

/** Public keys by person, with the times between which they count. */
export type PublicKeys = Record<string, readonly PersonKey[]>;

/** The keys of all people at this moment. */
export function keysNow({ people }: Configuration): PublicKeys {
  return Object.fromEntries(Object.entries(people).map(([person, keys]) => [person, keysOf(keys)]));
}

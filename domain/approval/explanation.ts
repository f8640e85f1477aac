import {
  exclusionOf,
  fulfilmentOf,
  groupsNamedBy,
  groupsOf,
  policyInWords,
  shortfallOf,
  signersOf,
  type Fulfilment,
  type Parties,
} from './policy.ts';

/** What a policy comes to: who may sign, who may not and why, and what is missing if some people have signed. */
export interface Explanation {
  policy: string;
  /** Who must sign, in words. */
  asks: string;
  maySign: { person: string; groups: string[] }[];
  /** People of its groups, and those who are asked about, who do not count, each with the reason. */
  mayNotSign: { person: string; why: string }[];
  /** Who may release a hold alone; left out where nobody may. */
  mayBreakGlass?: string[];
  /** The people who are taken to have signed, if any were named. */
  signed?: Fulfilment & { people: string[] };
  /** Why nobody can meet it; absent where it can be met. */
  shortfall?: string;
}

/**
 * Explains a policy for a run.
 *
 * @param people those who are taken to have signed; undefined where nobody is asked about.
 */
export function explain(parties: Parties, people: readonly string[] | undefined): Explanation {
  const { policy, members } = parties;
  const signers = signersOf(parties);
  const others = [...new Set([...members, ...(people ?? [])])].filter((person) => !signers.includes(person));
  const explanation: Explanation = {
    policy: policy.name,
    asks: policyInWords(policy),
    maySign: signers.map((person) => ({ person, groups: groupsOf(parties, person) })),
    mayNotSign: others.map((person) => ({ person, why: whyNot(parties, person) })),
  };
  if (policy.breakGlass) explanation.mayBreakGlass = [...policy.breakGlass];
  const shortfall = shortfallOf(parties);
  if (shortfall !== undefined) explanation.shortfall = shortfall;
  const approvals = people?.map((person) => ({ person }));
  if (people && approvals) explanation.signed = { people: [...people], ...fulfilmentOf(parties, approvals) };
  return explanation;
}

function whyNot(parties: Parties, person: string): string {
  const { policy } = parties;
  switch (exclusionOf(parties, person)) {
    case 'requester':
      return 'starts the run, and the requester does not count';
    case 'earlier-approvers':
      return 'has signed at an earlier hold';
    case 'person':
      return 'is excluded by name';
    case 'asker':
      return 'has asked for it';
    case undefined:
  }
  const { escalate } = policy;
  const isLater = escalate !== undefined && signersOf({ ...parties, escalatedAt: 'later' }).includes(person);
  return isLater ? `is in ${escalate.to}, whose people may sign later only` : `is not in ${groupsNamedBy(policy).join(' or ')}`;
}

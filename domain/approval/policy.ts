/** An approval policy of holdpoint.yaml: who must sign for a hold to be released. */
export interface Policy {
  name: string;
  /** How many different people must approve. */
  atLeast: number;
  /** The group they must belong to. */
  of: string;
  /** `requester`: whoever started the run does not count. */
  exclude: 'requester'[];
  /** Whether a decision needs a reason. */
  reason: 'required' | 'optional';
  /** After this long without a verdict the hold closes; silence never approves. */
  expiresMs: number;
}

/** The name that stands for everybody who is known, where no policy says who may sign. */
export const everybody = 'people';

/** Who takes part in a decision besides the members of the policy's group. */
export interface Parties {
  policy: Policy;
  /** People of the policy's group. */
  members: readonly string[];
  requester: string;
  /** The operator who has asked for what is to be signed, where that is not a step of the runbook: somebody else has to sign it. */
  askedBy?: string;
}

/** The people whose signatures count, in the order of the members. */
export function signersOf({ policy, members, requester, askedBy }: Parties): string[] {
  return [...new Set(members)].filter((person) => person !== askedBy && !isExcluded(policy, requester, person));
}

/** Whether the policy keeps the requester from signing, and the person is the requester. */
export function isExcluded({ exclude }: Policy, requester: string, person: string): boolean {
  return exclude.includes('requester') && person === requester;
}

/** How many people must approve. A policy that asks for nobody is a mistake, and a mistake must not release a hold. */
export function approvalsNeeded({ atLeast }: Policy): number {
  return Math.max(atLeast, 1);
}

/** Why a policy can never be met, as a sentence; undefined where it can. */
export function shortfallOf(parties: Parties): string | undefined {
  const { policy, requester, askedBy } = parties;
  const signers = signersOf(parties);
  if (signers.length >= approvalsNeeded(policy)) return undefined;
  const but = askedBy === undefined ? '' : `, as ${askedBy} has asked for it`;
  return (
    `Policy ${policy.name} asks for ${policy.atLeast} of ${policy.of}, ` +
    `but only ${signers.length} of its people may sign for a run of ${requester}${but}.`
  );
}

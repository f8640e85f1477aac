/** An approval policy of holdpoint.yaml: who must sign for a hold to open. */
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

/** A hold as it is put to the approvers; drift opens it anew under the next number. */
export interface Opening {
  hold: string;
  /** 1 for the first time, 2 after the first drift … */
  opening: number;
  question: string;
  planHash: string;
  policy: Policy;
  /** People of the policy's group when the hold was opened. */
  members: string[];
  requester: string;
  /** ISO 8601, UTC. */
  openedAt: string;
  expiresAt: string;
}

/** A decision that has been accepted: checked by the rules and its signature verified. */
export interface Decision {
  person: string;
  decision: 'approve' | 'reject';
  reason: string;
  at: string;
  /** The compact JWS. */
  jws: string;
}

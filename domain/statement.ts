/** What a person signs with their own key when deciding on a hold: the claims of a compact JWS. */
export interface DecisionStatement {
  kind: 'decision';
  person: string;
  run: string;
  hold: string;
  opening: number;
  planHash: string;
  decision: 'approve' | 'reject';
  reason: string;
  /** ISO 8601, UTC. */
  at: string;
  nonce: string;
}

/** What the requester signs when starting a run: the plan of the first span, as it was shown. */
export interface StartStatement {
  kind: 'start';
  person: string;
  run: string;
  target: string;
  /** Digest of the runbook document. */
  runbook: string;
  planHash: string;
  at: string;
  nonce: string;
}

export type Statement = DecisionStatement | StartStatement;

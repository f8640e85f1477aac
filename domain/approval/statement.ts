/** What a person signs with their own key when deciding on a hold: the claims of a compact JWS. */
export interface DecisionStatement {
  kind: 'decision';
  person: string;
  run: string;
  hold: string;
  request: number;
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

/**
 * What an operator can tell a run. About the whole: `pause`, `resume` (also: take back what was asked for), `undo` (go back step by
 * step), `abort`. About the step that is stuck: `retry`, `skip` (leave it out), `done` (it was done by hand), `adopt` (take the same
 * change, begun by somebody else, for its own).
 */
export const commandNames = ['pause', 'resume', 'undo', 'abort', 'retry', 'skip', 'done', 'adopt'] as const;
export type CommandName = (typeof commandNames)[number];

/** The words that are about the stuck step, and name it. */
export const stepCommands: readonly CommandName[] = ['retry', 'skip', 'done', 'adopt'];

/** What an operator signs when telling a run what to do. */
export interface CommandStatement {
  kind: 'command';
  person: string;
  run: string;
  command: CommandName;
  /** The stuck step that is meant; empty for a word that is about the whole run. */
  step: string;
  reason: string;
  at: string;
  nonce: string;
}

export type Statement = DecisionStatement | StartStatement | CommandStatement;

/** A statement without what only its signer knows: what a verifier holds against the signed claims. */
export type ExpectedStatement =
  Omit<DecisionStatement, 'at' | 'nonce'> | Omit<StartStatement, 'at' | 'nonce'> | Omit<CommandStatement, 'at' | 'nonce'>;

/** The `typ` of the JWS header, so that no other token signed with the same key passes for a statement. */
export const statementType = 'holdpoint+jws';

/** The only signature algorithm that is accepted; the key is Ed25519. */
export const statementAlgorithm = 'EdDSA';

/** How long a compact JWS may be; a reason of full length in any script fits. */
export const statementCharactersMax = 12 * 1024;

const personPattern = /^[a-z][a-z0-9._-]{0,62}$/;

/** Whether a text can be a person's id: up to 63 lower-case letters, digits, `.`, `_` and `-`, a letter first. */
export function isPersonId(text: string): boolean {
  return personPattern.test(text);
}

/** The first claim that is not what the verifier expects, or undefined where all of them are. */
export function differingClaim(
  claims: Statement,
  expected: ExpectedStatement,
): { claim: string; signed: unknown; expected: unknown } | undefined {
  const signed: Record<string, unknown> = { ...claims };
  for (const [claim, value] of Object.entries(expected)) {
    if (signed[claim] !== value) return { claim, signed: signed[claim], expected: value };
  }
  return undefined;
}

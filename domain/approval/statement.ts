import { utf8ToBytes } from '@noble/hashes/utils.js';
import { base64urlOf } from '../base64.ts';
import { questionDigest, type ApprovalRequest } from './request.ts';
import type { Ticket } from '../ticket.ts';
import { timeMsOf } from '../time.ts';

/**
 * What an operator can tell a run. About the whole: `pause`, `resume` (also: take back what was asked for), `undo` (go back step by
 * step), `abort`, `proceed` (begin although the window is shut). About the step that is stuck: `retry`, `skip` (leave it out), `done` (it
 * was done by hand), `adopt` (take the same change, begun by somebody else, for its own).
 */
export const commandNames = ['pause', 'resume', 'undo', 'abort', 'retry', 'skip', 'done', 'adopt', 'proceed'] as const;
export type CommandName = (typeof commandNames)[number];

/** Commands that depart from what was signed: the person has to say why. */
export const commandsWithReason: readonly CommandName[] = ['skip', 'done', 'undo', 'adopt', 'proceed'];

/** The commands that are about the stuck step, and name it. */
export const stepCommands: readonly CommandName[] = ['retry', 'skip', 'done', 'adopt'];

/** How a claim is written: any text, a whole number, a time (ISO 8601, UTC), or one of a few words. */
type ClaimType = 'text' | 'integer' | 'time' | readonly string[];

/** What an answer to a request for approval says that it answers. `question` is the digest of its question, see `questionDigest`. */
const answerClaims = {
  person: 'text',
  run: 'text',
  hold: 'text',
  request: 'integer',
  planHash: 'text',
  question: 'text',
} as const satisfies Record<string, ClaimType>;

/**
 * What people sign, by the kind of statement: each claim with its type. This is the one list of them: what is signed, sent, verified
 * and found again in evidence follows from it. Every statement has `kind`, `at` (when it was signed) and `nonce` besides.
 */
const claimTypes = {
  /** The requester starts a run. `runbook` is the digest of the document, `planHash` that of the first span as it was shown. */
  start: { person: 'text', run: 'text', target: 'text', runbook: 'text', planHash: 'text' },
  /**
   * A schedule may start runs in the name of its requester. `runbook` and `inputsHash` are digests; `calendar` is the name of a calendar of
   * holdpoint.yaml, or the times of the schedule itself as canonical JSON; `catchUpMs` is how late a start may be, 0 for as long as the
   * window is open. No plan is signed by it.
   */
  schedule: {
    person: 'text',
    schedule: 'text',
    target: 'text',
    runbook: 'text',
    inputsHash: 'text',
    calendar: 'text',
    jitterMs: 'integer',
    catchUpMs: 'integer',
  },
  /** An answer to a request for approval. */
  decision: {
    ...answerClaims,
    decision: ['approve', 'reject'],
    reason: 'text',
  },
  /** An approval that counts from a later time on. */
  'deferred-approval': {
    ...answerClaims,
    from: 'time',
    reason: 'text',
  },
  /** An approval in the place of somebody else. `delegation` is the digest of their signed delegation, see `approvalId`. */
  'delegated-approval': {
    ...answerClaims,
    delegation: 'text',
    reason: 'text',
  },
  /** Releases a hold alone, as somebody whom its policy names for that. */
  'break-glass': {
    ...answerClaims,
    reason: 'text',
  },
  /** Lets another person approve in one's own place. `scope` is `policy/NAME` or `group/NAME`; it ends at `until`. */
  delegation: { person: 'text', to: 'text', scope: 'text', until: 'time', reason: 'text' },
  /** Takes one's own approval back. `approval` is the digest of the signed approval, see `approvalId`. */
  withdrawal: { person: 'text', run: 'text', hold: 'text', request: 'integer', planHash: 'text', approval: 'text', reason: 'text' },
  /** An operator tells a run what to do. `step` is the stuck step that is meant, empty for a command about the whole run. */
  command: { person: 'text', run: 'text', command: commandNames, step: 'text', reason: 'text' },
  /**
   * An approval given before there is a run, for one opening of a window. `runbook` and `inputs` are digests; `policy` is its name;
   * `notBefore` and `notAfter` are the opening.
   */
  'pre-approval': {
    person: 'text',
    target: 'text',
    runbook: 'text',
    inputs: 'text',
    hold: 'text',
    policy: 'text',
    planHash: 'text',
    notBefore: 'time',
    notAfter: 'time',
    reason: 'text',
  },
} as const satisfies Record<string, Record<string, ClaimType>>;

/** Claims that a statement may have besides. One that is there is signed like the others, and one that is not expected is a difference. */
const optionalClaims = {
  /** What the run is done for: the id of a ticket, and its link. */
  start: ['ticket', 'ticketLink'],
  schedule: ['ticket', 'ticketLink'],
} as const satisfies Partial<Record<StatementKind, readonly string[]>>;

const freshnessTypes = { at: 'time', nonce: 'text' } as const satisfies Record<string, ClaimType>;

type ClaimTypes = typeof claimTypes;
type ValueOf<Type> = Type extends readonly (infer Word)[] ? Word : Type extends 'integer' ? number : string;

export type StatementKind = keyof ClaimTypes;

/** The claims of a kind of statement that are known to whoever asks for it. */
export type ClaimsOf<Kind extends StatementKind> = { -readonly [Name in keyof ClaimTypes[Kind]]: ValueOf<ClaimTypes[Kind][Name]> } & {
  [Name in OptionalClaim<Kind>]?: string;
};

type OptionalClaim<Kind extends StatementKind> = Kind extends keyof typeof optionalClaims ? (typeof optionalClaims)[Kind][number] : never;

/** What only its signer knows of a statement: when it was signed (ISO 8601, UTC), and something that no other statement has. */
interface Freshness {
  at: string;
  nonce: string;
}

export type StatementOf<Kind extends StatementKind> = { kind: Kind } & ClaimsOf<Kind> & Freshness;
export type StartStatement = StatementOf<'start'>;
export type DecisionStatement = StatementOf<'decision'>;
export type DeferredApprovalStatement = StatementOf<'deferred-approval'>;
export type DelegatedApprovalStatement = StatementOf<'delegated-approval'>;
export type BreakGlassStatement = StatementOf<'break-glass'>;
export type DelegationStatement = StatementOf<'delegation'>;
export type WithdrawalStatement = StatementOf<'withdrawal'>;
export type CommandStatement = StatementOf<'command'>;
export type PreApprovalStatement = StatementOf<'pre-approval'>;
export type ScheduleStatement = StatementOf<'schedule'>;

/** What a person signs with their own key. */
export type Statement = { [Kind in StatementKind]: StatementOf<Kind> }[StatementKind];

type WithoutFreshness<Of> = Of extends unknown ? Omit<Of, keyof Freshness> : never;

/** A statement without what only its signer knows: what a verifier holds against the signed claims. */
export type ExpectedStatement = WithoutFreshness<Statement>;

/** What a person was shown, and what they want to say to it; `statementFor` makes the statement of it. */
export type Shown =
  | {
      kind: 'start';
      run: string;
      forecast: { target: string; runbook: { digest: string }; spans: readonly { plan: { hash: string } }[] };
      ticket?: Ticket;
    }
  | {
      kind: 'decision';
      run: string;
      request: Pick<ApprovalRequest, 'hold' | 'number' | 'planHash' | 'question'>;
      decision: DecisionStatement['decision'];
      reason: string;
    }
  | {
      kind: 'deferred-approval';
      run: string;
      request: Pick<ApprovalRequest, 'hold' | 'number' | 'planHash' | 'question'>;
      from: string;
      reason: string;
    }
  | {
      kind: 'delegated-approval';
      run: string;
      request: Pick<ApprovalRequest, 'hold' | 'number' | 'planHash' | 'question'>;
      delegation: string;
      reason: string;
    }
  | {
      kind: 'break-glass';
      run: string;
      request: Pick<ApprovalRequest, 'hold' | 'number' | 'planHash' | 'question'>;
      reason: string;
    }
  | ({ kind: 'delegation' } & Omit<ClaimsOf<'delegation'>, 'person'>)
  | ({ kind: 'schedule' } & Omit<ClaimsOf<'schedule'>, 'person'>)
  | { kind: 'withdrawal'; run: string; request: Pick<ApprovalRequest, 'hold' | 'number' | 'planHash'>; approval: string; reason: string }
  | { kind: 'command'; state: { run: string; stuck?: { step: string } }; command: CommandName; reason: string }
  | ({ kind: 'pre-approval' } & Omit<ClaimsOf<'pre-approval'>, 'person'>);

/** The `typ` of the JWS header, so that no other token signed with the same key passes for a statement. */
export const statementType = 'holdpoint+jws';

/**
 * How a statement is signed, as the `alg` of its JWS header says: `EdDSA` by the key itself (RFC 8037), `SSHSIG` as `ssh-keygen -Y sign`
 * does. Which of them is accepted, the key that holdpoint.yaml has of the person says, never the header.
 */
export type StatementAlgorithm = 'EdDSA' | 'SSHSIG';

/** How long a compact JWS may be; a reason of full length in any script fits. */
export const statementCharactersMax = 12 * 1024;

const personPattern = /^[a-z][a-z0-9._-]{0,62}$/;

/** Whether a text can be a person's id: up to 63 lower-case letters, digits, `.`, `_` and `-`, a letter first. */
export function isPersonId(text: string): boolean {
  return personPattern.test(text);
}

/**
 * The statement to sign, of exactly what was shown.
 *
 * @param signedBy who signs, when (ISO 8601, UTC), and a text that no other statement has.
 */
export function statementFor<Kind extends StatementKind>(
  shown: Extract<Shown, { kind: Kind }>,
  signedBy: { person: string } & Freshness,
): StatementOf<Kind> {
  return { ...shownClaims(shown), ...signedBy } as StatementOf<Kind>;
}

function shownClaims(shown: Shown): { kind: StatementKind } {
  switch (shown.kind) {
    case 'start': {
      const { kind, run, forecast, ticket } = shown;
      const planHash = forecast.spans[0]?.plan.hash ?? '';
      return claims({ kind, run, target: forecast.target, runbook: forecast.runbook.digest, planHash, ...ticketClaims(ticket) });
    }
    case 'decision': {
      const { kind, run, request, decision, reason } = shown;
      const { hold, number, planHash } = request;
      const question = questionDigest(request);
      return claims({ kind, run, hold, request: number, planHash, question, decision, reason });
    }
    case 'deferred-approval': {
      const { kind, run, request, from, reason } = shown;
      const { hold, number, planHash } = request;
      return claims({ kind, run, hold, request: number, planHash, question: questionDigest(request), from, reason });
    }
    case 'delegated-approval': {
      const { kind, run, request, delegation, reason } = shown;
      const { hold, number, planHash } = request;
      return claims({ kind, run, hold, request: number, planHash, question: questionDigest(request), delegation, reason });
    }
    case 'break-glass': {
      const { kind, run, request, reason } = shown;
      const { hold, number, planHash } = request;
      return claims({ kind, run, hold, request: number, planHash, question: questionDigest(request), reason });
    }
    case 'withdrawal': {
      const { kind, run, request, approval, reason } = shown;
      const { hold, number, planHash } = request;
      return claims({ kind, run, hold, request: number, planHash, approval, reason });
    }
    case 'command': {
      const { kind, state, command, reason } = shown;
      const step = stepCommands.includes(command) ? (state.stuck?.step ?? '') : '';
      return claims({ kind, run: state.run, command, step, reason });
    }
    case 'delegation':
    case 'schedule':
    case 'pre-approval':
      return shown;
  }
}

/** A ticket as claims; none where there is none. */
export function ticketClaims(ticket: Ticket | undefined): Pick<ClaimsOf<'start'>, 'ticket' | 'ticketLink'> {
  if (!ticket) return {};
  return { ticket: ticket.id, ...(ticket.link !== undefined && { ticketLink: ticket.link }) };
}

/** Has the compiler see that no claim is missing. */
function claims<Kind extends StatementKind>(values: { kind: Kind } & Omit<ClaimsOf<Kind>, 'person'>): { kind: Kind } {
  return values;
}

/**
 * The bytes that are signed for a statement: the signing input of a JWS (RFC 7515, section 5.1), with header and claims as
 * canonical JSON (RFC 8785), so that every client signs the same bytes for the same statement. With `SSHSIG` they are the message that
 * `ssh-keygen -Y sign` is given.
 */
export function bytesToSign(statement: Statement, algorithm: StatementAlgorithm = 'EdDSA'): Uint8Array {
  return utf8ToBytes(signingInputOf(statement, algorithm));
}

/** A statement with its signature over `bytesToSign`, as it is sent and kept: a compact JWS. */
export function signedWith(statement: Statement, signature: Uint8Array, algorithm: StatementAlgorithm = 'EdDSA'): string {
  return `${signingInputOf(statement, algorithm)}.${base64urlOf(signature)}`;
}

/** The bytes of a statement of which a passkey signs the hash: its claims as canonical JSON (RFC 8785). */
export function bytesOfStatement(statement: Statement): Uint8Array {
  return utf8ToBytes(flatJsonOf(statement));
}

function signingInputOf(statement: Statement, algorithm: StatementAlgorithm): string {
  const header = { alg: algorithm, typ: statementType, kid: statement.person };
  return [header, statement].map((part) => base64urlOf(utf8ToBytes(flatJsonOf(part)))).join('.');
}

/** Of texts and whole numbers by name, RFC 8785 is nothing but the order of the names. */
function flatJsonOf(values: object): string {
  return JSON.stringify(Object.fromEntries(Object.entries(values).sort(([one], [other]) => (one < other ? -1 : 1))));
}

/**
 * The names of the claims of a kind, without `kind`, `at` and `nonce`.
 *
 * @param writtenAs only those that are sent as text, or as whole numbers.
 */
export function claimNames(kind: StatementKind, writtenAs?: 'text' | 'integer'): string[] {
  const types: Record<string, ClaimType> = claimTypes[kind];
  const isWanted = (type: ClaimType): boolean => writtenAs === undefined || (type === 'integer') === (writtenAs === 'integer');
  return Object.entries(types).flatMap(([name, type]) => (isWanted(type) ? [name] : []));
}

/** The names of the claims that a statement of a kind may have besides. */
export function optionalClaimNames(kind: string): readonly string[] {
  return Object.hasOwn(optionalClaims, kind) ? optionalClaims[kind as keyof typeof optionalClaims] : [];
}

/** What a statement says to whoever asked for it: all but what its signer alone knows. */
export function expectedOf<Of extends Statement>(statement: Of): WithoutFreshness<Of> {
  const { at: _at, nonce: _nonce, ...expected } = statement;
  return expected as unknown as WithoutFreshness<Of>;
}

/**
 * Reads what somebody has signed.
 *
 * @returns the statement, or what is wrong with the value: the names of claims that are missing, of another type or not known.
 */
export function readStatement(value: unknown): { statement: Statement } | { wrong: string[] } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { wrong: ['the whole'] };
  const values = value as Record<string, unknown>;
  const { kind } = values;
  if (typeof kind !== 'string' || !Object.hasOwn(claimTypes, kind)) return { wrong: ['kind'] };
  const types: Record<string, ClaimType> = { ...claimTypes[kind as StatementKind], ...freshnessTypes };
  const optional = optionalClaimNames(kind).filter((name) => values[name] !== undefined);
  for (const name of optional) types[name] = 'text';
  const unknown = Object.keys(values).filter((name) => name !== 'kind' && !Object.hasOwn(types, name));
  const misfits = Object.entries(types).flatMap(([name, type]) => (isOfType(values[name], type) ? [] : [name]));
  const wrong = [...misfits, ...unknown, ...(values.nonce === '' ? ['nonce'] : [])];
  return wrong.length === 0 ? { statement: value as Statement } : { wrong };
}

function isOfType(value: unknown, type: ClaimType): boolean {
  if (type === 'integer') return Number.isSafeInteger(value);
  if (typeof value !== 'string') return false;
  if (type === 'time') return timeMsOf(value) !== undefined;
  return type === 'text' || type.includes(value);
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
  const surplus = optionalClaimNames(claims.kind).find((name) => signed[name] !== undefined && !Object.hasOwn(expected, name));
  return surplus === undefined ? undefined : { claim: surplus, signed: signed[surplus], expected: undefined };
}

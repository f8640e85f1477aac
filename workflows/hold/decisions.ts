import { patched } from '@temporalio/workflow';
import type { EarlierWord } from '../../activities/index.ts';
import { readPreApproval } from '../../domain/approval/pre-approval.ts';
import { groupsOf } from '../../domain/approval/policy.ts';
import { refusalOf, refusalOfWithdrawal } from '../../domain/approval/refusal.ts';
import { readDelegation } from '../../domain/approval/delegation.ts';
import { approvalId, questionDigest, standingOf, type Decision } from '../../domain/approval/request.ts';
import {
  claimNames,
  expectedOf,
  type DelegationStatement,
  type ExpectedStatement,
  type StatementKind,
} from '../../domain/approval/statement.ts';
import { signedEvidence } from '../../domain/evidence/evidence.ts';
import { isObject } from '../../domain/json.ts';
import type { HoldState } from '../../domain/run/state.ts';
import type { DecisionAnswer, WordAtHold } from '../messages.ts';
import type { Failure } from '../run/failure.ts';
import { misshapen, recordedRefusalsPatch, refusalFailure, type RefusedWord } from '../run/refusal.ts';
import type { Run } from '../run/run.ts';

type Expected = Extract<ExpectedStatement, { kind: NonNullable<WordAtHold['kind']> }>;

/** The kinds of statements that are said at a hold. */
const kindsAtHold: readonly StatementKind[] = ['decision', 'deferred-approval', 'delegated-approval', 'break-glass', 'withdrawal'];

/** The validator of a decision: refuses what is not even to be written down. It must not be async, or it would refuse nothing. */
export function refuseDecision(run: Run, sent: WordAtHold): void {
  const refused = refusedIn(run, sent);
  if (refused) return run.letInToRefuse(refused);
  const { expected, delegation } = wordIn(sent);
  const forgery = run.forgeryIn(expected, sent.signature) ?? (delegation && run.forgeryIn(delegation.expected, delegation.signature));
  if (forgery) throw refusalFailure(forgery);
}

/** Why what somebody says at a hold is refused whatever its signature is worth; undefined where it is not. */
function refusedIn(run: Run, sent: WordAtHold): RefusedWord | undefined {
  const malformed = faultInShape(sent);
  // It can be anything, even nothing.
  if (malformed) return { ...malformed, person: isObject(sent) ? sent.person : '', attempt: 'decide', isSigned: false };
  const { expected, delegation } = wordIn(sent);
  const refusal = faultInDelegation(expected, delegation) ?? refusalOfWord(run, expected, sent.signature, delegation);
  if (!refusal) return undefined;
  const { person } = expected;
  return { ...refusal, person, attempt: attemptOf(expected), isSigned: run.isSigned(expected, sent.signature) };
}

function faultInShape(sent: WordAtHold): Failure | undefined {
  const kind: StatementKind = (isObject(sent) ? (sent.kind as StatementKind) : undefined) ?? 'decision';
  if (!kindsAtHold.includes(kind)) {
    const reason = `At a hold nothing can be said of the kind ${JSON.stringify(kind)?.slice(0, 100)}.`;
    return { code: 'request-malformed', reason, remedy: 'Use the same version of `holdpoint` as the worker.' };
  }
  const signatures = kind === 'delegated-approval' ? ['signature', 'delegationSignature'] : ['signature'];
  return misshapen(sent, [...claimNames(kind, 'text'), ...signatures], claimNames(kind, 'integer'));
}

/** Verifies the signature of a decision against the people of this moment and counts it, if it still may count then. */
export async function takeDecision(run: Run, sent: WordAtHold): Promise<DecisionAnswer> {
  const refused = refusedIn(run, sent);
  // Validators of before have let in nothing of the kind, and words of another shape.
  if (refused && patched(recordedRefusalsPatch)) return run.refuse(refused);
  const { signature } = sent;
  const { expected, delegation: told } = wordIn(sent);
  const { person } = expected;
  const request = run.state.hold?.request;
  const delegation = told && request && { ...told, groups: groupsOf(request, told.statement.person) };
  const breakGlass = expected.kind === 'break-glass' ? request?.policy.name : undefined;
  const groups = request && !delegation && breakGlass === undefined ? groupsOf(request, person) : undefined;
  // Whoever takes an approval back has left nobody's group by that.
  const isWithdrawal = expected.kind === 'withdrawal';
  const verified = await run.verify(
    isWithdrawal ? { expected, signature } : { expected, signature, groups, delegation, breakGlass, earlier: earlierDecisions(run) },
  );
  // The request may have been closed, or the same person may have decided, while the signature was verified.
  const refusal = verified.ok ? refusalOfWord(run, expected, signature, told) : verified;
  if (!verified.ok || refusal || !run.state.hold) {
    const closed = { code: 'hold-not-waiting', reason: 'The hold does not wait for signatures any more.', remedy: 'Look again.' };
    const { code, reason: why, remedy } = refusal ?? closed;
    await run.recordRefusal({ person, attempt: attemptOf(expected), code, reason: why });
    throw refusalFailure({ code, reason: why, remedy }, true);
  }
  const held = run.state.hold;
  for (const { person, reason } of verified.voided ?? []) voidDecision(run, held, person, reason);
  count(held, expected, { at: verified.at, jws: signature }, told);
  const standing = standingOf(held.request, held.decisions, run.nowMs);
  // Whoever looks after their decision must not see the hold as still waiting.
  if (standing.state !== 'waiting') run.enter('planning');
  const { kind, body } = signedEvidence(expected, signature, verified.publicKey);
  if (told) {
    const other = signedEvidence(told.expected, told.signature, verified.delegatorKey ?? '');
    void run.note(other.kind, other.body);
  }
  // The last one of a hold is written with what follows from it, when the plan has been looked at once more.
  await (standing.state === 'approved' && held.request.askedBy === undefined ? run.note(kind, body) : run.record(kind, body));
  return { state: standing.state, missing: standing.state === 'waiting' ? standing.missing : 0 };
}

/** A delegation as it came with an approval. */
interface ToldDelegation {
  statement: DelegationStatement;
  expected: ExpectedStatement;
  signature: string;
}

/** What somebody says at a hold, with the delegation that it is said under, where there is one. */
function wordIn(sent: WordAtHold): { expected: Expected; delegation: ToldDelegation | undefined } {
  const { signature: _signature, ...claims } = sent;
  const { delegationSignature: _delegation, ...rest } = claims as typeof claims & { delegationSignature?: string };
  const expected = { ...rest, kind: rest.kind ?? 'decision' } as Expected;
  if (sent.kind !== 'delegated-approval') return { expected, delegation: undefined };
  const { delegationSignature: signature, delegation } = sent;
  const statement = readDelegation(signature);
  const isTold = statement && approvalId(signature) === delegation;
  return { expected, delegation: isTold ? { statement, expected: expectedOf(statement), signature } : undefined };
}

function faultInDelegation({ kind, person }: Expected, delegation: ToldDelegation | undefined): Failure | undefined {
  if (kind !== 'delegated-approval' || delegation) return undefined;
  const reason = `The approval of ${person} comes without the delegation that it is given under.`;
  return { code: 'delegation-malformed', reason, remedy: 'Approve with `--delegation FILE`, which has the delegation.' };
}

function attemptOf(expected: Expected): string {
  if (expected.kind === 'withdrawal') return 'withdraw';
  if (expected.kind === 'break-glass') return 'break-glass';
  return expected.kind === 'decision' ? expected.decision : 'approve';
}

/** Adds a decision to those that count, or takes one out. */
function count(held: HoldState, expected: Expected, signed: { at: string; jws: string }, delegation: ToldDelegation | undefined): void {
  const { person, reason } = expected;
  if (expected.kind === 'withdrawal') {
    const taken = held.decisions.filter((decision) => decision.person === person);
    held.decisions.splice(0, held.decisions.length, ...held.decisions.filter((decision) => decision.person !== person));
    held.withdrawn = [...(held.withdrawn ?? []), ...taken];
  } else if (expected.kind === 'deferred-approval') {
    held.decisions.push({ person, decision: 'approve', reason, from: expected.from, ...signed });
  } else if (expected.kind === 'delegated-approval') {
    const under = { inPlaceOf: delegation?.statement.person, delegation: delegation?.signature };
    held.decisions.push({ person, decision: 'approve', reason, ...under, ...signed });
  } else if (expected.kind === 'break-glass') {
    held.decisions.push({ person, decision: 'approve', reason, breaksGlass: true, ...signed });
  } else held.decisions.push({ person, decision: expected.decision, reason, ...signed });
}

/** Takes back what does not count any more, where nobody signs by whose signature a worker would find out. */
export async function recheckDecisions(run: Run, held: HoldState): Promise<void> {
  for (const { person, reason } of await run.findVoided(earlierDecisions(run))) voidDecision(run, held, person, reason);
}

/** What others have signed at the hold that waits: people may have left since, or been given another key. */
function earlierDecisions({ state: { run, hold: held } }: Run): EarlierWord[] {
  if (!held) return [];
  const { request } = held;
  return held.decisions.map((decision) => {
    const { jws: signature, delegation, inPlaceOf } = decision;
    const word = { expected: statementOf(run, held, decision), signature };
    const statement = delegation === undefined ? undefined : readDelegation(delegation);
    if (decision.breaksGlass) return { ...word, groups: [], breakGlass: request.policy.name };
    if (delegation === undefined || !statement) return { ...word, groups: groupsOf(request, decision.person) };
    const told = { statement, expected: expectedOf(statement), signature: delegation };
    return { ...word, groups: [], delegation: { ...told, groups: groupsOf(request, inPlaceOf ?? '') } };
  });
}

function statementOf(run: string, { request }: HoldState, decided: Decision): ExpectedStatement {
  const { person, decision, reason, from, delegation, breaksGlass } = decided;
  const inAdvance = decided.inAdvance && readPreApproval(decided.jws);
  if (inAdvance) return expectedOf(inAdvance);
  const { hold, number, planHash } = request;
  const claims = { person, run, hold, request: number, planHash, question: questionDigest(request), reason };
  if (breaksGlass) return { kind: 'break-glass', ...claims };
  if (delegation !== undefined) return { kind: 'delegated-approval', ...claims, delegation: approvalId(delegation) };
  return from === undefined ? { kind: 'decision', ...claims, decision } : { kind: 'deferred-approval', ...claims, from };
}

/** Takes a decision back that does not count any more: whoever has given it may decide again, if they may sign again. */
function voidDecision(run: Run, held: HoldState, person: string, reason: string): void {
  const place = held.decisions.findIndex((decision) => decision.person === person);
  if (place < 0) return;
  held.decisions.splice(place, 1);
  const { hold, number: request } = held.request;
  void run.note('decision.voided', { hold, request, person, reason });
}

function refusalOfWord(run: Run, expected: Expected, signature: string, delegation: ToldDelegation | undefined): Failure | undefined {
  const held = run.state.hold;
  const decisions = held?.decisions ?? [];
  if (expected.kind === 'withdrawal') return refusalOfWithdrawal(held?.request, decisions, expected, run.state.run);
  const under = delegation?.statement;
  const attempt =
    expected.kind === 'decision'
      ? expected
      : { ...expected, decision: 'approve' as const, under, breaksGlass: expected.kind === 'break-glass' };
  const refusal = refusalOf(held?.request, decisions, attempt, run.state.run, run.nowMs);
  const isTakenBack = held?.withdrawn?.some(({ jws }) => jws === signature) === true;
  if (refusal || !isTakenBack) return refusal;
  const reason = `This approval of ${expected.person} was taken back; a copy of it does not count.`;
  return { code: 'statement-used', reason, remedy: 'Sign anew.' };
}

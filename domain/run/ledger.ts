import { isGate } from '../action.ts';
import { approvalId } from '../approval/request.ts';
import type { ExpectedStatement } from '../approval/statement.ts';
import { endingKind, rollbackKind, signedClaimsOf, signedKinds, type EvidenceEntry } from '../evidence/evidence.ts';
import { isObject, type Json, type JsonObject } from '../json.ts';
import { timeMsOf } from '../time.ts';
import { startHold } from '../schedule/schedule.ts';
import { sealSpan, type SpanPlan, type StepPlan } from '../plan/plan.ts';
import { shutGateBefore } from './gates.ts';

/** What somebody is said to have signed; whether they have is for whoever knows their key to find out. */
export interface SignedWords {
  claims: ExpectedStatement;
  jws: string;
}

/** A request for signatures, and the decisions on it. */
export interface RequestInRecord {
  hold: string;
  number: number;
  plan: SpanPlan;
  question: string;
  /** Name of the policy that the run has asked for. */
  policy: string;
  /** The operator who has asked for it, where it is no hold of the runbook. */
  askedBy?: string;
  /** People who are said to have approved at holds of the runbook that were released before; one too many only excludes somebody. */
  earlierApprovers: string[];
  decisions: SignedWords[];
  /** Approvals that were taken back, by `approvalId`. */
  withdrawn: Set<string>;
  /** When it was put up, when further people could sign, and when it was released, in milliseconds since 1970. */
  requestedAtMs: number;
  escalatedAtMs?: number;
  releasedAtMs?: number;
  state: 'open' | 'closed' | 'released';
}

/** What a record says of a step that was begun. */
export interface StepInRecord {
  plan: StepPlan;
  /** When it was begun, the last time; in milliseconds since 1970. */
  startedAtMs: number;
  over: boolean;
  finished: boolean;
  /** Whether somebody else has begun the same change. */
  foreign: boolean;
  /** What an operator has asked for, and others have signed, where that has ended it. */
  endedBy?: 'skip' | 'done';
  /** The last command that had it tried again. */
  tryAgain?: SignedWords;
}

/** What a run may do at this moment, as its record says: the plan whose steps are next, and what it rests on. */
export type Grant =
  | { by: 'start'; plan: SpanPlan }
  | { by: 'hold'; plan: SpanPlan; request: RequestInRecord }
  /** A rollback: `request` is missing where the runbook asks for it when a step has failed, or is late at the close of the window. */
  | { by: 'rollback'; plan: SpanPlan; request?: RequestInRecord; failedStep?: string; lateStep?: string };

const rollbackHold = 'undo';
const windowHold = 'proceed';
/** The kinds of statements that are approvals, whatever they say. */
const approvalKinds: readonly string[] = ['deferred-approval', 'delegated-approval', 'break-glass', 'pre-approval'];

/**
 * What the record of a run says of what was signed and done, entry by entry. Nothing in it is believed: whoever acts upon it verifies the
 * signatures. Plans are known by the hash of their contents, so that a plan which is not what its hash says is none.
 */
export class Ledger {
  /** The last entry that was taken. */
  last: Pick<EvidenceEntry, 'sequence' | 'hash' | 'execution'> | undefined;
  ended = false;
  start: SignedWords | undefined;
  /** What the requester of a schedule has signed in advance for what comes before the first hold, and when it was taken up. */
  startSignedInAdvance: (SignedWords & { atMs: number }) | undefined;
  /** What the run was started with, as the record has it: `{ file, text, runbooks }`. */
  document: Json | undefined;
  /** The rest of what was said to the run: commands that were accepted. */
  readonly commands: SignedWords[] = [];
  /** Delegations that approvals are given under, by `approvalId`. */
  readonly delegations = new Map<string, SignedWords>();
  /** Steps that were begun, in that order. */
  readonly steps = new Map<string, StepInRecord>();
  /** The hold of the runbook that was released last. */
  releasedHold: RequestInRecord | undefined;
  /** What was signed last to begin although the window is shut. */
  windowException: RequestInRecord | undefined;
  private readonly requests = new Map<string, RequestInRecord>();
  private readonly approvers = new Set<string>();
  /** The plans that were carried out before the one at hand. */
  private readonly earlierPlans: SpanPlan[] = [];
  private firstPlan: SpanPlan | undefined;
  private rollback: Extract<Grant, { by: 'rollback' }> | undefined;
  private rollbackRequest: RequestInRecord | undefined;
  /** The last step that has failed, or that still went on when the window closed and was to be undone then. */
  failedStep: string | undefined;
  lateStep: string | undefined;

  /** The plan that the run carries out now; undefined before there is one. */
  grant(): Grant | undefined {
    if (this.rollback) return this.rollback;
    if (this.releasedHold) return { by: 'hold', plan: this.releasedHold.plan, request: this.releasedHold };
    return this.firstPlan && { by: 'start', plan: this.firstPlan };
  }

  /** The plan of the first span, which the start was signed with. */
  planOfStart(): SpanPlan | undefined {
    return this.firstPlan;
  }

  /** The rollback that an operator has asked for and others have released; undefined where there is none. */
  signedRollback(): RequestInRecord | undefined {
    return this.rollbackRequest;
  }

  /** The last request for signatures under that name, e.g. `sign` or `skip:healthy`. */
  requestOf(hold: string): RequestInRecord | undefined {
    return this.requests.get(hold);
  }

  /**
   * The gate that stands before a step of the plan that is carried out now and that the run has not passed; undefined where there is none.
   * A rollback waits for no gate: what is half changed must not stay so.
   */
  shutGateBefore(id: string): string | undefined {
    const grant = this.grant();
    const step = grant?.by === 'rollback' ? undefined : grant?.plan.steps.find((planned) => planned.id === id);
    if (!grant || !step) return undefined;
    const earlier = this.earlierPlans.flatMap(({ steps }) => steps.filter(({ uses }) => isGate(uses)));
    return shutGateBefore(id, [...earlier, ...grant.plan.steps], (gate) => this.isPassed(gate));
  }

  /** Whether a gate is over; one that was left out or vouched for also needs what was released for that. */
  private isPassed(gate: string): boolean {
    const { over = false, endedBy } = this.steps.get(gate) ?? {};
    if (!over || endedBy === undefined) return over;
    const request = this.requests.get(`${endedBy}:${gate}`);
    return request?.state === 'released' && request.plan.steps[0]?.id === gate;
  }

  /** The gates before a step in the plan that is carried out now which were left out or vouched for, by the names of those exceptions. */
  exceptionsBefore(id: string): { gate: string; command: 'skip' | 'done' }[] {
    const steps = this.grant()?.plan.steps ?? [];
    const before = steps.slice(
      0,
      steps.findIndex((planned) => planned.id === id),
    );
    return before.flatMap(({ id: gate, uses }) => {
      const command = isGate(uses) ? this.steps.get(gate)?.endedBy : undefined;
      return command === undefined ? [] : [{ gate, command }];
    });
  }

  /** Takes the next entry, with the values that are kept beside the record put into their places. */
  take(entry: EvidenceEntry): void {
    const { sequence, hash, execution, kind, body } = entry;
    this.last = { sequence, hash, execution };
    const signed = signedWordsIn(entry);
    switch (kind) {
      case signedKinds.start:
      case signedKinds.schedule:
        this.start ??= signed;
        this.document ??= body.document;
        break;
      case 'plan.made':
        this.firstPlan = planIn(body.plan);
        break;
      case signedKinds.command:
        if (signed) this.takeCommand(signed);
        break;
      case signedKinds.delegation:
        if (signed) this.delegations.set(approvalId(signed.jws), signed);
        break;
      case endingKind:
        this.ended = true;
        break;
      default:
        if (kind.startsWith('step.')) this.takeStep(entry);
        else this.takeRequest(entry, signed);
    }
  }

  private takeCommand(signed: SignedWords): void {
    this.commands.push(signed);
    if (signed.claims.kind !== 'command') return;
    const { command, step: id } = signed.claims;
    const step = this.steps.get(id);
    if (!step || (command !== 'retry' && command !== 'adopt')) return;
    step.tryAgain = signed;
    step.foreign = false;
  }

  private takeStep({ kind, body, at }: EvidenceEntry): void {
    const id = textOf(body.step);
    const plan = this.grant()?.plan.steps.find((planned) => planned.id === id);
    // A gate may be left out before anybody has looked at it.
    if (plan && isGate(plan.uses) && (kind === 'step.skipped' || kind === 'step.done') && !this.steps.has(id)) {
      this.steps.set(id, { plan, over: true, finished: false, foreign: false, startedAtMs: timeMsOf(at) ?? 0 });
    }
    const step = this.steps.get(id);
    if (kind === 'step.started') {
      // A step is begun once under a plan; what is said to be begun again stays as it was. What is not over may go on under another one.
      if (plan && (!step || (!step.over && step.plan !== plan))) {
        this.steps.set(id, { over: false, finished: false, foreign: false, ...step, plan, startedAtMs: timeMsOf(at) ?? 0 });
      }
    } else if (kind === 'step.failed') this.failedStep = id;
    if (step && (kind === 'step.stuck' || kind === 'step.failed')) step.foreign = body.code === 'change-in-flight';
    if (step && (kind === 'step.done' || kind === 'step.skipped')) step.over = true;
    if (step && kind === 'step.done') step.finished = true;
    if (step && kind === 'step.skipped') step.endedBy ??= 'skip';
    const isVouchedFor = body.byHand === true && Array.isArray(body.signedBy) && body.signedBy.length > 0;
    if (step && kind === 'step.done' && isVouchedFor) step.endedBy ??= 'done';
  }

  private takeRequest({ kind, body, at }: EvidenceEntry, signed: SignedWords | undefined): void {
    const hold = textOf(body.hold);
    const atMs = timeMsOf(at) ?? 0;
    if (kind === signedKinds['pre-approval'] && hold === startHold) this.startSignedInAdvance ??= signed && { ...signed, atMs };
    const request = this.requests.get(hold);
    switch (kind) {
      case 'hold.requested': {
        const made = requestIn(body, atMs, [...this.approvers]);
        // Numbers are never given twice, so that no signature fits a second request.
        if (made && made.number > (request?.number ?? 0)) this.requests.set(hold, made);
        break;
      }
      case signedKinds.decision:
      case signedKinds['deferred-approval']:
      case signedKinds['delegated-approval']:
      case signedKinds['break-glass']:
      case signedKinds['pre-approval']:
        if (signed) request?.decisions.push(signed);
        break;
      case signedKinds.withdrawal:
        request?.withdrawn.add(textOf(body.approval));
        break;
      case 'hold.escalated':
        if (request && request.number === body.request) request.escalatedAtMs ??= atMs;
        break;
      case 'hold.released':
        if (request?.state === 'open' && request.number === body.request) this.release(request, atMs);
        break;
      case 'hold.drifted':
      case 'hold.expired':
      case 'hold.withdrawn':
      case 'hold.rejected':
        if (request?.state === 'open') request.state = 'closed';
        break;
      case 'window.closed':
        if (body.atClose === 'undo' && this.steps.get(textOf(body.step))?.over === false) this.lateStep = textOf(body.step);
        break;
      case rollbackKind:
        this.turnRound(planIn(body.plan));
        break;
    }
  }

  private release(request: RequestInRecord, atMs: number): void {
    request.state = 'released';
    request.releasedAtMs = atMs;
    if (request.askedBy === undefined) {
      const before = this.grant();
      if (before) this.earlierPlans.push(before.plan);
      this.releasedHold = request;
      for (const { claims, jws } of request.decisions) {
        const isApproval = approvalKinds.includes(claims.kind) || (claims.kind === 'decision' && claims.decision === 'approve');
        if (isApproval && !request.withdrawn.has(approvalId(jws))) this.approvers.add(claims.person);
      }
    } else if (request.hold === rollbackHold) this.rollbackRequest = request;
    else if (request.hold === windowHold) this.windowException = request;
  }

  private turnRound(plan: SpanPlan | undefined): void {
    if (!plan || this.rollback) return;
    const request = this.rollbackRequest?.plan.hash === plan.hash ? this.rollbackRequest : undefined;
    this.rollback = { by: 'rollback', plan, request, failedStep: this.failedStep, lateStep: this.lateStep };
  }
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

function signedWordsIn(entry: EvidenceEntry): SignedWords | undefined {
  const signed = signedClaimsOf(entry);
  if (typeof signed?.jws !== 'string') return undefined;
  return { claims: signed.claims as unknown as ExpectedStatement, jws: signed.jws };
}

function requestIn(
  { hold, number, plan: plannedAs, question, policy, askedBy }: JsonObject,
  requestedAtMs: number,
  earlierApprovers: string[],
): RequestInRecord | undefined {
  const plan = planIn(plannedAs);
  const name = isObject(policy) ? policy.name : undefined;
  const isWhole = typeof hold === 'string' && typeof number === 'number' && typeof question === 'string' && typeof name === 'string';
  if (!plan || !isWhole) return undefined;
  const told = { hold, number, plan, question, policy: name };
  const request: RequestInRecord = { ...told, earlierApprovers, decisions: [], withdrawn: new Set(), requestedAtMs, state: 'open' };
  if (typeof askedBy === 'string') request.askedBy = askedBy;
  return request;
}

/** A plan whose hash is that of its contents; of what the hash does not cover, only what the progress of a step is shown with. */
export function planIn(value: Json | undefined): SpanPlan | undefined {
  try {
    const { hash, ...told } = value as unknown as SpanPlan;
    const steps = told.steps.map(({ plan, ...step }) => {
      const { effects, facts, risks, details, outputs } = plan;
      const unsigned = { details: isObject(details) ? details : {}, outputs: isObject(outputs) ? outputs : {} };
      return { ...step, plan: { effects, facts, risks, blockers: [], notes: [], estimateMs: 0, ...unsigned } };
    });
    const sealed = sealSpan({ ...told, steps });
    return sealed.hash === hash ? sealed : undefined;
  } catch (error) {
    // Whatever is no plan throws one of these on its way.
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

import { isGate } from '../action.ts';
import {
  everybody,
  exclusionOf,
  fulfilmentOf,
  groupsNamedBy,
  policyInWords,
  readRequirement,
  secondPersonOf,
  signersOf,
  withPeople,
  type Parties,
  type Policy,
} from '../approval/policy.ts';
import { mayBreakGlass, reviewedHold, reviewPolicyOf } from '../approval/break-glass.ts';
import { readDelegation, refusalOfDelegation } from '../approval/delegation.ts';
import type { DelegationStatement } from '../approval/statement.ts';
import { approvalId, questionDigest, standingOf, type ApprovalRequest, type Decision } from '../approval/request.ts';
import { clockSkewMaxMs, timeMsOf } from '../time.ts';
import { isObject, type Json, type JsonObject } from '../json.ts';
import { ownValue } from '../map.ts';
import { digestOf, sealSpan, type SpanPlan } from '../plan/plan.ts';
import { shutGateBefore } from '../run/gates.ts';
import { cancelledReason } from '../run/state.ts';
import { changesNothing, startHold } from '../schedule/schedule.ts';
import { endingKind, nameOf, signedKinds, skippedKind, undeliveredKind, type EvidenceEntry, type LineProblem } from './evidence.ts';

/** Who may sign what, to hold a record against besides what it says itself: that of a holdpoint.yaml. */
export interface Authority {
  /** Ids of all people. */
  people: readonly string[];
  groups: Readonly<Record<string, readonly string[] | undefined>>;
  policies: Readonly<Record<string, Policy | undefined>>;
}

/** An entry with its line and its whole body: what is kept beside the record is in its place. */
export interface WholeEntry {
  line: number;
  entry: EvidenceEntry;
  /** Whether the signature that its kind asks for holds; true for kinds that ask for none. */
  isSigned: boolean;
}

/** What made a plan one that may be carried out. */
export type Cover = 'start' | 'hold' | 'signed-rollback' | 'automatic-rollback';

/** What a record says, and what in it does not fit together. */
export interface Meaning {
  /** What does not follow from what was signed. */
  problems: LineProblem[];
  /** Where the record and the holdpoint.yaml that it is held against name other people or another policy. */
  differences: LineProblem[];
  /** The signed start; undefined in what is not the record of a run. */
  start?: { person: string; target: string; runbook: string };
  /** The holds that were released with the signatures that they need. */
  released: { hold: string; request: number; by: string[]; policy: string }[];
  /** The releases among them that somebody has made alone, and who has signed that afterwards; nobody where it is left out. */
  broken: { hold: string; by: string; reason: string; reviewedBy?: string[] }[];
  /** How many steps that change something were begun, by what covers them. */
  begun: Record<Cover, number>;
}

interface CoveredPlan {
  plan: SpanPlan;
  cover: Cover;
  begun: Set<string>;
  finished: Set<string>;
  /** Its signatures were for an opening of the window that is over, or for another plan. */
  isVoid?: boolean;
}

interface OpenRequest {
  request: ApprovalRequest;
  plan: SpanPlan | undefined;
  decisions: Decision[];
}

/**
 * The kinds of a record that is not of a run: a sweep, a drain by hand, messages that came to nobody, a schedule that started none.
 * Nobody signs those.
 */
const otherBeginnings = ['sweep.started', 'drain.planned', undeliveredKind, skippedKind];

/**
 * Looks whether what a record says follows from what people have signed in it: each plan has its hash, each release of a hold its
 * quorum, each step that was begun its plan, and the end what it needs. Entries must be those of a whole chain, in order.
 */
export function meaningOf(entries: readonly WholeEntry[], authority?: Authority): Meaning {
  const reading = new Reading(authority, entries.length > 0 && !otherBeginnings.includes(entries[0]?.entry.kind ?? ''));
  for (const entry of entries) reading.read(entry);
  return reading.meaning;
}

/** Goes through a record from its first entry to its last and remembers what later ones must follow from. */
class Reading {
  readonly meaning: Meaning = {
    problems: [],
    differences: [],
    released: [],
    broken: [],
    begun: { start: 0, hold: 0, 'signed-rollback': 0, 'automatic-rollback': 0 },
  };
  private readonly authority: Authority | undefined;
  private readonly isRun: boolean;
  private readonly open = new Map<string, OpenRequest>();
  private readonly numbers = new Map<string, number>();
  /** What operators have asked for and others have signed, by its name: `skip:drain`, `done:drain`, `undo`. */
  private readonly exceptions = new Map<string, { planHash: string; by: string[] }>();
  private readonly commands: JsonObject[] = [];
  private readonly statements = new Map<string, number>();
  private readonly delegations = new Map<string, DelegationStatement>();
  /** Who has signed at the holds of the runbook that were released. */
  private readonly approvers = new Set<string>();
  private readonly everBegun = new Set<string>();
  private readonly failed = new Set<string>();
  /** Steps that were to be undone as the window closed while they went on. */
  private readonly late = new Set<string>();
  private start: JsonObject | undefined;
  private startSignedInAdvance: string | undefined;
  private current: CoveredPlan | undefined;
  /** The run waits for its window. */
  private isParked = false;
  private rejectedBy: Json | undefined;
  private at: WholeEntry | undefined;

  constructor(authority: Authority | undefined, isRun: boolean) {
    this.authority = authority;
    this.isRun = isRun;
  }

  read(whole: WholeEntry): void {
    this.at = whole;
    const { kind, body } = whole.entry;
    const rule = ownValue(this.rules, kind);
    if (!rule) return;
    // A delegation may be used at several holds.
    if (typeof body.jws === 'string' && kind !== signedKinds.delegation) this.mustBeNew(body.jws);
    if (this.isRun && !this.start && kind !== signedKinds.start && kind !== signedKinds.schedule && kind !== endingKind) {
      this.problem('comes before anybody has signed the start of the run.');
    }
    rule(body);
  }

  private readonly rules: Record<string, ((body: JsonObject) => void) | undefined> = {
    [signedKinds.start]: (body) => this.readStart(body),
    [signedKinds.schedule]: (body) => this.readStart(body),
    'plan.made': (body) => this.readFirstPlan(body),
    'hold.requested': (body) => this.readRequest(body),
    [signedKinds.decision]: (body) => this.readDecision(body),
    [signedKinds['deferred-approval']]: (body) => this.readDecision(body),
    [signedKinds['delegated-approval']]: (body) => this.readDecision(body),
    [signedKinds['break-glass']]: (body) => this.readDecision(body),
    [signedKinds['pre-approval']]: (body) => this.readPreApproval(body),
    [signedKinds.delegation]: (body) => this.readDelegation(body),
    [signedKinds.withdrawal]: (body) => this.readTakenBack(body),
    'hold.escalated': (body) => this.readEscalation(body),
    'decision.voided': (body) => this.readVoided(body),
    'hold.released': (body) => this.readRelease(body),
    'hold.drifted': (body) => void this.closed(body),
    'hold.expired': (body) => void this.closed(body),
    'hold.withdrawn': (body) => this.readWithdrawal(body),
    'hold.rejected': (body) => this.readRejection(body),
    [signedKinds.command]: (body) => void (this.at?.isSigned && this.commands.push(body)),
    'step.started': (body) => this.readBegin(body),
    'step.done': (body) => this.readDone(body),
    'step.skipped': (body) => this.readSkip(body),
    'step.failed': (body) => void this.failed.add(textOf(body.step)),
    'window.parked': () => void (this.isParked = true),
    'window.resumed': (body) => this.readOpening(body),
    'window.exception': (body) => this.mustBeSigned('proceed', body.signedBy),
    'window.closed': (body) => this.readClose(body),
    'undo.started': (body) => this.readRollback(body),
    [endingKind]: (body) => this.readEnd(body),
  };

  /** When the entry was written, at the latest that another clock may say. */
  private nowMs(): number {
    return (timeMsOf(this.at?.entry.at ?? '') ?? 0) + clockSkewMaxMs;
  }

  private problem(sentence: string): void {
    if (this.at) this.meaning.problems.push({ line: this.at.line, sentence: `${nameOf(this.at.entry)} ${sentence}` });
  }

  private differs(sentence: string): void {
    if (this.at) this.meaning.differences.push({ line: this.at.line, sentence: `${nameOf(this.at.entry)} ${sentence}` });
  }

  private mustBeNew(jws: string): void {
    const before = this.statements.get(jws);
    if (before !== undefined) this.problem(`repeats the statement that was signed for entry ${before}: a copy does not count.`);
    else this.statements.set(jws, this.at?.entry.sequence ?? 0);
  }

  private readStart(body: JsonObject): void {
    if (this.start) this.problem('is a second start of the run.');
    this.start = body;
    const { person, target, runbook, inputsHash, inputs } = body;
    if (inputsHash !== undefined && inputsHash !== digestOf(inputs ?? null))
      this.problem('has other inputs than the schedule was signed with.');
    this.meaning.start = { person: textOf(person), target: textOf(target), runbook: textOf(runbook) };
  }

  private readFirstPlan(body: JsonObject): void {
    const plan = this.planIn(body);
    if (this.current || this.meaning.released.length > 0) this.problem('makes a first plan when there is one already.');
    // A run whose plan has changed since the start was signed is refused.
    if (plan && plan.hash === this.start?.planHash) this.carryOut(plan, 'start');
    // A schedule signs no plan: one that changes something needs the signature of its requester.
    const isScheduled = this.start?.schedule !== undefined;
    if (plan && isScheduled && (changesNothing(plan) || plan.hash === this.startSignedInAdvance)) this.carryOut(plan, 'start');
  }

  /** That it is for this run is seen where signatures are checked; a hold must ask for just that plan. */
  private readPreApproval(body: JsonObject): void {
    if (body.hold !== startHold) return this.readDecision(body);
    if (this.at?.isSigned && body.person === this.start?.person) this.startSignedInAdvance = textOf(body.planHash);
  }

  /** The plan of an entry, if it has the hash that it says and is of this run. */
  private planIn(body: JsonObject): SpanPlan | undefined {
    const plan = readPlan(body.plan);
    if (plan === undefined) {
      this.problem('has no plan that can be read.');
      return undefined;
    }
    const hash = hashOf(plan);
    if (hash !== plan.hash) {
      this.problem(`shows a plan whose hash is ${hash}, but says ${textOf(plan.hash)}: the plan was replaced.`);
      return undefined;
    }
    const { target, runbook, inputs } = this.start ?? {};
    if (this.start && (plan.target !== target || plan.runbook !== runbook || digestOf(plan.inputs) !== digestOf(inputs ?? null))) {
      this.problem('shows a plan for another target, runbook or inputs than those of the start.');
      return undefined;
    }
    return plan;
  }

  private carryOut(plan: SpanPlan, cover: Cover): void {
    this.current = { plan, cover, begun: new Set(), finished: new Set() };
  }

  private readRequest(body: JsonObject): void {
    const plan = this.planIn(body);
    if (plan && plan.hash !== body.planHash) {
      this.problem(`asks for signatures over ${textOf(body.planHash)}, but shows the plan ${plan.hash}.`);
    }
    const parties = readParties(body);
    const { hold, request: _request, number, planHash } = body;
    if (!parties || typeof hold !== 'string' || typeof number !== 'number' || typeof planHash !== 'string') {
      this.problem('lacks the hold, its number, hash, policy or people.');
      return;
    }
    if (parties.requester !== this.start?.person)
      this.problem(`names ${parties.requester} as the requester, who has not signed the start.`);
    const due = (this.numbers.get(hold) ?? 0) + 1;
    if (number !== due)
      this.problem(`is request ${number} of hold ${hold}, but request ${due} would be next: one is missing or there twice.`);
    this.numbers.set(hold, number);
    const { askedBy } = parties;
    if (askedBy !== undefined) this.mustBeAskedFor(hold, askedBy, plan);
    else if (this.current?.isVoid !== true) this.mustBeFinished(`hold ${hold} was put up for signature`);
    const texts = { question: textOf(body.question), requestedAt: textOf(body.requestedAt), expiresAt: textOf(body.expiresAt) };
    const earlierApprovers = [...this.approvers];
    const request = { ...parties, hold, number, planHash, ...texts, members: [...parties.members], earlierApprovers };
    this.open.set(hold, { request, plan, decisions: [] });
    this.compareWithAuthority(request, plan);
  }

  /** What an operator has asked for is signed by others, so it must be there that somebody has asked. */
  private mustBeAskedFor(hold: string, askedBy: string, plan: SpanPlan | undefined): void {
    const reviewed = reviewedHold(hold);
    if (reviewed !== undefined) {
      const isBroken = this.meaning.broken.some((one) => one.hold === reviewed && one.by === askedBy && !one.reviewedBy);
      if (!isBroken) this.problem(`has others sign that ${askedBy} broke the glass at hold ${reviewed}, which the record does not say.`);
      return;
    }
    const [command, ...rest] = hold.split(':');
    const step = rest.join(':');
    const isAsked = this.commands.some((given) => given.person === askedBy && given.command === command && given.step === step);
    if (!isAsked) this.problem(`is about ${hold}, which ${askedBy} has not asked for by any signed command before.`);
    if (step !== '' && plan && plan.steps[0]?.id !== step) this.problem(`is about ${hold}, but shows the plan of another step.`);
  }

  /** Differences as such may be changes of holdpoint.yaml since; whether the signatures are enough is looked at when it is released. */
  private compareWithAuthority(request: ApprovalRequest, plan: SpanPlan | undefined): void {
    const required = this.requiredBy(request, plan);
    if (!required) return;
    const recorded = policyInWords(request.policy);
    const wanted = policyInWords(required.policy);
    if (recorded !== wanted) this.differs(`records the policy ${request.policy.name} as ${recorded}, but holdpoint.yaml has ${wanted}.`);
    const added = request.members.filter((person) => !required.members.includes(person));
    const missing = required.members.filter((person) => !request.members.includes(person));
    if (added.length === 0 && missing.length === 0) return;
    const told = [
      ...added.map((person) => `${person} is not in holdpoint.yaml`),
      ...missing.map((person) => `${person} is not in the record`),
    ];
    this.differs(`records other people of ${groupsNamedBy(request.policy).join(', ')} than holdpoint.yaml: ${told.join(', ')}.`);
  }

  /** The policy and people that the holdpoint.yaml asks for; undefined where there is none to compare with, or it lacks the policy. */
  private requiredBy(request: ApprovalRequest, plan: SpanPlan | undefined): Parties | undefined {
    const { hold, policy: recorded, requester, askedBy, earlierApprovers, escalatedAt } = request;
    if (!this.authority) return undefined;
    const { people, groups, policies } = this.authority;
    const { name } = recorded;
    const own = ownValue(policies, name);
    // Where no policy says who may sign an exception, one of all others does.
    const isByAnybody = askedBy !== undefined && groupsNamedBy(recorded).join() === everybody;
    const fallback = !isByAnybody ? undefined : { ...secondPerson, name };
    const policy = own ?? fallback;
    if (!policy) return undefined;
    // One other person is enough to leave a step out or to take it for done, unless it is a gate.
    const isOfOneStep = askedBy !== undefined && /^(skip|done):/.test(hold) && !isGate(plan?.steps[0]?.uses ?? '');
    const book = { people: Object.fromEntries(people.map((person) => [person, {}])), groups };
    if (reviewedHold(hold) !== undefined) {
      const parties = { ...withPeople(policy, book), requester, askedBy, earlierApprovers, escalatedAt };
      return { ...parties, policy: reviewPolicyOf(parties) ?? policy };
    }
    return { ...withPeople(isOfOneStep ? secondPersonOf(policy) : policy, book), requester, askedBy, earlierApprovers, escalatedAt };
  }

  /** The request that an entry is about: that of its hold, with its number and hash. */
  private requestOf(body: JsonObject): OpenRequest | undefined {
    const { hold, request: number } = body;
    const open = this.open.get(textOf(hold));
    if (!open || open.request.number !== number) {
      this.problem(`is about request ${textOf(number)} of hold ${textOf(hold)}, which is not open then.`);
      return undefined;
    }
    if ('planHash' in body && body.planHash !== open.request.planHash) {
      this.problem(`is about the plan ${textOf(body.planHash)}, but hold ${textOf(hold)} asks for ${open.request.planHash}.`);
      return undefined;
    }
    return open;
  }

  private closed(body: JsonObject): OpenRequest | undefined {
    const open = this.requestOf(body);
    if (open) this.open.delete(open.request.hold);
    return open;
  }

  private readDecision(body: JsonObject): void {
    const open = this.requestOf(body);
    if (!open || !this.at?.isSigned) return;
    const { person, from, reason, jws, question } = body;
    // Of other approvals, that they are some is said by their kind.
    const decision = this.at.entry.kind === signedKinds.decision ? body.decision : 'approve';
    const delegation = this.at.entry.kind === signedKinds['delegated-approval'] ? this.delegations.get(textOf(body.delegation)) : undefined;
    const { request, decisions } = open;
    const who = textOf(person);
    const isInAdvance = this.at.entry.kind === signedKinds['pre-approval'];
    if (!isInAdvance && question !== questionDigest(request)) {
      this.problem(`counts ${who}, who has answered another question than hold ${request.hold} asks.`);
      return;
    }
    if (this.at.entry.kind === signedKinds['delegated-approval']) {
      const atMs = (timeMsOf(this.at.entry.at) ?? 0) - clockSkewMaxMs;
      const problem = delegation ? refusalOfDelegation(delegation, request, who, atMs)?.reason : 'Its delegation is not in the record.';
      if (problem !== undefined) {
        this.problem(`counts ${who}, who has signed in the place of somebody else. ${problem}`);
        return;
      }
    }
    const breaksGlass = this.at.entry.kind === signedKinds['break-glass'];
    if (breaksGlass && !mayBreakGlass(request.policy, who)) {
      this.problem(`lets ${who} release hold ${request.hold} alone, whom its policy does not name for that.`);
      return;
    }
    const isEntitled = breaksGlass || signersOf(request).includes(delegation?.person ?? who);
    if (!isEntitled || (!breaksGlass && exclusionOf(request, who) !== undefined)) {
      this.problem(`counts ${who}, who may not sign for hold ${request.hold}: ${signersOf(request).join(', ') || 'nobody'} may.`);
      return;
    }
    if (decisions.some((other) => other.person === who)) this.problem(`counts ${who} twice for hold ${request.hold}.`);
    if (decision !== 'approve' && decision !== 'reject') return;
    const more = { ...(typeof from === 'string' && { from }), ...(delegation && { inPlaceOf: delegation.person }) };
    if (breaksGlass) Object.assign(more, { breaksGlass });
    decisions.push({ person: who, decision, reason: textOf(reason), at: this.at.entry.at, jws: textOf(jws), ...more });
  }

  private readDelegation({ jws }: JsonObject): void {
    const delegation = typeof jws === 'string' && this.at?.isSigned ? readDelegation(jws) : undefined;
    if (delegation && typeof jws === 'string') this.delegations.set(approvalId(jws), delegation);
  }

  private readTakenBack(body: JsonObject): void {
    const open = this.requestOf(body);
    if (!open || !this.at?.isSigned) return;
    const place = open.decisions.findIndex(({ person, jws }) => person === body.person && approvalId(jws) === body.approval);
    if (place >= 0) open.decisions.splice(place, 1);
    else this.problem(`takes back an approval of ${textOf(body.person)} that is not in the record.`);
  }

  /** Further people could sign from then on, if the hold had waited for as long as its policy says. */
  private readEscalation(body: JsonObject): void {
    const open = this.requestOf(body);
    if (!open || !this.at) return;
    const { request } = open;
    const { escalate } = request.policy;
    const dueMs = (timeMsOf(request.requestedAt) ?? Infinity) + (escalate?.afterMs ?? Infinity);
    const atMs = timeMsOf(this.at.entry.at) ?? 0;
    if (escalate?.to !== body.to || atMs + clockSkewMaxMs < dueMs) {
      this.problem(`lets people of ${textOf(body.to)} sign for hold ${request.hold}, whose policy does not say so by then.`);
    } else request.escalatedAt = this.at.entry.at;
  }

  /** Whoever has left, or has another key by now, does not count any more. */
  private readVoided(body: JsonObject): void {
    const open = this.requestOf(body);
    const place = open?.decisions.findIndex(({ person }) => person === body.person) ?? -1;
    if (place >= 0) open?.decisions.splice(place, 1);
  }

  private readRelease(body: JsonObject): void {
    const open = this.closed(body);
    if (!open) return;
    const { request, plan, decisions } = open;
    const { hold, number, policy, planHash } = request;
    const standing = standingOf(request, decisions, this.nowMs());
    if (standing.state !== 'approved') {
      const signed = decisions.map(({ person }) => person).join(', ') || 'nobody';
      this.problem(`releases hold ${hold} for which ${policyInWords(policy)} must sign, but ${signed} did: signatures are missing.`);
      return;
    }
    if (standing.brokenBy === undefined) this.mustSuffice(open, standing.by);
    else this.readBroken(open, standing.brokenBy);
    const reviewed = this.meaning.broken.find((broken) => broken.hold === reviewedHold(hold) && !broken.reviewedBy);
    if (reviewed) {
      reviewed.reviewedBy = standing.by;
      return;
    }
    this.meaning.released.push({ hold, request: number, by: standing.by, policy: policyInWords(policy) });
    if (request.askedBy !== undefined) {
      this.exceptions.set(hold, { planHash, by: standing.by });
      return;
    }
    for (const person of standing.by) this.approvers.add(person);
    if (plan) this.carryOut(plan, 'hold');
  }

  /** Whoever releases a hold alone must be named for that by the holdpoint.yaml as well. */
  private readBroken({ request, plan, decisions }: OpenRequest, by: string): void {
    const { hold } = request;
    const reason = decisions.find(({ person, breaksGlass }) => person === by && breaksGlass)?.reason ?? '';
    this.meaning.broken.push({ hold, by, reason });
    const required = this.requiredBy(request, plan);
    if (!this.authority || (required && mayBreakGlass(required.policy, by))) return;
    this.problem(`lets ${by} release hold ${hold} alone, whom holdpoint.yaml does not name for that.`);
  }

  /** The signatures must be enough for the holdpoint.yaml as well, whatever policy was recorded. */
  private mustSuffice({ request, plan, decisions }: OpenRequest, by: readonly string[]): void {
    if (!this.authority) return;
    const required = this.requiredBy(request, plan);
    if (!required) {
      this.problem(`releases hold ${request.hold} by the policy ${request.policy.name}, which holdpoint.yaml does not have.`);
      return;
    }
    const mayDelegate = required.policy.delegate === 'allowed';
    const approvals = decisions.filter(
      ({ person, decision, inPlaceOf }) => decision === 'approve' && by.includes(person) && (inPlaceOf === undefined || mayDelegate),
    );
    if (fulfilmentOf(required, approvals).missing === 0) return;
    const signers = signersOf(required);
    const who = by.filter((person) => signers.includes(person)).join(', ') || 'nobody';
    this.problem(
      `releases hold ${request.hold}, for which holdpoint.yaml asks for ${policyInWords(required.policy)}; of them ${who} has signed.`,
    );
  }

  private readWithdrawal(body: JsonObject): void {
    // What could not even be put up for signature has no number.
    if ('request' in body) this.closed(body);
    else this.open.delete(textOf(body.hold));
  }

  private readRejection(body: JsonObject): void {
    const open = this.closed(body);
    if (!open) return;
    const isRejected = standingOf(open.request, open.decisions, this.nowMs()).state === 'rejected';
    const rejected = isRejected && open.decisions.some(({ person, decision }) => decision === 'reject' && person === body.by);
    if (!rejected) this.problem(`says that ${textOf(body.by)} rejected hold ${textOf(body.hold)}, which nobody of that name has signed.`);
    if (open.request.askedBy === undefined) this.rejectedBy = body.by;
  }

  /** The plan of what was left was looked at again: with signatures that are kept it must be what was signed. */
  private readOpening({ planHash, signatures }: JsonObject): void {
    this.isParked = false;
    const { current } = this;
    if (!current) return;
    if (signatures !== 'kept') {
      current.isVoid = true;
      return;
    }
    const { plan, finished } = current;
    const left = hashOf({ ...plan, steps: plan.steps.filter(({ id }) => !finished.has(id)) });
    if (left !== planHash)
      this.problem(`keeps signatures for ${textOf(planHash)}, but what was left of the plan that was signed is ${left}.`);
  }

  private readClose({ step, atClose }: JsonObject): void {
    const id = textOf(step);
    if (atClose !== 'undo') return;
    if (!this.everBegun.has(id)) this.problem(`says that step ${id} went on when the window closed, which was not begun.`);
    // One that ended at that moment is not undone.
    else if (this.current?.finished.has(id) !== true) this.late.add(id);
  }

  private readBegin(body: JsonObject): void {
    const id = textOf(body.step);
    const { current } = this;
    if (!current) {
      this.problem(`begins step ${id}, but no plan was signed by then.`);
      return;
    }
    const step = current.plan.steps.find((planned) => planned.id === id);
    if (!step) this.problem(`begins step ${id}, which is not in the plan that was signed (${current.plan.hash}).`);
    else if (step.uses !== body.uses || digestOf(step.plan.effects as unknown as Json) !== digestOf(body.effects ?? null)) {
      this.problem(`begins step ${id} with another action or other effects than the plan that was signed (${current.plan.hash}).`);
    }
    if (this.isParked && !current.cover.endsWith('rollback'))
      this.problem(`begins step ${id} while the run was parked outside of its window.`);
    const gate = current.cover.endsWith('rollback')
      ? undefined
      : shutGateBefore(id, current.plan.steps, (one) => current.finished.has(one));
    if (gate !== undefined) this.problem(`begins step ${id} behind gate ${gate}, which the record does not say that the run has passed.`);
    if (current.isVoid) this.problem(`begins step ${id} under signatures that were void by then.`);
    if (current.begun.has(id)) this.problem(`begins step ${id} a second time under one plan.`);
    current.begun.add(id);
    this.everBegun.add(id);
    if (Array.isArray(body.effects) && body.effects.length > 0) this.meaning.begun[current.cover] += 1;
  }

  private readDone(body: JsonObject): void {
    const id = textOf(body.step);
    if (this.current?.begun.has(id) !== true)
      this.problem(`says that step ${id} is done, which was not begun under the plan that was signed.`);
    else if (this.current.finished.has(id)) this.problem(`ends step ${id} a second time.`);
    this.current?.finished.add(id);
    if (body.byHand !== true) return;
    const { saidBy, signedBy } = body;
    const isSaid = this.commands.some(({ person, command, step }) => person === saidBy && command === 'done' && step === id);
    if (!isSaid) this.problem(`takes step ${id} for done by hand, which ${textOf(saidBy)} has not said by any signed command.`);
    if (Array.isArray(signedBy) && signedBy.length > 0) this.mustBeSigned(`done:${id}`, signedBy);
  }

  private readSkip(body: JsonObject): void {
    const id = textOf(body.step);
    if ('if' in body) {
      if (this.current?.plan.steps.some((step) => step.id === id))
        this.problem(`leaves step ${id} out, which is in the plan that was signed.`);
      return;
    }
    this.current?.finished.add(id);
    this.mustBeSigned(`skip:${id}`, body.signedBy);
  }

  private mustBeSigned(exception: string, signedBy: Json | undefined): void {
    const signed = this.exceptions.get(exception);
    this.exceptions.delete(exception);
    if (!signed) this.problem(`rests on signatures for ${exception} that are not in the record.`);
    else if (digestOf(signed.by) !== digestOf(signedBy ?? null)) this.problem(`names other people than those who signed ${exception}.`);
  }

  private readRollback(body: JsonObject): void {
    const plan = this.planIn(body);
    const signed = this.exceptions.get('undo');
    this.exceptions.delete('undo');
    if (!plan) return;
    const isSigned = signed?.planHash === plan.hash;
    // The runbook may ask for it where a step fails or its window closes, and its digest was signed with the start.
    if (!isSigned && (signed || (this.failed.size === 0 && this.late.size === 0))) {
      this.problem('begins a rollback that nobody has signed, and no step has failed, or was late at the close, before it.');
      return;
    }
    for (const { id } of plan.steps) {
      const undone = id.replace(/^undo:/, '');
      if (undone === id || !(this.everBegun.has(undone) || this.everBegun.has(undone.replace(/\/\d+$/, '')))) {
        this.problem(`plans ${id}, which takes back no step that was begun.`);
      }
    }
    this.carryOut(plan, isSigned ? 'signed-rollback' : 'automatic-rollback');
  }

  /** Every step that the plan in hand has something to do for. In a rollback a step without effects is one that stays as it is. */
  private unfinished(): string[] {
    if (!this.current) return [];
    const { plan, cover, finished } = this.current;
    const isRollback = cover === 'signed-rollback' || cover === 'automatic-rollback';
    const due = plan.steps.filter((step) => !isRollback || step.plan.effects.length > 0);
    return due.flatMap(({ id }) => (finished.has(id) ? [] : [id]));
  }

  private mustBeFinished(when: string): void {
    const left = this.unfinished();
    if (left.length > 0) this.problem(`comes too soon: ${when}, and the record does not say that ${left.slice(0, 5).join(', ')} was done.`);
  }

  private readEnd(body: JsonObject): void {
    if (!this.isRun) return;
    const phase = textOf(body.phase);
    if (!this.start && phase !== 'refused') this.problem('ends a run whose start nobody has signed.');
    if (!this.endRules[phase]) this.problem(`says that the run is ${phase}, which is no way to end.`);
    else this.endRules[phase](body);
  }

  private readonly endRules: Record<string, ((body: JsonObject) => void) | undefined> = {
    done: () => {
      if (this.start && !this.current) this.problem('says that every step is done, but no plan was carried out.');
      if (this.open.size > 0) this.problem(`says that every step is done, but hold ${[...this.open.keys()].join(', ')} is still open.`);
      this.mustBeFinished('the run is called done');
    },
    undone: () => {
      if (!this.current?.cover.endsWith('rollback')) this.problem('says that the run was undone, but no rollback was begun.');
      this.mustBeFinished('the run is called undone');
    },
    rejected: () => {
      if (this.rejectedBy === undefined) this.problem('says that a hold was rejected, but no such decision is in the record.');
    },
    aborted: ({ reason }) => {
      const isAsked = this.commands.some(({ command }) => command === 'abort');
      if (!isAsked && reason !== cancelledReason) this.problem('says that the run was aborted, but nobody has signed that.');
    },
    refused: () => {
      if (this.everBegun.size > 0) this.problem('says that the run was refused, but steps were begun.');
    },
  };
}

const secondPerson: Policy = { name: '', atLeast: 1, of: everybody, exclude: [], reason: 'optional', expiresMs: 0 };

function readParties(body: JsonObject): Parties | undefined {
  const { policy: told, members, groups: toldGroups, requester, askedBy } = body;
  if (!isObject(told) || !isListOfTexts(members) || typeof requester !== 'string') return undefined;
  const { name, exclude, escalate } = told;
  if (typeof name !== 'string' || !readRequirement(told) || !isListOfTexts(exclude)) return undefined;
  if (escalate !== undefined && (!isObject(escalate) || typeof escalate.to !== 'string' || typeof escalate.afterMs !== 'number'))
    return undefined;
  if (askedBy !== undefined && typeof askedBy !== 'string') return undefined;
  if (told.breakGlass !== undefined && !isListOfTexts(told.breakGlass)) return undefined;
  const policy = told as unknown as Policy;
  const groups = readGroups(toldGroups);
  // The members are those of one group only.
  if (groups === undefined && groupsNamedBy(policy).length > 1) return undefined;
  return { policy, members, groups, requester, askedBy };
}

function readGroups(value: Json | undefined): Parties['groups'] {
  return isObject(value) && Object.values(value).every(isListOfTexts) ? (value as Record<string, string[]>) : undefined;
}

function isListOfTexts(value: Json | undefined): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function readPlan(value: Json | undefined): SpanPlan | undefined {
  if (!isObject(value ?? null)) return undefined;
  const { steps, inputs } = value as JsonObject;
  if (!Array.isArray(steps) || !isObject(inputs ?? null)) return undefined;
  const isStep = (step: Json): boolean =>
    isObject(step) && typeof step.id === 'string' && isObject(step.plan ?? null) && Array.isArray((step.plan as JsonObject).effects);
  return steps.every(isStep) ? (value as unknown as SpanPlan) : undefined;
}

/** The hash that a plan should have; a text that is none where it lacks what is hashed. */
function hashOf(plan: SpanPlan): string {
  try {
    const { hash: _hash, ...span } = plan;
    return sealSpan(span).hash;
  } catch {
    return 'none';
  }
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing').slice(0, 100);
}

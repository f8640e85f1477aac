import type { ChangeKind, StepContext } from '../domain/action.ts';
import { mayBreakGlass } from '../domain/approval/break-glass.ts';
import { refusalOfDelegation } from '../domain/approval/delegation.ts';
import { groupsNamedBy, requirementInWords, type Parties, type Policy, type PolicyWithPeople } from '../domain/approval/policy.ts';
import { approvalId, questionDigest, standingOf, type Decision } from '../domain/approval/request.ts';
import { judge, refusalOfOperator } from '../domain/approval/rules.ts';
import { checkSignature } from '../domain/approval/signature.ts';
import type { ClaimsOf, CommandName, ExpectedStatement } from '../domain/approval/statement.ts';
import type { Calendar } from '../domain/calendar/calendar.ts';
import { closeAfter } from '../domain/calendar/standing.ts';
import { HoldpointError } from '../domain/errors.ts';
import { rollbackKind } from '../domain/evidence/evidence.ts';
import type { Json } from '../domain/json.ts';
import { ownValue } from '../domain/map.ts';
import { digestOf, type SpanPlan, type StepPlan } from '../domain/plan/plan.ts';
import { planIn, type Grant, type Ledger, type RequestInRecord, type SignedWords, type StepInRecord } from '../domain/run/ledger.ts';
import type { PlanningBase, Rollback } from '../domain/run/span.ts';
import { policiesIn, stepsAt } from '../domain/run/step-tree.ts';
import type { ActionStep, CompiledRunbook } from '../domain/runbook.ts';
import { changesNothing, startHold } from '../domain/schedule/schedule.ts';
import { clockSkewMaxMs, msOf } from '../domain/time.ts';
import { formatTarget } from '../domain/target.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import type { Caller } from './caller.ts';
import { withoutFullStop } from './failure.ts';
import { documentIn, Ledgers } from './ledgers.ts';
import { policyNow } from './people/policy.ts';
import { prepareRunbook, type Prepared } from './prepare.ts';
import { settingsOf } from './settings.ts';
import type { EvidenceStore, NewEntry } from './evidence/store.ts';
import type { StepToUndo } from './plan-rollback.ts';

/** How the ids of the steps of a rollback begin, which no step of a runbook does. */
const undoPrefix = 'undo:';
/** How long after the close of its opening a step may still be finished that was begun in it: its worker may have been away. */
const finishLateMaxMs = 24 * 3_600_000;

/** What a judge needs of its worker. */
export interface JudgeParts {
  evidence: EvidenceStore;
  readConfiguration(): Promise<Configuration>;
  planRollback(base: PlanningBase, steps: readonly StepToUndo[]): Promise<Rollback>;
  changeOf(action: string): ChangeKind;
  /** The calendar of that name as it is now. Throws `calendar-unknown`. */
  readCalendar(name: string): Promise<Calendar>;
}

/** A start whose signature holds. Whoever has signed a schedule has signed no plan, but the inputs. */
type Start = Pick<ClaimsOf<'start'>, 'person' | 'run' | 'target' | 'runbook'> & ({ planHash: string } | { inputsHash: string });

/**
 * Says what a worker may do for whoever asks, each time anew. It believes neither the workflow nor the other workers: it goes by the
 * record, which only workers can write, by the signatures in there, and by the people and policies of holdpoint.yaml as they are now.
 */
export class Judge {
  private readonly parts: JudgeParts;
  private readonly ledgers: Ledgers;

  constructor(parts: JudgeParts) {
    this.parts = parts;
    this.ledgers = new Ledgers(parts.evidence);
  }

  /** Whether the caller is the execution that writes the record of the run; false as well where there is no record. */
  async isRunOf(caller: Caller, run: string): Promise<boolean> {
    const { last } = await this.ledgers.of(run);
    if (last?.execution === undefined) return false;
    return last.execution === caller.execution || caller.continues(last.execution);
  }

  /**
   * The step as it was signed. Throws `step-not-signed` where the caller is not the run, the step was not begun or is over, its plan is not
   * the one that is carried out now, or the signatures on that do not suffice at this moment.
   */
  async signedStep(caller: Caller, context: Pick<StepContext, 'run' | 'step' | 'target' | 'adopt'>): Promise<StepPlan> {
    const { run, step, target, adopt } = context;
    const refuse = (cause: string): HoldpointError => new HoldpointError('step-not-signed', { run, step, cause });
    const ledger = await this.ledgers.of(run);
    if (!(await this.isRunOf(caller, run)))
      throw refuse(`its record is not written by the execution ${caller.execution}, which asks for it`);
    if (ledger.ended) throw refuse('its record has ended');
    const configuration = await this.parts.readConfiguration();
    const start = startOf(run, ledger, configuration, refuse);
    if (start.run !== run || start.target !== caller.workflowId || start.target !== formatTarget(target)) {
      throw refuse(`${start.person} has signed a run on ${start.target}, and it was asked for on ${formatTarget(target)}`);
    }
    if (ledger.commands.some((words) => isCommand(words, 'abort') && isSigned(words, configuration))) throw refuse('the run was aborted');
    const begun = ledger.steps.get(step);
    if (!begun) throw refuse('its record does not say that the step was begun');
    if (begun.over) throw refuse('its record says that the step is over');
    const grant = ledger.grant();
    if (!grant?.plan.steps.includes(begun.plan)) throw refuse('it is no part of the plan that is carried out now');
    const { runbook } = preparedFor(ledger, start, configuration, refuse);
    this.requireGrant(ledger, grant, start, runbook, configuration, refuse);
    // A rollback waits for no window: what is half changed must not stay so.
    if (grant.by !== 'rollback' && runbook.window !== undefined) {
      await this.requireWindow(runbook.window, { ledger, grant, begun, start, runbook, configuration, refuse });
    }
    // A rollback takes back what rules have let in: one that has become stricter must not keep the world half changed (decision 0027).
    if (grant.by !== 'rollback') {
      this.requireRules(begun.plan, grant, start, configuration, refuse);
      if (this.parts.changeOf(begun.plan.uses) !== 'reads')
        this.requireGates(begun.plan, { ledger, start, runbook, configuration, refuse });
    }
    if (adopt && !isAdopted(begun.tryAgain, configuration)) throw refuse('nobody has signed that it adopts a change which is under way');
    return begun.plan;
  }

  /**
   * Looks at an entry before it gets into the record of a run: whether a rollback may begin (`requireRollback`), and whether what it says
   * of a step can be so while a gate stands before that. Throws `step-not-signed`.
   */
  async requireEntry(run: string, { sequence, kind, body }: Pick<NewEntry, 'sequence' | 'kind' | 'body'>): Promise<void> {
    if (kind === rollbackKind) return this.requireRollback(run, body.plan);
    if (kind !== 'step.started' && kind !== 'step.done') return;
    const step = typeof body.step === 'string' ? body.step : '';
    const ledger = await this.ledgers.of(run);
    // What lies there already was let in before, and is only compared.
    if ((ledger.last?.sequence ?? 0) >= sequence) return;
    requirePassed(step, ledger, (cause) => new HoldpointError('step-not-signed', { run, step, cause }));
  }

  /**
   * Looks at the entry with which a run turns round before it gets into the record. A rollback that people have signed is verified when its
   * steps are performed; one that the runbook asks for must be what this worker plans by itself, from what the record says was begun.
   * Throws `step-not-signed`.
   */
  private async requireRollback(run: string, told: Json | undefined): Promise<void> {
    const refuse = (cause: string): HoldpointError => new HoldpointError('step-not-signed', { run, step: 'undo', cause });
    const ledger = await this.ledgers.of(run);
    const plan = planIn(told);
    if (!plan) throw refuse('its plan is not what its hash says');
    const grant = ledger.grant();
    if (grant?.by === 'rollback' ? grant.plan.hash === plan.hash : ledger.signedRollback()?.plan.hash === plan.hash) return;
    const configuration = await this.parts.readConfiguration();
    const start = startOf(run, ledger, configuration, refuse);
    const prepared = preparedFor(ledger, start, configuration, refuse);
    const steps = [...ledger.steps].filter(([, { plan }]) => plan.plan.effects.length > 0 && this.parts.changeOf(plan.uses) !== 'reads');
    const toUndo = steps.map(([id, { plan, finished, foreign }]) => ({ id, uses: plan.uses, plan: plan.plan, finished, foreign }));
    const own = await this.parts.planRollback({ ...prepared, run }, toUndo.reverse());
    if (own.plan.hash !== plan.hash) throw refuse('nobody has signed it, and it is not how this worker would undo what was begun');
    if (asksForRollback(prepared.runbook, ledger) === 'close') await this.requireClose(prepared.runbook, ledger, refuse);
  }

  /** Looked at before the run turns round only: whoever puts the close off after that must not keep the world half changed. */
  private async requireClose({ window }: CompiledRunbook, ledger: Ledger, refuse: (cause: string) => HoldpointError): Promise<void> {
    if (window === undefined) throw refuse('the runbook has no window that could have closed');
    const calendar = await this.parts.readCalendar(window);
    const begunAtMs = ledger.steps.get(ledger.lateStep ?? '')?.startedAtMs ?? 0;
    const nowMs = Date.now();
    const closedMs = closeAfter(calendar, begunAtMs - clockSkewMaxMs) ?? Infinity;
    if (calendar.isOpen(nowMs) && closedMs > nowMs + clockSkewMaxMs) throw refuse(`the window ${window} has not closed`);
  }

  /** Rules count as they are now, whatever the plan of the span has said. */
  private requireRules(
    { id, uses, input }: StepPlan,
    grant: Grant,
    { person: requester, target }: Start,
    configuration: Configuration,
    refuse: (cause: string) => HoldpointError,
  ): void {
    const policy = grant.by === 'hold' ? policyNow(configuration, grant.request.policy).policy : undefined;
    const step = { id, uses, change: this.parts.changeOf(uses), settings: settingsOf(uses, input) };
    const [finding] = judge(configuration, { target, requester, policy, steps: [step] });
    if (finding) throw refuse(`${finding.rule} of holdpoint.yaml is against it. ${withoutFullStop(finding.reason)}`);
  }

  /** Each gate before a step that changes something has let the run pass, or as many as the policy asks for have signed to go past it. */
  private requireGates(step: StepPlan, found: Found): void {
    const { ledger, refuse } = found;
    requirePassed(step.id, ledger, refuse);
    for (const { gate, command } of ledger.exceptionsBefore(step.id)) {
      const request = ledger.requestOf(`${command}:${gate}`);
      if (request) requireException({ command, step: gate }, found, request);
    }
  }

  private requireGrant(
    ledger: Ledger,
    grant: Grant,
    start: Start,
    runbook: CompiledRunbook,
    configuration: Configuration,
    refuse: (cause: string) => HoldpointError,
  ): void {
    const { plan } = grant;
    if (plan.target !== start.target || plan.runbook !== start.runbook) throw refuse('its plan is for another target or runbook');
    if (grant.by === 'start') {
      if (!isStartSigned(ledger, plan, start, configuration)) {
        throw refuse(`${start.person} has signed another plan than the one that is carried out`);
      }
      return;
    }
    if (grant.by === 'hold') {
      const policies = policiesOfHold(runbook, grant.request.hold);
      if (policies.length === 0) throw refuse(`the runbook has no hold ${grant.request.hold}`);
      for (const policy of policies) requireQuorum(ledger, grant.request, policy, start, configuration, refuse);
      return;
    }
    if (!plan.steps.every(({ id }) => id.startsWith(undoPrefix))) throw refuse('it is no part of a rollback');
    const { request } = grant;
    if (request) return requireException({ command: 'undo' }, { ledger, start, runbook, configuration, refuse }, request);
    if (!asksForRollback(runbook, grant)) throw refuse('nobody has signed its rollback, and the runbook does not ask for it');
  }

  /**
   * A step must have been begun in an opening, under signatures that were for it, unless people have signed that its plan is carried out
   * all the same. What was begun in time is finished; whether it was going to be in time is nobody's signature, so the run looks at that.
   */
  private async requireWindow(window: string, { begun, ...found }: Found & { grant: Grant; begun: StepInRecord }): Promise<void> {
    const { ledger, grant, configuration, refuse } = found;
    const exception = ledger.windowException;
    if (exception?.plan.steps.some(({ plan }) => plan.facts.plan === grant.plan.hash))
      return requireException({ command: 'proceed' }, found, exception);
    const calendar = await this.parts.readCalendar(window);
    const { startedAtMs } = begun;
    if (!isOpenAbout(calendar, startedAtMs)) throw refuse(`the window ${window} was shut when it was begun`);
    const nowMs = Date.now();
    const closedMs = closeAfter(calendar, startedAtMs - clockSkewMaxMs) ?? Infinity;
    if (nowMs > closedMs + finishLateMaxMs && !isOpenAbout(calendar, nowMs)) throw refuse(`the window ${window} is shut`);
    if (grant.by !== 'hold' || policyNow(configuration, grant.request.policy).policy.keepSignatures) return;
    const signedUntilMs = closeAfter(calendar, grant.request.releasedAtMs ?? 0) ?? Infinity;
    if (startedAtMs > signedUntilMs + clockSkewMaxMs)
      throw refuse('its signatures were for an opening of the window that was over by then');
  }
}

/** What an operator has told a run to do, and at which step if it is about one. */
interface AskedFor {
  command: CommandName;
  step?: string;
}

/** What is known of a run when a step of it is asked for. */
interface Found {
  ledger: Ledger;
  start: Start;
  runbook: CompiledRunbook;
  configuration: Configuration;
  refuse: (cause: string) => HoldpointError;
}

/** What a runbook asks to roll back for without signatures: a step that has failed, or one that was late at the close of the window. */
function asksForRollback(
  runbook: CompiledRunbook,
  { failedStep = '', lateStep = '' }: { failedStep?: string; lateStep?: string },
): 'failure' | 'close' | undefined {
  const all = (id: string, isAsked: (step: ActionStep) => boolean): boolean => {
    const steps = stepsAt(runbook, id);
    return steps.length > 0 && steps.every((step) => step.kind === 'action' && isAsked(step));
  };
  if (all(failedStep, ({ onFailure }) => onFailure === 'undo')) return 'failure';
  return all(lateStep, ({ atClose }) => atClose === 'undo') ? 'close' : undefined;
}

/** The clocks of the workers that have looked may differ. */
function isOpenAbout(calendar: Calendar, atMs: number): boolean {
  return [atMs, atMs - clockSkewMaxMs, atMs + clockSkewMaxMs].some((momentMs) => calendar.isOpen(momentMs));
}

/** Each gate before a step has let the run pass, or the record says that people have released it to go past them. */
function requirePassed(step: string, ledger: Ledger, refuse: (cause: string) => HoldpointError): void {
  const gate = ledger.shutGateBefore(step);
  if (gate === undefined) return;
  throw refuse(
    `gate ${gate} stands before it, and its record does not say that the run has passed it, or that people have signed to go past it`,
  );
}

function policiesOfHold(runbook: CompiledRunbook, id: string): string[] {
  return stepsAt(runbook, id).flatMap((step) => (step.kind === 'hold' ? step.policy : []));
}

function requireQuorum(
  ledger: Ledger,
  request: RequestInRecord,
  name: string | undefined,
  start: Start,
  configuration: Configuration,
  refuse: (cause: string) => HoldpointError,
): void {
  const shortfall = shortfallNow(request, start, policyNow(configuration, name), configuration, ledger.delegations);
  if (shortfall !== undefined) throw refuse(shortfall);
}

/** What an operator has asked for must be signed by the people of the hold that was released last, or of any of the runbook before that. */
function requireException(asked: AskedFor, found: Found, request: RequestInRecord): void {
  const { ledger, start, runbook, configuration, refuse } = found;
  requireAsked(ledger, request, asked, start.target, configuration, refuse);
  const possible = ledger.releasedHold ? policiesOfHold(runbook, ledger.releasedHold.hold) : policiesIn(runbook);
  if (possible.length > 0 && !possible.includes(request.policy)) throw refuse(`policy ${request.policy} does not release ${request.hold}`);
  requireQuorum(ledger, request, possible.length > 0 ? request.policy : undefined, start, configuration, refuse);
}

/** The start, if its signature holds now. A schedule is signed for all of its runs: which one it is, says the record. */
function startOf(run: string, { start }: Ledger, configuration: Configuration, refuse: (cause: string) => HoldpointError): Start {
  if (start?.claims.kind !== 'start' && start?.claims.kind !== 'schedule') throw refuse('its record does not say who has started it');
  const { claims, jws } = start;
  const checked = checkSignature(jws, claims, ownValue(configuration.people, claims.person), Date.now());
  if (!checked.ok) throw refuse(`its start does not count any more. ${withoutFullStop(checked.reason)}`);
  return claims.kind === 'schedule' ? { ...claims, run } : claims;
}

/** Whether the requester has signed the plan of what comes before the first hold; in a scheduled run what changes nothing needs none. */
function isStartSigned(ledger: Ledger, plan: SpanPlan, start: Start, configuration: Configuration): boolean {
  if ('planHash' in start) return plan.hash === start.planHash;
  if (changesNothing(plan)) return true;
  const { claims, jws, atMs = 0 } = ledger.startSignedInAdvance ?? {};
  if (claims?.kind !== 'pre-approval' || jws === undefined || claims.person !== start.person || !isWithin(claims, atMs)) return false;
  const { target, runbook } = start;
  const use = { ...claims, target, runbook, inputs: start.inputsHash, hold: startHold, policy: startHold, planHash: plan.hash };
  return checkSignature(jws, use, ownValue(configuration.people, start.person), Date.now()).ok;
}

/** The runbook that was signed, read anew with the policies of now. */
function preparedFor(ledger: Ledger, start: Start, configuration: Configuration, refuse: (cause: string) => HoldpointError): Prepared {
  const document = documentIn(ledger);
  const plan = ledger.planOfStart();
  const isSigned = plan && ('planHash' in start ? plan.hash === start.planHash : digestOf(plan.inputs) === start.inputsHash);
  if (!document || !isSigned) throw refuse('its record does not hold the runbook that it was started with');
  const prepared = prepareRunbook({ document, inputs: plan.inputs, target: start.target }, configuration);
  if (prepared.runbook.digest !== start.runbook) throw refuse('the runbook in its record is not the one that was signed');
  return prepared;
}

/** Why the signatures of a request do not suffice now; undefined where they do. */
function shortfallNow(
  requested: RequestInRecord,
  start: Start,
  { policy, members, groups }: PolicyWithPeople,
  configuration: Configuration,
  delegations: Ledger['delegations'],
): string | undefined {
  const { hold, number, plan, question, askedBy, earlierApprovers, decisions, withdrawn, releasedAtMs = 0 } = requested;
  const { run, person: requester } = start;
  const parties = { policy, members, groups, requester, askedBy, earlierApprovers, escalatedAt: escalationOf(requested, policy) };
  const voided: string[] = [];
  const counting: Decision[] = [];
  for (const { claims, jws } of decisions) {
    if (!isOfHold(claims) || withdrawn.has(approvalId(jws))) continue;
    if (claims.hold !== hold || claims.planHash !== plan.hash) continue;
    if (claims.kind === 'pre-approval') {
      if (!isForRun(claims, requested, start)) continue;
    } else if (claims.run !== run || claims.request !== number || claims.question !== questionDigest({ question })) continue;
    const { person, reason } = claims;
    const decision = claims.kind === 'decision' ? claims.decision : 'approve';
    const word = { decision, ...(claims.kind === 'deferred-approval' && { from: claims.from }) };
    const checked = checkSignature(jws, claims, ownValue(configuration.people, person), Date.now());
    if (!checked.ok) voided.push(withoutFullStop(checked.reason));
    else if (claims.kind === 'delegated-approval') {
      const delegation = delegations.get(claims.delegation);
      const problem = delegationProblem(delegation, person, parties, releasedAtMs, configuration);
      if (problem !== undefined) voided.push(withoutFullStop(problem));
      else counting.push({ person, ...word, reason, at: checked.statement.at, jws, inPlaceOf: delegation!.claims.person });
    } else if (claims.kind === 'break-glass') {
      if (mayBreakGlass(policy, person)) counting.push({ person, ...word, reason, at: checked.statement.at, jws, breaksGlass: true });
      else voided.push(`${person} is not named in \`breakGlass\` of policy ${policy.name} now`);
    } else if (!members.includes(person)) voided.push(`${person} does not belong to ${groupsNamedBy(policy).join(' or ')} now`);
    else counting.push({ person, ...word, reason, at: checked.statement.at, jws });
  }
  const request = { hold, number, question, planHash: plan.hash, ...parties, requestedAt: '', expiresAt: '' };
  const standing = standingOf(request, counting, releasedAtMs + clockSkewMaxMs);
  if (standing.state === 'approved') return undefined;
  if (standing.state === 'rejected') return `${standing.by} has rejected its plan at hold ${hold}`;
  const why = voided.length === 0 ? '' : ` (${voided.join('; ')})`;
  const asked = `policy ${policy.name} (${requirementInWords(policy)})`;
  return `hold ${hold} lacks ${standing.inWords}, which ${asked} asks for now${why}`;
}

type WordAtHold = Extract<ExpectedStatement, { question: string } | { kind: 'pre-approval' }>;

function isOfHold(claims: ExpectedStatement): claims is WordAtHold {
  return 'question' in claims || claims.kind === 'pre-approval';
}

/** Whether what was signed in advance was taken up in the opening that it is for. */
function isWithin({ notBefore, notAfter }: ClaimsOf<'pre-approval'>, atMs: number): boolean {
  return atMs + clockSkewMaxMs >= msOf(notBefore) && atMs - clockSkewMaxMs <= msOf(notAfter);
}

/** Whether what was signed in advance is for this run and policy, and the hold was released in its opening. */
function isForRun(claims: ClaimsOf<'pre-approval'>, { plan, policy, releasedAtMs = 0 }: RequestInRecord, start: Start): boolean {
  const isForInputs = claims.inputs === digestOf(plan.inputs);
  return (
    isWithin(claims, releasedAtMs) &&
    isForInputs &&
    claims.target === start.target &&
    claims.runbook === start.runbook &&
    claims.policy === policy
  );
}

/** Why an approval in the place of somebody else does not count; the delegation must have held when the hold was released. */
function delegationProblem(
  delegation: SignedWords | undefined,
  delegate: string,
  parties: Parties,
  releasedAtMs: number,
  configuration: Configuration,
): string | undefined {
  if (delegation?.claims.kind !== 'delegation') return `the delegation that ${delegate} has signed under is not in the record`;
  const checked = checkSignature(delegation.jws, delegation.claims, ownValue(configuration.people, delegation.claims.person), Date.now());
  if (!checked.ok) return checked.reason;
  if (checked.statement.kind !== 'delegation') return `${delegation.claims.person} has signed no delegation`;
  return refusalOfDelegation(checked.statement, parties, delegate, releasedAtMs - clockSkewMaxMs)?.reason;
}

/** When further people could sign: only where the record shows that the hold had waited for so long. */
function escalationOf({ requestedAtMs, escalatedAtMs }: RequestInRecord, { escalate }: Policy): string | undefined {
  if (!escalate || escalatedAtMs === undefined) return undefined;
  return escalatedAtMs + clockSkewMaxMs >= requestedAtMs + escalate.afterMs ? 'escalated' : undefined;
}

/** Whoever is said to have asked for something must have signed that, and be somebody who may: they cannot be the second person. */
function requireAsked(
  { commands }: Ledger,
  { hold, askedBy }: RequestInRecord,
  { command, step }: AskedFor,
  target: string,
  configuration: Configuration,
  refuse: (cause: string) => HoldpointError,
): void {
  const asked = commands.some(
    (words) =>
      words.claims.kind === 'command' &&
      words.claims.command === command &&
      (step === undefined || words.claims.step === step) &&
      words.claims.person === askedBy &&
      isSigned(words, configuration),
  );
  if (!asked || askedBy === undefined) throw refuse(`${askedBy ?? 'nobody'} has not signed that ${hold} is asked for`);
  const refusal = refusalOfOperator(configuration, target, askedBy);
  if (refusal !== undefined) throw refuse(withoutFullStop(refusal));
}

function isAdopted(words: SignedWords | undefined, configuration: Configuration): boolean {
  return words !== undefined && isCommand(words, 'adopt') && isSigned(words, configuration);
}

function isCommand({ claims }: SignedWords, command: CommandName): boolean {
  return claims.kind === 'command' && claims.command === command;
}

function isSigned({ claims, jws }: SignedWords, configuration: Configuration): boolean {
  return checkSignature(jws, claims, ownValue(configuration.people, claims.person), Date.now()).ok;
}

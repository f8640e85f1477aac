import { allHandlersFinished, CancellationScope, condition, isCancellation, setHandler, workflowInfo } from '@temporalio/workflow';
import { isRunId, signedEvidence } from '../domain/evidence.ts';
import type { JsonObject } from '../domain/json.ts';
import type { SpanPlan, StepPlan } from '../domain/plan.ts';
import type { ActionStep } from '../domain/runbook.ts';
import type { ExpectedStatement } from '../domain/statement.ts';
import { holdUntilSigned, refusalFailure, refuseDecision, requireShape, takeDecision } from './hold.ts';
import {
  admissionUpdate,
  attemptRefusedSignal,
  decideUpdate,
  stateQuery,
  verbUpdate,
  type Admission,
  type DecisionRequest,
  type Phase,
  type RunInput,
  type RunResult,
  type VerbRequest,
} from './messages.ts';
import { performer, reads, releaser, verifier } from './proxies.ts';
import { failureOf, Run, RunEnded } from './run.ts';
import { blockersOf, planSpan, spansOf, type PlanningBase } from './span.ts';

/**
 * Carries out any runbook on one target: admits the start if the first span is still what the requester has signed, then
 * goes from hold to hold, and lifts whatever it has marked when it ends. The workflow id is the target, so there is at most
 * one open run of it. It never just fails: it is done, was ended by people, or waits for them.
 */
export async function runbook(input: RunInput): Promise<RunResult> {
  const run = new Run(input);
  let admission: Admission | undefined;
  listen(run, () => admission);
  const base = emptyBase(input);
  const end = await endingOf(async () => {
    const admitted = await admit(run, input, base);
    admission = admitted.admission;
    if (!('plan' in admitted)) return { phase: 'refused', reason: admitted.admission.reason };
    await carryOut(run, base, admitted.plan);
    return { phase: 'done', reason: 'every step is done' };
  });
  admission ??= { admitted: false, code: 'aborted', reason: end.reason, remedy: 'Start it again if it is still wanted.' };
  return CancellationScope.nonCancellable(() => close(run, base, end));
}

function emptyBase(input: RunInput): PlanningBase {
  const runbook = { name: '', title: '', digest: '', target: '', inputs: {}, steps: [] };
  const target: PlanningBase['target'] = { kind: 'eks', region: '', name: '' };
  return { runbook, inputs: input.inputs, target, targetName: input.target, run: input.run, outputs: {} };
}

function listen(run: Run, admission: () => Admission | undefined): void {
  setHandler(stateQuery, () => run.state);
  setHandler(admissionUpdate, async () => {
    await CancellationScope.nonCancellable(() => condition(() => admission() !== undefined));
    return admission() as Admission;
  });
  setHandler(attemptRefusedSignal, (attempt) => run.recordRefusal(attempt));
  setHandler(decideUpdate, (request) => takeDecision(run, request), {
    validator: (request: DecisionRequest) => refuseDecision(run, request),
  });
  setHandler(verbUpdate, (request) => takeVerb(run, request), { validator: (request: VerbRequest) => refuseVerb(run, request) });
}

/** Runs the whole and says how it ended; a cancellation from outside counts as an abort. */
async function endingOf(whole: () => Promise<{ phase: Phase; reason: string }>): Promise<{ phase: Phase; reason: string }> {
  try {
    return await whole();
  } catch (error) {
    if (error instanceof RunEnded) return { phase: error.phase, reason: error.message };
    if (isCancellation(error)) return { phase: 'aborted', reason: 'cancelled through Temporal' };
    throw error;
  }
}

/** What a person is told who was refused. */
type Telling = { code: string; reason: string; remedy: string };

type Admitted = { admission: Admission & { admitted: false } } | { admission: { admitted: true }; plan: SpanPlan };

/** Checks the document, the requester's signature and the plan of the first span. Nothing is touched. */
async function admit(run: Run, input: RunInput, base: PlanningBase): Promise<Admitted> {
  try {
    const misfit = misfitOf(input);
    if (misfit) return { admission: { admitted: false, ...misfit } };
    Object.assign(base, await reads.prepare({ document: input.document, inputs: input.inputs, target: input.target }));
    run.begin(base.runbook, base.inputs);
    const expected: ExpectedStatement = {
      kind: 'start',
      person: input.requester,
      run: input.run,
      target: input.target,
      runbook: base.runbook.digest,
      planHash: input.planHash,
    };
    const verified = await verifier.verifySignature({ expected, signature: input.signature });
    if (!verified.ok) return { admission: { admitted: false, ...withoutOk(verified) } };
    const { kind, body } = signedEvidence(expected, input.signature, verified.publicKey);
    await run.record(kind, { ...body, inputs: base.inputs, runbookName: base.runbook.name });
    return await admitPlan(run, input, base);
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return { admission: { admitted: false, ...failure } };
  }
}

/** What only a client other than ours can have got wrong; undefined where nothing is. */
function misfitOf({ run, target }: RunInput): Telling | undefined {
  const remedy = 'Start runs with `holdpoint start`.';
  const { workflowId } = workflowInfo();
  if (!isRunId(run)) return { code: 'run-id-malformed', reason: `${JSON.stringify(run)} cannot be the id of a run.`, remedy };
  // The workflow id is the lock of the target.
  if (workflowId === target) return undefined;
  return { code: 'target-differs', reason: `The workflow is called ${workflowId}, but a run on ${target} must be called like it.`, remedy };
}

async function admitPlan(run: Run, input: RunInput, base: PlanningBase): Promise<Admitted> {
  const plan = await planSpan(spansOf(base.runbook)[0]?.steps ?? [], base);
  await run.record('plan.made', { plan: json(plan) });
  const [blocker] = blockersOf(plan);
  if (blocker) {
    const reason = `Step ${blocker.step} cannot be carried out: ${blocker.object}: ${blocker.reason}`;
    return { admission: { admitted: false, code: 'plan-blocked', reason, remedy: blocker.remedy, plan } };
  }
  if (plan.hash !== input.planHash) {
    const reason = `The plan is no longer the one that was shown: it is ${plan.hash} now, and ${input.planHash} was signed.`;
    return { admission: { admitted: false, code: 'plan-changed', reason, remedy: 'Look at the new plan and start again.', plan } };
  }
  return { admission: { admitted: true }, plan };
}

async function carryOut(run: Run, base: PlanningBase, first: SpanPlan): Promise<void> {
  let plan = first;
  for (const span of spansOf(base.runbook)) {
    if (span.hold) plan = await holdUntilSigned(run, span.hold, span, base);
    run.enter('running');
    for (const step of span.steps) {
      const planned = plan.steps.find(({ id }) => id === step.id);
      if (planned) base.outputs[step.id] = await carryOutStep(run, step, planned, base);
      else await skip(run, step);
    }
  }
}

async function skip(run: Run, step: ActionStep): Promise<void> {
  const state = run.step(step.id);
  state.status = 'skipped';
  state.summary = `left out: ${step.if ?? ''} is false`;
  await run.record('step.skipped', { step: step.id, if: step.if ?? '' });
}

/** Performs a step under its signed plan, again and again if it must be: pauses and stuck steps end in another try. */
async function carryOutStep(run: Run, step: ActionStep, { plan }: StepPlan, base: PlanningBase): Promise<JsonObject> {
  await run.safePoint();
  const state = run.step(step.id);
  state.status = 'running';
  const started = await run.record('step.started', { step: step.id, uses: step.uses, effects: json(plan.effects) });
  state.startedAt = started.at;
  for (let retry = 0; ; ) {
    await run.safePoint();
    try {
      const context = { run: run.state.run, step: step.id, target: base.target, retry };
      run.performing = new CancellationScope();
      const performed = await run.performing.run(() => performer(step.limits).perform({ action: step.uses, plan, context }));
      state.status = 'done';
      state.summary = performed.summary;
      const done = await run.record('step.done', { step: step.id, ...json(performed) });
      state.endedAt = done.at;
      return performed.outputs;
    } catch (error) {
      const failure = failureOf(error);
      const cancelledFromOutside = CancellationScope.current().consideredCancelled;
      if (cancelledFromOutside || !(failure || isCancellation(error))) throw error;
      // Stopped by an operator: the safe point above waits, ends the run or, where they have changed their mind, goes on at once.
      // Looking first makes another try harmless.
      if (!failure || run.interrupted()) continue;
      await run.stuck(step.id, failure.reason, failure.remedy);
      retry += 1;
    } finally {
      run.performing = undefined;
    }
  }
}

/** Lifts the marks of the run, writes down what it leaves behind, and answers whoever still waits. */
async function close(run: Run, base: PlanningBase, end: { phase: Phase; reason: string }): Promise<RunResult> {
  const { state } = run;
  state.hold = undefined;
  state.stuck = undefined;
  const leftovers: string[] = [];
  if (end.phase !== 'refused') {
    leftovers.push(...leftoversOf(run, end.phase), ...(await liftMarks(run, base)));
  }
  const { at } = await recordEnd(run, end, leftovers);
  state.ended = { at, reason: end.reason, leftovers };
  run.enter(end.phase);
  await condition(allHandlersFinished);
  return { run: state.run, phase: end.phase, reason: end.reason, evidence: state.evidence };
}

/** Lifts what the run has marked; says what a person must lift where that is not possible. */
async function liftMarks(run: Run, { target }: PlanningBase): Promise<string[]> {
  // Ended before its document was read: it has touched nothing.
  if (target.name === '') return [];
  try {
    const { lifted } = await releaser.release({ target, run: run.state.run });
    if (lifted.length > 0) await run.record('marks.lifted', { nodes: lifted });
    return [];
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    await run.record('marks.kept', failure);
    return [`cordons of ${run.state.run} may still be there, as they could not be lifted: ${failure.reason}`];
  }
}

async function recordEnd(run: Run, { phase, reason }: { phase: Phase; reason: string }, leftovers: string[]): Promise<{ at: string }> {
  try {
    return await run.record('run.ended', { phase, reason, leftovers });
  } catch (error) {
    // A run with an id that no record can have, or that another run has, is refused without one; the target must not stay locked.
    if (phase !== 'refused' || !failureOf(error)) throw error;
    return { at: workflowInfo().startTime.toISOString() };
  }
}

/** What a run that did not go through leaves in the world: the steps that were done, and the one it stopped in. */
function leftoversOf(run: Run, phase: Phase): string[] {
  if (phase === 'done') return [];
  return run.state.steps
    .filter(({ kind, startedAt, status }) => kind === 'action' && startedAt !== undefined && status !== 'skipped')
    .map(({ id, uses, status }) => `step ${id} (${uses}) ${status === 'done' ? 'was done and stays' : 'was stopped before its end'}`);
}

function refuseVerb(run: Run, request: VerbRequest): void {
  requireShape(request, ['person', 'run', 'verb', 'reason', 'signature']);
  const { verb, run: named } = request;
  const refusal = named === run.state.run ? run.refusalOfVerb(verb) : { cause: `the open run is ${run.state.run}`, possible: [] };
  if (!refusal) return;
  const possible = refusal.possible.length > 0 ? refusal.possible.join(', ') : 'nothing';
  throw refusalFailure({
    code: 'verb-refused',
    reason: `The run ${named} cannot be told to ${verb}: ${refusal.cause}.`,
    remedy: `What it can be told now: ${possible}.`,
  });
}

async function takeVerb(run: Run, request: VerbRequest): Promise<{ phase: Phase }> {
  const { person, verb, reason, signature } = request;
  const expected: ExpectedStatement = { kind: 'verb', person, run: request.run, verb, reason };
  const answer = await CancellationScope.nonCancellable(() => verifier.verifySignature({ expected, signature }));
  const verified = answer.ok && run.wasUsed(person, answer.nonce) ? usedBefore(person, verb) : answer;
  if (!verified.ok) {
    await run.recordRefusal({ person, attempt: verb, code: verified.code, reason: verified.reason });
    throw refusalFailure(verified, true);
  }
  refuseVerb(run, request);
  const { kind, body } = signedEvidence(expected, signature, verified.publicKey);
  const recorded = run.record(kind, body);
  run.obey(verb, person, reason, verified.at);
  await recorded;
  return { phase: run.state.phase };
}

function usedBefore(person: string, verb: string): { ok: false } & Telling {
  const reason = `This signed ${verb} of ${person} was given to the run before; a copy of it does not count.`;
  return { ok: false, code: 'statement-used', reason, remedy: 'Sign anew.' };
}

function withoutOk({ code, reason, remedy }: Telling): Telling {
  return { code, reason, remedy };
}

function json<Value extends object>(value: Value): Value extends unknown[] ? JsonObject[] : JsonObject {
  return JSON.parse(JSON.stringify(value)) as Value extends unknown[] ? JsonObject[] : JsonObject;
}

import { CancellationScope, condition, isCancellation, setHandler } from '@temporalio/workflow';
import type { JsonObject } from '../domain/json.ts';
import type { SpanPlan, StepPlan } from '../domain/plan.ts';
import type { ActionStep } from '../domain/runbook.ts';
import { admit } from './admission.ts';
import { close } from './ending.ts';
import { holdUntilSigned, refuseDecision, takeDecision } from './hold.ts';
import { toJson } from './json.ts';
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
import { performer } from './proxies.ts';
import { failureOf, Run, RunEnded } from './run.ts';
import { spansOf, type PlanningBase } from './span.ts';
import { refuseVerb, takeVerb } from './verbs.ts';

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
  const started = await run.record('step.started', { step: step.id, uses: step.uses, effects: toJson(plan.effects) });
  state.startedAt = started.at;
  for (let retry = 0; ;) {
    await run.safePoint();
    try {
      const context = { run: run.state.run, step: step.id, target: base.target, retry };
      run.performing = new CancellationScope();
      const performed = await run.performing.run(() => performer(step.limits).perform({ action: step.uses, plan, context }));
      state.status = 'done';
      state.summary = performed.summary;
      const done = await run.record('step.done', { step: step.id, ...toJson(performed) });
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

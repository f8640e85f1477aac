import { HoldpointError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Forecast } from '../domain/plan/forecast.ts';
import { digestOf, hashOfSpan, type SpanPlan } from '../domain/plan/plan.ts';
import type { RunbookDocument } from '../domain/runbook.ts';
import type { RunState } from '../domain/run/state.ts';
import { runWorkflow } from '../workflows/messages.ts';

/** A workflow as Temporal describes it, whoever answers for it. */
export interface DescribedWorkflow {
  workflowId: string;
  type: string;
  taskQueue: string;
  runId: string;
}

/**
 * Anybody who reaches Temporal can start a workflow under the id of a target, and have a worker of their own answer for it; what the server
 * says of its type and queue they cannot change. Throws `target-occupied` where it is no run of the workers on that queue.
 */
export function requireRun({ workflowId, type, taskQueue, runId }: DescribedWorkflow, ourQueue: string): void {
  if (type === runWorkflow && taskQueue === ourQueue) return;
  throw new HoldpointError('target-occupied', { target: workflowId, type, queue: taskQueue, execution: runId });
}

/**
 * Sees that what is shown of a run is what would be signed: not another plan than the one whose hash is asked to be signed, nor that of
 * another run. Throws `shown-forged`.
 *
 * @param name the run, or its target, as it was asked for.
 */
export function requireHonestState(name: string, state: RunState, workflowId: string): void {
  const { run, target, runbook, inputs, hold } = state;
  const of = { name, workflow: workflowId };
  require(workflowId === target, of, `it says that it works on ${target}, but a run on that is called like it`);
  require(name.includes('/') || name === run, of, `it says that it is the run ${run}`);
  if (!hold) return;
  // A run that has not read its runbook yet is at no hold.
  requireHonestPlan(of, hold.plan, { target, runbook, inputs });
  require(hold.plan.hash === hold.request.planHash, of, `its hold asks for a signature over ${hold.request.planHash}, another plan`);
}

/** Sees that a forecast is of that document with those inputs, and has the hash that it names. Throws `shown-forged`. */
export async function requireHonestForecast(forecast: Forecast, document: RunbookDocument, inputs: JsonObject): Promise<void> {
  // Whoever only looks at a run needs no compiler, which takes a tenth of a second to load.
  const { compileRunbook } = await import('../runbooks/compiler/compile.ts');
  const { checkInputs } = await import('../runbooks/compiler/inputs.ts');
  const of = { name: document.file, workflow: 'that has made the plan' };
  const { runbook } = compileRunbook(document.text, document.file, undefined, document.runbooks);
  // What this version cannot read, the command line has refused already; other clients believe their worker there.
  if (runbook) {
    require(forecast.runbook.digest === runbook.digest, of, 'the plan is of another runbook');
    require(digestOf(forecast.inputs) === digestOf(checkInputs(runbook, inputs).inputs), of, 'the plan is of other inputs');
  }
  for (const { plan } of forecast.spans) requireHonestPlan(of, plan, forecast);
}

interface Named {
  name: string;
  workflow: string;
}

function requireHonestPlan(of: Named, plan: SpanPlan, { target, runbook, inputs }: Pick<Forecast, 'target' | 'runbook' | 'inputs'>): void {
  const hash = hashOfSpan(plan);
  require(plan.hash === hash, of, `it names the hash ${plan.hash} for a plan that has ${hash}`);
  require(plan.target === target, of, `its plan is one of ${plan.target}`);
  require(plan.runbook === runbook.digest && plan.title === runbook.title, of, 'its plan is of another runbook');
  require(digestOf(plan.inputs) === digestOf(inputs), of, 'its plan is of other inputs');
}

function require(holds: boolean, of: Named, cause: string): void {
  if (!holds) throw new HoldpointError('shown-forged', { ...of, cause });
}

import { compileRunbook } from '../runbooks/compiler/compile.ts';
import { checkInputs } from '../runbooks/compiler/inputs.ts';
import { HoldpointError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Forecast } from '../domain/plan/forecast.ts';
import { digestOf, hashOfSpan, type SpanPlan } from '../domain/plan/plan.ts';
import type { RunbookDocument } from '../domain/runbook.ts';
import type { RunState } from '../domain/run/state.ts';
import { runWorkflow } from '../workflows/messages.ts';

/** The workflow that has answered for a run, as Temporal describes it. */
export interface AnsweringWorkflow {
  workflowId: string;
  type: string;
  taskQueue: string;
}

/**
 * Sees that what is shown of a run is what would be signed. Whoever reaches Temporal can start a workflow that says it is that run, and
 * shows another plan than the one whose hash it asks to be signed. Throws `shown-forged`.
 *
 * @param name the run, or its target, as it was asked for.
 * @param taskQueue the queue of our workers: another one is served by somebody else.
 */
export function requireHonestState(name: string, state: RunState, workflow: AnsweringWorkflow, taskQueue: string): void {
  const { run, target, runbook, inputs, hold } = state;
  const { workflowId, type } = workflow;
  const of = { name, workflow: workflowId };
  require(type === runWorkflow, of, `it is a workflow of type ${type}, which carries out no runs`);
  require(workflow.taskQueue === taskQueue, of, `it is on the task queue ${workflow.taskQueue}, and our workers are on ${taskQueue}`);
  require(workflowId === target, of, `it says that it works on ${target}, but a run on that is called like it`);
  require(name.includes('/') || name === run, of, `it says that it is the run ${run}`);
  if (!hold) return;
  // A run that has not read its runbook yet is at no hold.
  requireHonestPlan(of, hold.plan, { target, runbook, inputs });
  require(hold.plan.hash === hold.request.planHash, of, `its hold asks for a signature over ${hold.request.planHash}, another plan`);
}

/** Sees that a forecast is of that document with those inputs, and has the hash that it names. Throws `shown-forged`. */
export function requireHonestForecast(forecast: Forecast, document: RunbookDocument, inputs: JsonObject): void {
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

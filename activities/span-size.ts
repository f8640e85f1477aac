import { HoldpointError } from '../domain/errors.ts';
import { recordedValueBytesMax } from '../domain/evidence/evidence.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Forecast } from '../domain/plan/forecast.ts';
import type { SpanPlan } from '../domain/plan/plan.ts';
import type { StepInstance } from '../domain/run/step-tree.ts';
import type { CompiledRunbook } from '../domain/runbook.ts';

/** Steps, lists and runbooks of a span, with all that they are taken apart into; the workflow that shows them has two seconds for it. */
const instancesMax = 4_000;
/** Bytes of the inputs of all steps, as JSON: they are part of the plan, which is signed and recorded as one. */
const inputBytesMax = 512 * 1024;
/** Bytes of the plan of one span as JSON: it is recorded, and shown, as one value. */
export const planBytesMax = recordedValueBytesMax;
/** Bytes of the plans of all spans: they are one answer of Temporal, which has 2 MiB at most. */
export const forecastBytesMax = 1_536 * 1024;
/** Bytes that the steps bring to the workflow: each has the inputs of its runbook with it. */
const carriedBytesMax = 64 * 1024 * 1024;

/** How large a span has become; throws `work-too-large` before it is more than a run, its record and its signers can do with. */
export class SpanSize {
  private readonly runbook: CompiledRunbook;
  private readonly bytesOf = new Map<object, number>();
  private instances = 0;
  private inputBytes = 0;
  private carriedBytes = 0;

  constructor(runbook: CompiledRunbook) {
    this.runbook = runbook;
  }

  addInstance({ inputs, elements }: StepInstance): void {
    this.instances += 1;
    if (this.instances > instancesMax) throw tooLarge(this.runbook, `${instancesMax} steps, lists and runbooks in one span`);
    // Steps of one runbook share its inputs.
    const known = this.bytesOf.get(inputs) ?? bytesOf(inputs);
    this.bytesOf.set(inputs, known);
    this.carriedBytes += known + (elements ? bytesOf(elements) : 0);
    if (this.carriedBytes > carriedBytesMax) throw tooLarge(this.runbook, `${carriedBytesMax} bytes of inputs for all steps of one span`);
  }

  addInput(input: JsonObject): void {
    this.inputBytes += bytesOf(input);
    if (this.inputBytes > inputBytesMax) throw tooLarge(this.runbook, `${inputBytesMax} bytes of inputs in the plan of one span`);
  }
}

/** What is too large is refused before there is a plan of it. */
export function tooLarge({ name }: CompiledRunbook, limit: string): HoldpointError {
  return new HoldpointError('work-too-large', { runbook: name, limit });
}

/** Throws `work-too-large`, with the step that is most of it, where a plan is more than can be recorded and shown to who signs it. */
export function requirePlanSize(runbook: CompiledRunbook, plan: SpanPlan): void {
  const excess = excessOf(plan);
  if (excess !== undefined) throw tooLarge(runbook, `${planBytesMax} bytes in the plan of one span (${excess})`);
}

/** The same for the plan of a rollback, as `undo-too-large`: nobody can split what is done already. */
export function requireRollbackSize({ name }: CompiledRunbook, plan: SpanPlan): void {
  const excess = excessOf(plan);
  if (excess !== undefined) throw new HoldpointError('undo-too-large', { runbook: name, limit: `${planBytesMax} bytes (${excess})` });
}

function excessOf(plan: SpanPlan): string | undefined {
  const bytes = bytesOf(plan);
  if (bytes <= planBytesMax) return undefined;
  const [largest] = plan.steps.map((step) => ({ id: step.id, bytes: bytesOf(step) })).sort((one, other) => other.bytes - one.bytes);
  return `${bytes}${largest ? `, ${largest.bytes} of them in step ${largest.id}` : ''}`;
}

/** The same as `requirePlanSize` for the plans of all spans, which one answer holds. */
export function requireForecastSize(runbook: CompiledRunbook, { spans }: Pick<Forecast, 'spans'>): void {
  const bytes = spans.reduce((sum, { plan }) => sum + bytesOf(plan), 0);
  if (bytes > forecastBytesMax) throw tooLarge(runbook, `${forecastBytesMax} bytes in the plans of all spans (${bytes})`);
}

function bytesOf(value: object): number {
  return Buffer.byteLength(JSON.stringify(value));
}

import { HoldpointError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { StepInstance } from '../domain/run/step-tree.ts';
import type { CompiledRunbook } from '../domain/runbook.ts';

/** Steps, lists and runbooks of a span, with all that they are taken apart into; the workflow that shows them has two seconds for it. */
const instancesMax = 4_000;
/** Bytes of the inputs of all steps, as JSON: they are part of the plan, which is signed and recorded as one. */
const inputBytesMax = 512 * 1024;
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

function bytesOf(value: JsonObject): number {
  return Buffer.byteLength(JSON.stringify(value));
}

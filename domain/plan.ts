import canonicalize from 'canonicalize';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type { Json, JsonObject } from './json.ts';

/** One change to one object of the world, as it is shown to the people who sign it. */
export interface Effect {
  /** What is changed, e.g. `Node/ip-10-0-1-12` or `Nodegroup/demo/blue`. */
  object: string;
  /** What happens to it, as a verb phrase: `cordon`, `drain: evict the pods of 6 workloads`. */
  change: string;
  before?: Json;
  after?: Json;
}

/** A reason why a step cannot be carried out as things stand. */
export interface Blocker {
  object: string;
  reason: string;
  /** What the operator can do about it. */
  remedy: string;
}

/**
 * What one step would do, found by reading only.
 * `effects` and `facts` are signed; everything else may change without voiding a signature.
 */
export interface ActionPlan {
  effects: Effect[];
  /** What the effects rest on, and whatever the action needs to carry them out (names, UIDs, settings). */
  facts: JsonObject;
  blockers: Blocker[];
  warnings: string[];
  /** Things worth showing that change by themselves: pod counts, timings. */
  notes: JsonObject;
  /** What later steps may refer to as `steps.<id>.<name>`, as far as it is known before the step has run. */
  outputs: JsonObject;
  estimateMs: number;
}

/** A step of a span with its plan. */
export interface StepPlan {
  id: string;
  uses: string;
  input: JsonObject;
  plan: ActionPlan;
}

/** The plan of all steps up to the next hold: what one set of signatures stands for. */
export interface SpanPlan {
  target: string;
  /** Digest of the runbook document, `sha256:…`. */
  runbook: string;
  /** The inputs of the run. */
  inputs: JsonObject;
  steps: StepPlan[];
  /** `sha256:…` over everything above but blockers, warnings, notes, outputs and estimates. */
  hash: string;
}

/** SHA-256 of the RFC 8785 canonical JSON of a value, as `sha256:<hex>`. */
export function digestOf(value: Json): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('a value without a JSON form cannot be hashed');
  return digestOfText(text);
}

/** SHA-256 of a text's UTF-8 bytes, as `sha256:<hex>`. */
export function digestOfText(text: string): string {
  return `sha256:${bytesToHex(sha256(utf8ToBytes(text)))}`;
}

/** Seals the plans of a span's steps under one hash. Equal effects and facts give an equal hash. */
export function sealSpan(span: Omit<SpanPlan, 'hash'>): SpanPlan {
  const signed = {
    target: span.target,
    runbook: span.runbook,
    inputs: span.inputs,
    steps: span.steps.map(({ id, uses, input, plan }) => ({
      id,
      uses,
      input,
      effects: plan.effects as unknown as Json,
      facts: plan.facts,
    })),
  };
  return { ...span, hash: digestOf(signed) };
}

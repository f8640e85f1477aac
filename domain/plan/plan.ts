import canonicalize from 'canonicalize';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type { Json, JsonObject } from '../json.ts';
import type { ExpectedChange } from './expected.ts';
import type { PastDurations } from './past.ts';

/**
 * How many hex digits of a hash are shown, and asked for where one is typed: 128 bits. Two plans that share twelve digits are made
 * in seconds.
 */
export const hashDigitsMin = 32;

/** One change to one object of the world, as it is shown to the people who sign it. */
export interface Effect {
  /** What is changed, e.g. `Node/ip-10-0-1-12` or `Nodegroup/demo/blue`. */
  object: string;
  /** What happens to it, as a command phrase: `cordon`, `drain: evict the pods of 6 workloads`. */
  change: string;
  before?: Json;
  after?: Json;
}

/** A reason why a step cannot be carried out as things are now. */
export interface Blocker {
  object: string;
  reason: string;
  /** What the operator can do about it. */
  remedy: string;
  /** It comes from the inputs of the run: neither steps before it nor time change that, so the run is not even started. */
  ofInputs?: true;
}

/**
 * Something that may be lost by a step, which people accept by signing: pods that find no place, data that goes, traffic that is refused.
 * `object` and `risk` are signed, so `risk` is worded without numbers that change by themselves; those stand in `detail`.
 */
export interface Risk {
  object: string;
  risk: string;
  detail?: string;
  remedy?: string;
}

/**
 * What one step would do, found by reading only.
 * Effects, facts and risks are signed; everything else may change without voiding a signature.
 */
export interface ActionPlan {
  effects: Effect[];
  /** What the effects rest on, and whatever the action needs to carry them out (names, UIDs, settings). */
  facts: JsonObject;
  /** What may be lost. */
  risks: Risk[];
  blockers: Blocker[];
  /** What is good to know and changes nothing about what is signed. */
  notes: string[];
  /** Values worth showing that change by themselves: pod counts, timings. */
  details: JsonObject;
  /** What later steps may refer to as `steps.<id>.<name>`, as far as it is known before the step has run. */
  outputs: JsonObject;
  /** What the plans of later steps may count on. */
  expects?: ExpectedChange[];
  estimateMs: number;
  /** How long it takes to undo it; nothing where it is left out. */
  undoEstimateMs?: number;
}

/** A step of a span with its plan. */
export interface StepPlan {
  id: string;
  uses: string;
  input: JsonObject;
  plan: ActionPlan;
  /** How long it has taken before on this target; not signed. Left out where nothing is known. */
  past?: PastDurations;
}

/** The plan of all steps up to the next hold: what one set of signatures stands for. */
export interface SpanPlan {
  target: string;
  /** Digest of the runbook document, `sha256:…`. */
  runbook: string;
  /** Title of the runbook. */
  title: string;
  /** The inputs of the run. */
  inputs: JsonObject;
  steps: StepPlan[];
  /** `sha256:…` over target, runbook, title, inputs, and each step's id, action, input, effects, facts and risks. */
  hash: string;
}

/** SHA-256 of the RFC 8785 canonical JSON of a value, as `sha256:<hex>`. */
export function digestOf(value: Json): string {
  return digestOfText(canonicalText(value));
}

/** The RFC 8785 canonical JSON of a value. */
export function canonicalText(value: Json): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('a value without a JSON form cannot be hashed');
  return text;
}

/** SHA-256 of a text's UTF-8 bytes, as `sha256:<hex>`. */
export function digestOfText(text: string): string {
  return `sha256:${bytesToHex(sha256(utf8ToBytes(text)))}`;
}

/** The part of a hash that people compare: `sha256:` and `hashDigitsMin` digits. */
export function shortHash(hash: string): string {
  return hash.slice(0, 'sha256:'.length + hashDigitsMin);
}

/** Seals the plans of a span's steps under one hash. Equal effects, facts and risks give an equal hash. */
export function sealSpan(span: Omit<SpanPlan, 'hash'>): SpanPlan {
  return { ...span, hash: hashOfSpan(span) };
}

/** The hash of what is signed of a plan. Whoever shows a plan computes it from what is shown, and believes no other. */
export function hashOfSpan(span: Omit<SpanPlan, 'hash'>): string {
  return digestOfText(signedTextOf(span));
}

/** All that is signed of a plan, as RFC 8785 canonical JSON: the hash is the SHA-256 of this text in UTF-8. */
export function signedTextOf(span: Omit<SpanPlan, 'hash'>): string {
  const signed = {
    target: span.target,
    runbook: span.runbook,
    title: span.title,
    inputs: span.inputs,
    steps: span.steps.map(({ id, uses, input, plan }) => ({
      id,
      uses,
      input,
      effects: plan.effects as unknown as Json,
      facts: plan.facts,
      risks: plan.risks.map(({ object, risk }) => ({ object, risk })),
    })),
  };
  return canonicalText(signed);
}

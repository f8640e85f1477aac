import { isObject, type Json, type JsonObject } from '../json.ts';
import { ownValue } from '../map.ts';
import { digestOf, type ActionPlan, type Effect, type SpanPlan } from './plan.ts';

/** One thing that differs between the signed plan and the present one. */
export interface PlanChange {
  step: string;
  /** `added` and `gone` speak of effects and steps, `changed` of an effect's or fact's value. */
  kind: 'added' | 'gone' | 'changed';
  /** The object of the effect, `fact <name>`, or `risk <object>: <what may be lost>`. */
  object: string;
  before?: Json;
  after?: Json;
}

export type PlanDifference = PlanChange[];

/**
 * What differs between two sealed plans in that which is signed: target, runbook, title, inputs, steps, effects, facts, risks.
 * It is empty exactly where their hashes are equal.
 */
export function differenceOf(before: SpanPlan, after: SpanPlan): PlanDifference {
  const changes: PlanDifference = [
    ...compareTexts('run', 'target', before.target, after.target),
    ...compareTexts('run', 'runbook', before.runbook, after.runbook),
    ...compareTexts('run', 'title', before.title, after.title),
    ...compareObjects('run', 'input', before.inputs, after.inputs),
  ];
  const ids = new Set([...before.steps, ...after.steps].map(({ id }) => id));
  for (const id of ids) {
    const old = before.steps.find((step) => step.id === id);
    const now = after.steps.find((step) => step.id === id);
    if (!old && now) changes.push({ step: id, kind: 'added', object: `step ${id}` });
    if (old && !now) changes.push({ step: id, kind: 'gone', object: `step ${id}` });
    if (old && now) {
      changes.push(...compareTexts(id, 'action', old.uses, now.uses));
      changes.push(...compareObjects(id, 'input', old.input, now.input));
      changes.push(...compareEffects(id, old.plan, now.plan));
      changes.push(...compareObjects(id, 'fact', flat(old.plan.facts), flat(now.plan.facts)));
      changes.push(...compareRisks(id, old.plan, now.plan));
    }
  }
  // The order is signed, too, and an effect may be there twice.
  if (changes.length === 0 && before.hash !== after.hash) {
    changes.push({ step: 'run', kind: 'changed', object: 'order of steps or effects' });
  }
  return changes;
}

function compareTexts(step: string, object: string, before: string, after: string): PlanDifference {
  return before === after ? [] : [{ step, kind: 'changed', object, before, after }];
}

function compareEffects(step: string, before: ActionPlan, after: ActionPlan): PlanDifference {
  const old = byObject(before.effects);
  const now = byObject(after.effects);
  return compareObjects(step, '', old, now).map((change) => ({ ...change, object: change.object.trim() }));
}

/** A risk is there or not: it has no value. */
function compareRisks(id: string, before: ActionPlan, after: ActionPlan): PlanDifference {
  return compareObjects(id, 'risk', byRisk(before), byRisk(after)).map(({ step, kind, object }) => ({ step, kind, object }));
}

function byRisk({ risks }: ActionPlan): JsonObject {
  return Object.fromEntries(risks.map(({ object, risk }) => [`${object}: ${risk}`, true]));
}

/** An object may have several effects: the change is part of what names it. */
function byObject(effects: readonly Effect[]): JsonObject {
  return Object.fromEntries(effects.map(({ object, change, ...values }) => [`${object}: ${change}`, values as JsonObject]));
}

function compareObjects(step: string, prefix: string, before: JsonObject, after: JsonObject): PlanDifference {
  const changes: PlanDifference = [];
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const old = ownValue(before, key);
    const now = ownValue(after, key);
    const object = `${prefix} ${key}`;
    if (old === undefined && now !== undefined) changes.push({ step, kind: 'added', object, after: now });
    else if (old !== undefined && now === undefined) changes.push({ step, kind: 'gone', object, before: old });
    else if (old !== undefined && now !== undefined && digestOf(old) !== digestOf(now)) {
      changes.push({ step, kind: 'changed', object, before: old, after: now });
    }
  }
  return changes;
}

/** Facts within facts under their path, such as `drain.destinations`, so that what differs in a large one is told by itself. */
function flat(facts: JsonObject, path = ''): JsonObject {
  const entries = Object.entries(facts).flatMap(([name, value]): [string, Json][] =>
    isObject(value) && Object.keys(value).length > 0 ? Object.entries(flat(value, `${path}${name}.`)) : [[`${path}${name}`, value]],
  );
  return Object.fromEntries(entries);
}

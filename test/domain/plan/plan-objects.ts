import fc from 'fast-check';
import type { Json } from '../../../domain/json.ts';
import { digestOfText, sealSpan, type ActionPlan, type Effect, type SpanPlan, type StepPlan } from '../../../domain/plan/plan.ts';

/** A plan that cordons node a, as far as nothing else is said. */
export function planOf(differences: Partial<ActionPlan> = {}): ActionPlan {
  return {
    effects: [{ object: 'Node/a', change: 'cordon', before: 'schedulable', after: 'unschedulable' }],
    facts: { nodes: [{ name: 'a', uid: '1' }] },
    risks: [],
    blockers: [],
    notes: [],
    details: { pods: 3 },
    outputs: { nodes: ['a'] },
    estimateMs: 200,
    ...differences,
  };
}

/** A step with such a plan. */
export function stepOf(differences: Partial<StepPlan> = {}): StepPlan {
  return { id: 'cordon', uses: 'kubernetes.cordon', input: { nodes: ['a'] }, plan: planOf(), ...differences };
}

/** A sealed span with such a step. */
export function spanOf(differences: Partial<Omit<SpanPlan, 'hash'>> = {}): SpanPlan {
  const title = 'Rotate a node group';
  const of = { target: 'eks/eu-central-1/demo', runbook: digestOfText('the runbook'), title };
  return sealSpan({ ...of, inputs: { nodegroup: 'blue' }, steps: [stepOf()], ...differences });
}

// Keys that objects inherit are names like any other.
const key = fc.constantFrom('a', 'b', 'nodes', 'constructor', 'toString', 'ä', '');
const leaf = fc.oneof(fc.constant(null), fc.boolean(), fc.integer(), fc.constantFrom('', 'a', 'b'));

/** Any small JSON value. */
export const anyJson: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof({ maxDepth: 2 }, leaf, fc.array(tie('value'), { maxLength: 2 }), fc.dictionary(key, tie('value'), { maxKeys: 3 })),
})).value;

const anyObject = fc.dictionary(key, anyJson, { maxKeys: 3 });
const anyEffect: fc.Arbitrary<Effect> = fc.record(
  { object: fc.constantFrom('Node/a', 'Node/b'), change: fc.constantFrom('cordon', 'drain'), before: anyJson, after: anyJson },
  { requiredKeys: ['object', 'change'] },
);
const anyStep: fc.Arbitrary<StepPlan> = fc.record({
  id: fc.constantFrom('one', 'two', 'three'),
  uses: fc.constantFrom('kubernetes.cordon', 'kubernetes.drain'),
  input: anyObject,
  plan: fc.record({ effects: fc.array(anyEffect, { maxLength: 3 }), facts: anyObject, details: anyObject }).map(planOf),
});

/** Any span of a few steps with ids of their own, unsealed; close to each other, so that two are often nearly equal. */
export const anySpan: fc.Arbitrary<Omit<SpanPlan, 'hash'>> = fc.record({
  target: fc.constantFrom('eks/eu-central-1/demo', 'eks/eu-west-1/demo'),
  runbook: fc.constantFrom(digestOfText('one'), digestOfText('two')),
  title: fc.constantFrom('one', 'two'),
  inputs: anyObject,
  steps: fc.uniqueArray(anyStep, { maxLength: 3, selector: ({ id }) => id }),
});

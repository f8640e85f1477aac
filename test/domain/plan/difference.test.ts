import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Effect } from '../../../domain/plan/plan.ts';
import { sealSpan, type SpanPlan } from '../../../domain/plan/plan.ts';
import { differenceOf, type PlanChange } from '../../../domain/plan/difference.ts';
import { anySpan, planOf, spanOf, stepOf } from './plan-objects.ts';

const effect: Effect = { object: 'Node/a', change: 'cordon', before: 'schedulable', after: 'unschedulable' };
const other: Effect = { object: 'Node/b', change: 'cordon' };

function withEffects(...effects: Effect[]): SpanPlan {
  return spanOf({ steps: [stepOf({ plan: planOf({ effects }) })] });
}

function withFacts(facts: SpanPlan['inputs']): SpanPlan {
  return spanOf({ steps: [stepOf({ plan: planOf({ facts }) })] });
}

const cases: { title: string; before: SpanPlan; after: SpanPlan; change: PlanChange }[] = [
  {
    title: 'An effect that has come is added',
    before: withEffects(effect),
    after: withEffects(effect, other),
    change: { step: 'cordon', kind: 'added', object: 'Node/b: cordon', after: {} },
  },
  {
    title: 'An effect that is no longer there is gone',
    before: withEffects(effect, other),
    after: withEffects(effect),
    change: { step: 'cordon', kind: 'gone', object: 'Node/b: cordon', before: {} },
  },
  {
    title: 'An effect with another outcome is changed',
    before: withEffects(effect),
    after: withEffects({ ...effect, after: 'gone' }),
    change: {
      step: 'cordon',
      kind: 'changed',
      object: 'Node/a: cordon',
      before: { before: 'schedulable', after: 'unschedulable' },
      after: { before: 'schedulable', after: 'gone' },
    },
  },
  {
    title: 'A fact that has another value is changed',
    before: withFacts({ nodes: 3 }),
    after: withFacts({ nodes: 4 }),
    change: { step: 'cordon', kind: 'changed', object: 'fact nodes', before: 3, after: 4 },
  },
  {
    title: 'What differs within a fact is told by its path',
    before: withFacts({ drain: { settings: { perZone: false }, destinations: ['node group green'] } }),
    after: withFacts({ drain: { settings: { perZone: false }, destinations: [] } }),
    change: { step: 'cordon', kind: 'changed', object: 'fact drain.destinations', before: ['node group green'], after: [] },
  },
  {
    title: 'A fact that has come is added, whatever it is called',
    before: withFacts({}),
    after: withFacts({ constructor: 'x' }),
    change: { step: 'cordon', kind: 'added', object: 'fact constructor', after: 'x' },
  },
  {
    title: 'An input of the run is told',
    before: spanOf({ inputs: { nodegroup: 'blue' } }),
    after: spanOf({ inputs: { nodegroup: 'green' } }),
    change: { step: 'run', kind: 'changed', object: 'input nodegroup', before: 'blue', after: 'green' },
  },
  {
    title: 'A step that has come is added',
    before: spanOf(),
    after: spanOf({ steps: [stepOf(), stepOf({ id: 'more' })] }),
    change: { step: 'more', kind: 'added', object: 'step more' },
  },
  {
    title: 'A step that is no longer there is gone',
    before: spanOf(),
    after: spanOf({ steps: [] }),
    change: { step: 'cordon', kind: 'gone', object: 'step cordon' },
  },
  {
    title: 'The input of a step is told',
    before: spanOf(),
    after: spanOf({ steps: [stepOf({ input: { nodes: ['b'] } })] }),
    change: { step: 'cordon', kind: 'changed', object: 'input nodes', before: ['a'], after: ['b'] },
  },
  {
    title: 'Another action in a step is told',
    before: spanOf(),
    after: spanOf({ steps: [stepOf({ uses: 'kubernetes.uncordon' })] }),
    change: { step: 'cordon', kind: 'changed', object: 'action', before: 'kubernetes.cordon', after: 'kubernetes.uncordon' },
  },
  {
    title: 'Another target is told',
    before: spanOf(),
    after: spanOf({ target: 'eks/eu-west-1/demo' }),
    change: { step: 'run', kind: 'changed', object: 'target', before: 'eks/eu-central-1/demo', after: 'eks/eu-west-1/demo' },
  },
  {
    title: 'Another runbook is told',
    before: spanOf({ runbook: 'sha256:1' }),
    after: spanOf({ runbook: 'sha256:2' }),
    change: { step: 'run', kind: 'changed', object: 'runbook', before: 'sha256:1', after: 'sha256:2' },
  },
  {
    title: 'Where only the order differs, that is told',
    before: withEffects(effect, other),
    after: withEffects(other, effect),
    change: { step: 'run', kind: 'changed', object: 'order of steps or effects' },
  },
  {
    title: 'An effect that is there twice is told',
    before: withEffects(other),
    after: withEffects(other, other),
    change: { step: 'run', kind: 'changed', object: 'order of steps or effects' },
  },
];

test.each(cases)('$title.', ({ before, after, change }) => {
  expect(differenceOf(before, after)).toEqual([change]);
});

test('What is not signed makes no difference.', () => {
  const details = spanOf({ steps: [stepOf({ plan: planOf({ details: { pods: 9 }, notes: ['w'], outputs: {}, estimateMs: 1 }) })] });
  expect(differenceOf(spanOf(), details)).toEqual([]);
});

describe('for any two plans', () => {
  test('There is a difference exactly where the hashes differ.', () => {
    fc.assert(
      fc.property(anySpan, anySpan, fc.boolean(), (one, two, mix) => {
        // Half of the pairs differ in their steps alone, or they would hardly ever be equal.
        const before = sealSpan(one);
        const after = sealSpan(mix ? { ...one, steps: two.steps } : two);
        expect(differenceOf(before, after).length === 0).toBe(before.hash === after.hash);
      }),
      { numRuns: 500 },
    );
  });

  test('A plan does not differ from itself.', () => {
    fc.assert(fc.property(anySpan, (span) => differenceOf(sealSpan(span), sealSpan(structuredClone(span))).length === 0));
  });

  test('One effect or fact more or less is never overlooked.', () => {
    fc.assert(
      fc.property(anySpan, fc.nat(), (span, index) => {
        fc.pre(span.steps.length > 0);
        const at = index % span.steps.length;
        const [first, ...rest] = span.steps[at]?.plan.effects ?? [];
        fc.pre(first !== undefined);
        const steps = span.steps.map((step, place) => (place === at ? { ...step, plan: { ...step.plan, effects: rest } } : step));
        expect(differenceOf(sealSpan(span), sealSpan({ ...span, steps }))).not.toEqual([]);
      }),
    );
  });
});

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JsonObject } from '../../../domain/json.ts';
import { digestOf, digestOfText, sealSpan } from '../../../domain/plan/plan.ts';
import { anyJson, anySpan, planOf, spanOf, stepOf } from './plan-objects.ts';

describe('a digest', () => {
  test('is that of the canonical JSON: the keys sorted, no spaces.', () => {
    expect(digestOf({ b: [1, 'x'], a: null })).toBe(digestOfText('{"a":null,"b":[1,"x"]}'));
  });

  test('is SHA-256, written so that its kind can be seen.', () => {
    expect(digestOfText('abc')).toBe('sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  test('does not depend on the order of keys.', () => {
    fc.assert(fc.property(anyJson, (value) => digestOf(withKeysTurned(value)) === digestOf(value)));
  });

  test('is refused to what has no JSON form.', () => {
    expect(() => digestOf(undefined as never)).toThrow('a value without a JSON form cannot be hashed');
  });
});

describe('the hash of a span', () => {
  const base = spanOf();

  test('stays the same under another order of keys.', () => {
    fc.assert(fc.property(anySpan, (span) => sealSpan(withKeysTurned(span)).hash === sealSpan(span).hash));
  });

  const unsigned: { title: string; plan: Parameters<typeof planOf>[0] }[] = [
    { title: 'blockers', plan: { blockers: [{ object: 'Node/a', reason: 'It is not Ready.', remedy: 'Repair it.' }] } },
    { title: 'notes', plan: { notes: ['Node a is cordoned already.'] } },
    { title: 'details', plan: { details: { pods: 99 } } },
    { title: 'outputs', plan: { outputs: { nodes: ['z'] } } },
    { title: 'the estimate', plan: { estimateMs: 99 } },
  ];
  test.each(unsigned)('stays the same when $title change.', ({ plan }) => {
    expect(spanOf({ steps: [stepOf({ plan: planOf(plan) })] }).hash).toBe(base.hash);
  });

  const effect = { object: 'Node/a', change: 'cordon', before: 'schedulable', after: 'unschedulable' };
  const signed: { title: string; span: Parameters<typeof spanOf>[0] }[] = [
    { title: 'the target', span: { target: 'eks/eu-west-1/demo' } },
    { title: 'the runbook', span: { runbook: digestOfText('another') } },
    { title: 'the title', span: { title: 'Delete a node group' } },
    { title: 'an input', span: { inputs: { nodegroup: 'green' } } },
    { title: 'the id of a step', span: { steps: [stepOf({ id: 'other' })] } },
    { title: 'the action of a step', span: { steps: [stepOf({ uses: 'kubernetes.uncordon' })] } },
    { title: 'the input of a step', span: { steps: [stepOf({ input: { nodes: ['b'] } })] } },
    { title: 'a step more', span: { steps: [stepOf(), stepOf({ id: 'more' })] } },
    { title: 'no step', span: { steps: [] } },
    { title: 'a fact', span: { steps: [stepOf({ plan: planOf({ facts: { nodes: [{ name: 'a', uid: '2' }] } }) })] } },
    { title: 'no effect', span: { steps: [stepOf({ plan: planOf({ effects: [] }) })] } },
    { title: 'the object of an effect', span: { steps: [stepOf({ plan: planOf({ effects: [{ ...effect, object: 'Node/b' }] }) })] } },
    { title: 'the command of an effect', span: { steps: [stepOf({ plan: planOf({ effects: [{ ...effect, change: 'drain' }] }) })] } },
    { title: 'the outcome of an effect', span: { steps: [stepOf({ plan: planOf({ effects: [{ ...effect, after: 'gone' }] }) })] } },
    { title: 'an effect twice', span: { steps: [stepOf({ plan: planOf({ effects: [effect, effect] }) })] } },
  ];
  test.each(signed)('changes with $title.', ({ span }) => {
    expect(spanOf(span).hash).not.toBe(base.hash);
  });

  test('changes with any fact.', () => {
    fc.assert(
      fc.property(anySpan, fc.string(), anyJson, (span, name, value) => {
        const [first] = span.steps;
        fc.pre(first !== undefined && digestOf(first.plan.facts) !== digestOf({ ...first.plan.facts, [name]: value }));
        const facts: JsonObject = { ...first.plan.facts, [name]: value };
        const changed = { ...span, steps: [{ ...first, plan: { ...first.plan, facts } }, ...span.steps.slice(1)] };
        expect(sealSpan(changed).hash).not.toBe(sealSpan(span).hash);
      }),
    );
  });
});

/** The same value with the keys of every object in the opposite order. */
function withKeysTurned<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map(withKeysTurned) as Value;
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toReversed();
  return Object.fromEntries(entries.map(([key, inner]) => [key, withKeysTurned(inner as unknown)])) as Value;
}

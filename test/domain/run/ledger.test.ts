import { describe, expect, test } from '@jest/globals';
import { chain, type EvidenceEntry } from '../../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { sealSpan, type SpanPlan } from '../../../domain/plan/plan.ts';
import { Ledger, planIn } from '../../../domain/run/ledger.ts';
import { policiesIn, stepsAt } from '../../../domain/run/step-tree.ts';
import type { ActionStep, CompiledRunbook, CompiledStep } from '../../../domain/runbook.ts';

const run = 'r-1';
const at = '2026-11-28T10:00:00Z';

function planOf(...ids: string[]): SpanPlan {
  const plan = { effects: [], facts: {}, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
  const steps = ids.map((id) => ({ id, uses: 'kubernetes.drain', input: {}, plan }));
  return sealSpan({ target: 'eks/eu-central-1/demo', runbook: 'sha256:0', title: 'T', inputs: {}, steps });
}

const json = (value: object): JsonObject => JSON.parse(JSON.stringify(value)) as JsonObject;

/** The ledger of a record with these entries. */
function ledgerOf(...entries: [kind: string, body: object][]): Ledger {
  const ledger = new Ledger();
  let previous: EvidenceEntry | undefined;
  for (const [kind, body] of entries) {
    previous = chain(previous, { run, at, kind, body: json(body) });
    ledger.take(previous);
  }
  return ledger;
}

const requested = (hold: string, number: number, plan: SpanPlan, more: object = {}): [string, object] => {
  return ['hold.requested', { hold, number, plan, question: 'Go on?', policy: { name: 'one' }, ...more }];
};
const released = (hold: string, request: number): [string, object] => ['hold.released', { hold, request }];
const first = planOf('look');
const second = planOf('drain');

describe('what a run carries out now', () => {
  test.each<[string, [string, object][], string | undefined]>([
    ['is nothing before there is a plan', [], undefined],
    ['is the plan that was made at the start', [['plan.made', { plan: first }]], first.hash],
    ['is not a plan that waits for signatures', [['plan.made', { plan: first }], requested('sign', 1, second)], first.hash],
    [
      'is the plan of the hold that was released last',
      [requested('a', 1, first), released('a', 1), requested('b', 1, second), released('b', 1)],
      second.hash,
    ],
    [
      'is not a request that was closed',
      [requested('sign', 1, second), ['hold.withdrawn', { hold: 'sign', request: 1 }], released('sign', 1)],
      undefined,
    ],
    ['is not another request than the one that was released', [requested('sign', 2, second), released('sign', 1)], undefined],
    [
      'is not what a number that was given before is said to be',
      [requested('sign', 2, first), requested('sign', 2, second), released('sign', 2)],
      first.hash,
    ],
    ['is not a plan whose hash is not its own', [['plan.made', { plan: { ...first, inputs: { other: true } } }]], undefined],
    [
      'is not what is no plan at all',
      [
        ['plan.made', { plan: [] }],
        ['plan.made', {}],
      ],
      undefined,
    ],
    [
      'is not what an operator has had released for one step',
      [['plan.made', { plan: first }], requested('skip:look', 1, second, { askedBy: 'ada' }), released('skip:look', 1)],
      first.hash,
    ],
    [
      'is the rollback, once the run has turned round',
      [
        ['plan.made', { plan: first }],
        ['undo.started', { plan: second }],
      ],
      second.hash,
    ],
  ])('%s', (_what, entries, hash) => {
    expect(ledgerOf(...entries).grant()?.plan.hash).toBe(hash);
  });
});

test('a step that is over stays so, whatever is said to have begun', () => {
  const begun: [string, object] = ['step.started', { step: 'look' }];
  const ledger = ledgerOf(['plan.made', { plan: first }], begun, ['step.done', { step: 'look' }], begun);
  expect(ledger.steps.get('look')).toMatchObject({ over: true, finished: true });
  expect(ledgerOf(begun).steps.size).toBe(0);
});

describe('the gate that keeps a step from being begun', () => {
  const inOrder = planOf('look', 'work');
  const gate = { ...inOrder.steps[0]!, id: 'gate', uses: 'gate.http' };
  const plan = sealSpan({ ...inOrder, steps: [inOrder.steps[0]!, gate, inOrder.steps[1]!] });
  const about = sealSpan({ ...plan, steps: [gate] });
  const [begun, done, skipped] = ['step.started', 'step.done', 'step.skipped'].map((kind): [string, object] => [kind, { step: 'gate' }]);
  const skip = (more: [string, object][], shown = about): [string, object][] => [
    requested('skip:gate', 1, shown, { askedBy: 'ada' }),
    ...more,
  ];
  test.each<[string, [string, object][], string, string | undefined]>([
    ['stands before it', [], 'work', 'gate'],
    ['stands after it', [], 'look', undefined],
    ['is itself', [], 'gate', undefined],
    ['goes on', [begun!], 'work', 'gate'],
    ['has let the run pass', [begun!, done!], 'work', undefined],
    ['was left out by nobody who is in the record', [begun!, skipped!], 'work', 'gate'],
    ['was left out before it was asked for', [begun!, ...skip([skipped!])], 'work', 'gate'],
    ['was left out by what was signed for another step', [begun!, ...skip([released('skip:gate', 1), skipped!], plan)], 'work', 'gate'],
    ['was left out as people have signed', [begun!, ...skip([released('skip:gate', 1), skipped!])], 'work', undefined],
    ['was left out so before it was looked at', skip([released('skip:gate', 1), skipped!]), 'work', undefined],
    ['was in the plan before', [requested('sign', 1, second), released('sign', 1)], 'drain', 'gate'],
    ['was passed in the plan before', [begun!, done!, requested('sign', 1, second), released('sign', 1)], 'drain', undefined],
    ['does not stand in the way of a rollback', [['undo.started', { plan: planOf('undo:work') }]], 'undo:work', undefined],
  ])('%s', (_what, entries, step, shut) => {
    expect(ledgerOf(['plan.made', { plan }], ...entries).shutGateBefore(step)).toBe(shut);
  });
});

test('a step is late where it was to be undone at the close and was not over', () => {
  const begun: [string, object] = ['step.started', { step: 'look' }];
  const closed = (atClose: string): [string, object] => ['window.closed', { step: 'look', atClose }];
  const lateIn = (...entries: [string, object][]) => ledgerOf(['plan.made', { plan: first }], ...entries).lateStep;
  expect(lateIn(begun, closed('undo'))).toBe('look');
  expect(lateIn(begun, closed('page'))).toBeUndefined();
  expect(lateIn(closed('undo'))).toBeUndefined();
  expect(lateIn(begun, ['step.done', { step: 'look' }], closed('undo'))).toBeUndefined();
});

test('what the hash of a plan does not cover is left out, but for what progress is shown with', () => {
  const told = json({
    ...first,
    steps: first.steps.map((step) => ({ ...step, plan: { ...step.plan, notes: ['x'], details: { pods: 3 } } })),
  });
  expect(planIn(told)?.steps[0]?.plan).toMatchObject({ notes: [], details: { pods: 3 } });
});

describe('the steps that an id stands for', () => {
  const action: ActionStep = {
    kind: 'action',
    id: 'drain',
    uses: 'x',
    with: {},
    change: 'changes',
    onFailure: 'stuck',
    limits: { timeoutMs: 1, heartbeatMs: 1, attemptsMax: 1 },
  };
  const runbookOf = (...steps: CompiledStep[]): CompiledRunbook => ({
    name: 'n',
    title: '',
    digest: '',
    target: '',
    worksOn: [],
    inputs: {},
    steps,
  });
  const weak: CompiledStep = { kind: 'hold', id: 'sign', policy: 'weak' };
  const strong: CompiledStep = { kind: 'hold', id: 'sign', policy: 'strong' };
  const items = { items: [], as: 'item' };
  const nested: CompiledStep = { kind: 'runbook', id: 'each', forEach: items, runbook: runbookOf(weak, action), with: {} };
  const runbook = runbookOf({ ...action, forEach: items }, nested, strong, { ...nested, id: 'once', forEach: undefined });
  test.each([
    ['sign', ['strong']],
    ['each[blue]/sign', ['weak']],
    ['each[a]/y[b]/sign', ['weak']],
    ['once/sign', ['weak']],
    ['once/each/sign', []],
    ['each/sign', []],
    ['x'.repeat(5_000), []],
  ])('%p', (id, policies) => {
    expect(stepsAt(runbook, id).flatMap((step) => (step.kind === 'hold' ? step.policy : []))).toEqual(policies);
  });
  test('are found in lists, too, and all policies are', () => {
    expect(stepsAt(runbook, 'drain[node-a]')).toHaveLength(1);
    expect(policiesIn(runbook)).toEqual(['weak', 'strong']);
  });
});

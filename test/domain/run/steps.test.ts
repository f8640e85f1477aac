import { expect, test } from '@jest/globals';
import {
  openSteps,
  rowsBelow,
  rowsOf,
  shownSteps,
  stepsToUndo,
  withParts,
  type StepRow,
  type StepStatus,
} from '../../../domain/run/steps.ts';
import { elementsOf } from '../../../domain/run/step-expressions.ts';
import { instancesOf, nestedInstances, resultOf, withoutPlans, type Results } from '../../../domain/run/step-tree.ts';
import type { CompiledRunbook, CompiledStep } from '../../../domain/runbook.ts';

const limits = { timeoutMs: 1, heartbeatMs: 1, attemptsMax: 1 };
const action = (id: string, parts: object = {}): CompiledStep => ({
  kind: 'action',
  id,
  uses: 'kubernetes.drain',
  with: {},
  change: 'changes',
  onFailure: 'stuck',
  limits,
  ...parts,
});
const runbookOf = (name: string, steps: CompiledStep[]): CompiledRunbook => ({
  name,
  title: name,
  digest: '',
  target: '',
  worksOn: [],
  inputs: {},
  steps,
});
const inner = runbookOf('inner', [action('drain'), { kind: 'hold', id: 'sign', policy: 'one' }]);
const outer = runbookOf('outer', [
  action('look'),
  { kind: 'runbook', id: 'inner', runbook: inner, with: {} },
  action('each', { forEach: { items: ['a', 'b'], as: 'item' }, concurrency: 2 }),
]);
const scope = { inputs: {}, steps: {}, target: '' };

function rows(): StepRow[] {
  return rowsOf(instancesOf(outer, {}));
}

const idsOf = (list: readonly StepRow[]): string[] => list.map(({ shown }) => shown.id);

test('there is one row for each step that is known, those of a nested runbook below it', () => {
  expect(idsOf(rows())).toEqual(['look', 'inner', 'inner/drain', 'inner/sign', 'each']);
  expect(rows().map(({ shown }) => shown.kind)).toEqual(['action', 'group', 'action', 'hold', 'group']);
  expect(idsOf(rowsBelow(rows(), 'inner'))).toEqual(['inner/drain', 'inner/sign']);
});

test('a list gets its rows when it is planned, and those keep what has happened in them when it is planned again', () => {
  const [, , each] = instancesOf(outer, {});
  const parts = elementsOf(each!, { items: ['a', 'b'], as: 'item' }, scope);
  expect(parts.map(({ id, list }) => [id, list])).toEqual([
    ['each[a]', { id: 'each', concurrency: 2 }],
    ['each[b]', { id: 'each', concurrency: 2 }],
  ]);
  const planned = withParts(rows(), [{ id: 'each', parts }]);
  expect(idsOf(planned)).toEqual(['look', 'inner', 'inner/drain', 'inner/sign', 'each', 'each[a]', 'each[b]']);
  planned[6]!.shown.status = 'done';
  const again = withParts(planned, [{ id: 'each', parts: parts.slice(1) }]);
  expect(idsOf(again)).toEqual(['look', 'inner', 'inner/drain', 'inner/sign', 'each', 'each[b]']);
  expect(again[5]).toBe(planned[6]);
  expect(withParts(planned, [{ id: 'each', parts: [] }])[4]?.shown).toMatchObject({ status: 'skipped' });
});

test('an id that begins like another one belongs to nobody else', () => {
  const alike = rowsOf(instancesOf(runbookOf('alike', [action('a', { forEach: { items: [], as: 'item' } }), action('a-b')]), {}));
  expect(rowsBelow(alike, 'a')).toEqual([]);
});

test.each<[StepStatus[], StepStatus]>([
  [['done', 'done'], 'done'],
  [['skipped', 'skipped'], 'skipped'],
  [['done', 'skipped'], 'done'],
  [['done', 'waiting'], 'running'],
  [['waiting', 'waiting'], 'waiting'],
  [['stuck', 'running'], 'stuck'],
  [['undone', 'kept'], 'kept'],
])('a group of %j is %s', (statuses, status) => {
  const list = rows();
  const own = rowsBelow(list, 'inner');
  for (const [index, each] of statuses.entries()) own[index]!.shown.status = each;
  expect(shownSteps(list)[1]).toMatchObject({ id: 'inner', status });
});

test('what is to undo comes in the reverse order in which it was begun, without what is undone', () => {
  const list = rows();
  const plan = { effects: [], facts: {}, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
  const performed = (number: number, undone = false) => ({ number, plan, finished: true, foreign: false, undone });
  list[0]!.performed = performed(2);
  list[2]!.performed = performed(1);
  list[4]!.performed = performed(3, true);
  expect(idsOf(stepsToUndo(list))).toEqual(['look', 'inner/drain']);
  expect(openSteps(list)).toEqual([]);
});

test('results stand where the expressions of the same runbook find them', () => {
  const [, nested] = instancesOf(outer, {});
  const [drain] = nestedInstances(nested!, outer.steps[1] as never, {});
  const results: Results = {};
  resultOf(results, drain!).outputs = { nodes: 2 };
  expect(results).toEqual({ inner: { steps: { drain: { outputs: { nodes: 2 } } } } });
  expect(withoutPlans(results)).toEqual({ inner: { outputs: undefined, items: undefined, steps: { drain: { outputs: { nodes: 2 } } } } });
});

import { expect, test } from '@jest/globals';
import { RequestBook, type EvictionAnswer } from '../../../domain/drain/requests.ts';
import { budgetOf, podOf } from './drain-objects.ts';

const pod = podOf();
const terminating = { ...pod, terminating: true };
const budget = budgetOf();
const { uid } = pod;

const send = (book: RequestBook): void => book.send(pod, budget);
const sendTerminating = (book: RequestBook): void => book.send(terminating);
const answer =
  (given: EvictionAnswer, nowMs = 0) =>
  (book: RequestBook): void =>
    void book.answer(pod, given, nowMs);
const evicted = answer({ answer: 'evicted' });
const changed = answer({ answer: 'changed' });
const full = answer({ answer: 'blocked', by: 'budget', reason: 'it is full' });
const denied = answer({ answer: 'blocked', by: 'other', reason: 'a webhook says no' });
const fail = (book: RequestBook): void => book.fail(pod, 'no answer', 0);
const see =
  (pods: (typeof pod)[], nowMs = 0) =>
  (book: RequestBook): void =>
    void book.see(pods, nowMs);
const readAnew = (book: RequestBook): void => book.readAnew([uid]);

type State = Partial<{ asked: boolean; refused: string; inDoubt: boolean }>;
const reason = (text: string, by = 'other'): string => `by ${by}: the API server refuses it for now: ${text}`;

const table: { title: string; events: ((book: RequestBook) => void)[]; state: State; nowMs?: number; budgets?: (typeof budget)[] }[] = [
  { title: 'nothing: it may be asked for', events: [], state: {} },
  { title: 'a request that is not answered: it counts as asked', events: [send], state: { asked: true } },
  { title: 'the same, though the cluster does not show it any more', events: [send, see([])], state: { asked: true } },
  { title: 'the same, however long that takes', events: [send, see([pod], 60_000)], state: { asked: true } },
  { title: 'a grant that is not seen yet', events: [send, evicted, see([pod], 9_999)], state: { asked: true } },
  { title: 'a grant that is seen: it is terminating', events: [send, evicted, see([terminating])], state: {} },
  { title: 'a grant that is seen: it is gone', events: [send, answer({ answer: 'gone' }), see([])], state: {} },
  {
    title: 'a deletion of one that was terminating: only its end shows that',
    events: [sendTerminating, evicted, see([terminating])],
    state: { asked: true },
  },
  { title: 'a grant of which nothing is seen in time', events: [send, evicted, see([pod], 10_000)], state: { asked: true, inDoubt: true } },
  {
    title: 'the same, once everything has been read anew: asked for again, only as it was seen',
    events: [send, evicted, see([pod], 10_000), readAnew],
    state: { inDoubt: true },
  },
  { title: 'the same, once it is gone', events: [send, evicted, see([pod], 10_000), readAnew, see([])], state: {} },
  { title: 'an answer that it has changed', events: [send, changed], state: { asked: true, inDoubt: true } },
  { title: 'the same, once everything has been read anew', events: [send, changed, readAnew], state: { inDoubt: true } },
  {
    title: 'reading anew while a new request is on its way',
    events: [send, changed, readAnew, send, readAnew],
    state: { asked: true, inDoubt: true },
  },
  { title: 'a refusal, for a second', events: [send, denied], nowMs: 999, state: { refused: reason('a webhook says no') } },
  { title: 'the same, after that second', events: [send, denied], nowMs: 1_000, state: {} },
  {
    title: 'a second refusal, for two',
    events: [send, denied, send, denied],
    nowMs: 1_999,
    state: { refused: reason('a webhook says no') },
  },
  { title: 'a hundredth one, for half a minute at most', events: Array.from({ length: 100 }, () => denied), nowMs: 30_000, state: {} },
  {
    title: 'a refusal for as long as the API server says',
    events: [send, answer({ answer: 'blocked', by: 'other', reason: 'busy', retryAfterMs: 7_000 })],
    nowMs: 6_999,
    state: { refused: reason('busy') },
  },
  { title: 'a refusal by its budget', events: [send, full], budgets: [budget], state: { refused: reason('it is full', 'budget') } },
  { title: 'the same, once its budget has changed', events: [send, full], budgets: [{ ...budget }], state: {} },
  { title: 'a refusal of a pod that is gone', events: [send, denied, see([])], state: {} },
  { title: 'a first failure: asked for again at once', events: [send, fail, readAnew], state: { inDoubt: true } },
  {
    title: 'a second failure: not at once',
    events: [send, fail, readAnew, send, fail, readAnew],
    nowMs: 1_999,
    state: { inDoubt: true, refused: 'by other: no answer' },
  },
];

test.each(table)('Of a pod the book knows $title.', ({ events, state, nowMs = 0, budgets = [] }) => {
  const book = new RequestBook();
  for (const event of events) event(book);
  const refusal = book.refusals(budgets, nowMs).get(uid);
  const refused = refusal && `by ${refusal.by}: ${refusal.reason}`;
  const known = { asked: book.asked().has(uid), refused, inDoubt: book.isInDoubt(uid) };
  expect(known).toEqual({ asked: false, refused: undefined, inDoubt: false, ...state });
});

test('What the cluster does not show in time is to be read anew, once.', () => {
  const book = new RequestBook();
  book.send(pod);
  expect(book.answer(pod, { answer: 'evicted' }, 0)).toBe(false);
  expect(book.see([pod], 9_999)).toEqual([]);
  expect(book.see([pod], 10_000)).toEqual([uid]);
  expect(book.see([pod], 20_000)).toEqual([]);
});

test('An answer that a pod has changed says that everything is to be read anew.', () => {
  const book = new RequestBook();
  book.send(pod);
  expect(book.answer(pod, { answer: 'changed' }, 0)).toBe(true);
});

test('Of each budget one eviction is under way at a time; pods without a budget go at once.', () => {
  const [first, second, free] = ['web-1', 'web-2', 'free'].map((name) => podOf({ name, uid: name })) as [
    typeof pod,
    typeof pod,
    typeof pod,
  ];
  const other = budgetOf({ name: 'other' });
  const alone = podOf({ name: 'alone', uid: 'alone' });
  const book = new RequestBook();
  const names = (): string[] => {
    const budgets = new Map([[first, budget] as const, [second, budget] as const, [alone, other] as const]);
    return book.sendable({ evict: [first, free, alone], attempt: [second], budgetOf: budgets }).map((one) => one.pod.name);
  };
  expect(names()).toEqual(['web-1', 'free', 'alone']);
  book.send(podOf({ name: 'web-0', uid: 'web-0' }), { ...budget });
  expect(names()).toEqual(['free', 'alone']);
  book.answer(podOf({ name: 'web-0', uid: 'web-0' }), { answer: 'evicted' }, 0);
  expect(names()).toEqual(['web-1', 'free', 'alone']);
});

test('A node counts as cordoned for a while though the cluster does not show it, and its beginning is remembered.', () => {
  const book = new RequestBook();
  const isEarlier = (): boolean => false;
  book.noteNode('n', { cordonedAtMs: 0, cordonedVersion: '7' });
  book.noteNode('n', { beganAtMs: 5, seenAtTurn: new Set(['web-1']) });
  const cordoned = [book.hasCordoned('n', 9_999, isEarlier), book.hasCordoned('n', 10_000, isEarlier), book.hasCordoned('m', 0, isEarlier)];
  expect(cordoned).toEqual([true, false, false]);
  expect([book.turnOf('n'), book.turnOf('m')]).toEqual([
    { cordonedAtMs: 0, cordonedVersion: '7', beganAtMs: 5, seenAtTurn: new Set(['web-1']) },
    {},
  ]);
});

test('A node that is seen later than it was cordoned counts as it is seen: somebody has lifted its cordon.', () => {
  const book = new RequestBook();
  book.noteNode('n', { cordonedAtMs: 0, cordonedVersion: '7' });
  book.noteNode('m', { cordonedAtMs: 0 });
  const isLater = (version: string): boolean => version === '7';
  expect([book.hasCordoned('n', 1, isLater), book.hasCordoned('m', 1, isLater)]).toEqual([false, true]);
});

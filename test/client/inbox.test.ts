import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Inbox } from '../../client/inbox.ts';
import { runbookOf, startEngine, type Engine } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('inbox');
});
afterAll(() => engine.stop());

async function heldRun(policy: string): Promise<{ run: string; target: string }> {
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy }));
  await engine.until(target, 'holding');
  return { run, target };
}

/** Temporal lists what it has been told a moment ago. */
async function inboxOf(person: string, isThere: (inbox: Inbox) => boolean): Promise<Inbox> {
  const giveUpAtMs = Date.now() + 20_000;
  for (;;) {
    const inbox = await engine.holdpoint.inbox(person);
    if (isThere(inbox)) return inbox;
    if (Date.now() > giveUpAtMs) throw new Error(`the inbox of ${person} stays ${JSON.stringify(inbox)}`);
  }
}

test('lists what waits for a person over all runs, what closes first before the rest, and nothing else', async () => {
  const two = await heldRun('two');
  const one = await heldRun('one');
  const inbox = await inboxOf('ada', ({ items }) => items.length === 2);
  expect(inbox).toMatchObject({ unread: [], more: false });
  expect(inbox.items.map(({ run, missing }) => [run, missing])).toEqual([
    [two.run, 2],
    [one.run, 1],
  ]);
  expect(inbox.items[0]).toMatchObject({ target: two.target, hold: 'sign', request: 1, requester: 'dana' });
  for (const { ageMs, leftMs, steps } of inbox.items) {
    expect(steps).toEqual([expect.objectContaining({ id: 'work', uses: 'kubernetes.cordon', estimateMs: 0, risks: [] })]);
    expect(steps[0]?.changes[0]).toBe('Node/node-first: cordon');
    expect(ageMs).toBeGreaterThanOrEqual(0);
    expect(leftMs).toBeGreaterThan(0);
  }
  // The requester is excluded by both policies, and oscar is in no group.
  for (const person of ['dana', 'oscar', 'nobody']) expect((await engine.holdpoint.inbox(person)).items).toEqual([]);
  await engine.decide(two.target, 'ada');
  expect((await engine.holdpoint.inbox('ada')).items.map(({ run }) => run)).toEqual([one.run]);
  expect((await engine.holdpoint.inbox('grace')).items.map(({ run, missing }) => [run, missing])).toContainEqual([two.run, 1]);
  for (const [target, person] of [
    [two.target, 'grace'],
    [one.target, 'grace'],
  ] as const) {
    await engine.decide(target, person);
    await engine.until(target, 'done');
  }
  expect((await inboxOf('grace', ({ items }) => items.length === 0)).unread).toEqual([]);
});

test('tells which runs could not be asked', async () => {
  const { target } = await heldRun('one');
  await inboxOf('ada', ({ items }) => items.length === 1);
  await engine.replaceWorker(async () => {
    const { items, unread } = await engine.holdpoint.inbox('ada');
    expect(items).toEqual([]);
    expect(unread).toEqual([{ target, reason: expect.any(String) }]);
  });
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
});

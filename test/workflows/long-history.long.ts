import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Calendar } from '../../domain/calendar/calendar.ts';
import type { Interval } from '../../domain/calendar/interval.ts';
import { clockChangeDefault } from '../../domain/calendar/window.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { attemptRefusedSignal } from '../../workflows/messages.ts';
import { documentOf, runbookOf, startEngine, untilTrue, type Engine } from '../support/engine.ts';
import { startMortalServer, type MortalServer } from '../support/mortal-server.ts';

/** A server of our own finds a history long after this many events. One that is named by TEMPORAL_ADDRESS has the limits of production. */
const suggestedAfterEvents = 300;
/** Enough of them make any history long, each by its signal: what is written of them is written together. More than the record holds. */
const attempts = process.env.TEMPORAL_ADDRESS ? 2_000 : 300;
const attemptsAtOnce = 30;

let directory: string;
let server: MortalServer | undefined;
let engine: Engine;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-long-history-'));
  if (!process.env.TEMPORAL_ADDRESS)
    server = await startMortalServer(directory, { 'limit.historyCount.suggestContinueAsNew': suggestedAfterEvents });
  engine = await startEngine('long-history', undefined, server?.address);
});
afterAll(async () => {
  await engine.stop();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Tells the run of refused attempts until it has gone on as new; returns the id of the old one. */
async function flood(target: string, attempts: number): Promise<string> {
  const first = (await engine.handle(target).describe()).runId;
  for (let sent = 0; sent < attempts; sent += attemptsAtOnce) {
    const attempt = { person: 'mallory', attempt: 'approve', code: 'not-in-group', reason: `number ${sent}` };
    await Promise.all(Array.from({ length: attemptsAtOnce }, () => engine.handle(target).signal(attemptRefusedSignal, attempt)));
  }
  await untilTrue(async () => (await engine.handle(target).describe()).runId !== first);
  return first;
}

test('at a hold, the signatures that are there outlive a history that has become too long', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy: 'two' }));
  await engine.decide(target, 'ada');
  const before = await engine.until(target, 'holding');
  const first = await flood(target, attempts);
  const { hold, refusedAttempts } = await engine.until(target, 'holding');
  expect(hold).toEqual(before.hold);
  expect(refusedAttempts).toBe(attempts);
  // Found by the id of the run as well, and once only.
  expect((await engine.holdpoint.state(run)).hold?.decisions).toHaveLength(1);
  expect((await engine.holdpoint.list({ openOnly: false })).filter((row) => row.run === run)).toHaveLength(1);
  await expect(engine.decide(target, 'ada')).rejects.toMatchObject({ code: 'already-decided' });
  await engine.decide(target, 'grace');
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
  const kinds = await engine.verifiedKinds(run);
  expect(kinds.filter((kind) => kind === 'decision.accepted')).toHaveLength(2);
  expect(kinds.filter((kind) => kind === 'attempt.refused')).toHaveLength(200);
  await engine.replay(target, { name: 'continued' });
  await engine.replay(target, { name: 'continued-before', historyOf: engine.client.workflow.getHandle(target, first) });
});

test('at a stuck step the run comes back to the same place, with its rollback', async () => {
  const { cluster, target, site } = engine.newSite();
  site.drainFailures.set('node-b', new HoldpointError('action-stuck', { cause: 'node-b does not answer.', remedy: 'Mend it.' }));
  const document = documentOf(`
  - { id: sign, hold: one }
  - { id: a, uses: kubernetes.drain, with: { nodes: [node-a] } }
  - { id: b, uses: kubernetes.drain, with: { nodes: [node-b] } }
  - { id: c, uses: kubernetes.drain, with: { nodes: [node-c] } }`);
  const { run } = await engine.begin(cluster, document);
  await engine.decide(target, 'ada');
  const before = await engine.until(target, 'stuck');
  await flood(target, attempts);
  const after = await engine.until(target, 'stuck');
  expect(after).toEqual({ ...before, refusedAttempts: attempts });
  await engine.holdpoint.operate(target, 'undo', 'back', engine.keys.dana);
  await engine.decide(target, 'linus');
  await engine.until(target, 'undone');
  expect(site.undone).toEqual(['node-a']);
  const kinds = await engine.verifiedKinds(run);
  expect(kinds.filter((kind) => kind === 'step.stuck')).toHaveLength(1);
});

test('parked, and in the review of a hold that was released alone, it comes back to the same place', async () => {
  const nowMs = Date.now();
  const opening = { from: nowMs + 3_600_000, until: nowMs + 7_200_000 };
  const wallTimes = (): Interval[] => [opening];
  const windows = [{ text: 'as the test says', zone: 'UTC', onClockChange: clockChangeDefault, wallTimes }];
  engine.calendars.set('later', new Calendar({ name: 'later', zone: 'UTC', windows, freezes: [] }));
  const weekly = ['Mon-Sun 00:00-24:00'];
  engine.configuration.calendars = { later: { zone: 'UTC', weekly, dst: clockChangeDefault, freezes: [] } };
  engine.configuration.policies.emergency = { ...engine.configuration.policies.one!, name: 'emergency', breakGlass: ['dana'] };
  const { text, file } = documentOf(`
  - { id: sign, hold: emergency }
  - { id: a, uses: kubernetes.drain, with: { nodes: [node-a] } }`);
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, { file, text: text.replace('steps:', 'window: later\nsteps:') });
  const held = await engine.until(target, 'holding');
  await engine.holdpoint.breakGlass(held, held.hold!.request, 'the disk is full', engine.keys.dana);
  const before = await engine.until(target, 'parked');
  await flood(target, attempts);
  const after = await engine.until(target, 'parked');
  expect(after).toEqual({ ...before, refusedAttempts: attempts });
  expect(site.drained).toEqual([]);
  opening.from = Date.now() - 1;
  await engine.holdpoint.operate(target, 'pause', '', engine.keys.ada);
  await engine.until(target, 'paused');
  await engine.holdpoint.operate(target, 'resume', '', engine.keys.ada);
  const review = await engine.until(target, ({ hold }) => hold?.request.hold === 'review:sign');
  await flood(target, attempts);
  const again = await engine.until(target, ({ refusedAttempts }) => refusedAttempts === 2 * attempts);
  expect(again).toEqual({ ...review, refusedAttempts: 2 * attempts });
  await engine.decide(target, 'grace');
  await engine.until(target, 'done');
  expect(site.drained).toEqual(['node-a']);
  const kinds = await engine.verifiedKinds(run);
  for (const kind of ['window.parked', 'window.resumed', 'glass.broken']) expect(kinds.filter((one) => one === kind)).toHaveLength(1);
});

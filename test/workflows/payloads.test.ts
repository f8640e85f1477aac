import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import proto from '@temporalio/proto';
import { createPayloadStorage } from '../../activities/evidence/payloads.ts';
import { connectTemporal } from '../../client/connection.ts';
import { verifyEvidence, type EvidenceReport } from '../../client/evidence.ts';
import { Holdpoint } from '../../client/holdpoint.ts';
import { keptValuesOf, payloadSizeMax } from '../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { SpanPlan } from '../../domain/plan/plan.ts';
import { createWorker } from '../../worker/worker.ts';
import { documentOf, runbookOf, startEngine, untilTrue, type Engine } from '../support/engine.ts';
import { makeKeys, writeConfiguration } from '../support/people.ts';

const { HistoryEvent } = proto.temporal.api.history.v1;

/** What else there is in an event: names, times, ids. */
const eventOverheadBytes = 2 * 1024;
/** More than an entry of a record can hold. */
const large = Array.from({ length: 5_000 }, (_, index) => ({
  node: `ip-10-0-${index}.eu-central-1.compute.internal`,
  uid: `uid-${index}`,
}));
/** Its one plan is large, so that the forecast of it is not larger than Temporal likes. */
const largeRunbook = documentOf(`
  - { id: sign, hold: one }
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }`);
/** Just small enough to stay. */
const small = 'x'.repeat(payloadSizeMax - 4 * 1024);

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('payloads');
});
afterAll(() => engine.stop());

/** The sizes of the events of a run, the largest first. */
async function eventSizes(target: string): Promise<number[]> {
  const { events } = await engine.handle(target).fetchHistory();
  return (events ?? []).map((event) => HistoryEvent.encode(event).finish().length).sort((one, other) => other - one);
}

const factsOf = (plan: SpanPlan | undefined): unknown[] => (plan?.steps ?? []).map((step) => step.plan.facts);

async function verify(run: string): Promise<EvidenceReport> {
  return verifyEvidence(engine.evidence.pathOf(run), engine.configuration.people);
}

/** The file of the first value of that name which an entry of the record keeps beside it. */
async function keptFile(run: string, name: string): Promise<string> {
  const kept = (await engine.entries(run)).flatMap(keptValuesOf).find(([found]) => found === name);
  if (!kept) throw new Error(`the record keeps no ${name} beside it`);
  return join(dirname(engine.evidence.pathOf(run)), 'payloads', kept[1].sha256.slice('sha256:'.length));
}

test('a plan that is too large for histories and entries is shown in full, signed and carried out, and the record holds it', async () => {
  const { cluster, target, site } = engine.newSite();
  site.generation = large;
  const forecast = await engine.holdpoint.plan(largeRunbook, { cluster });
  expect(forecast.spans.map(({ plan }) => factsOf(plan))).toEqual([[], [{ generation: large }]]);
  const { run, admission } = await engine.begin(cluster, largeRunbook);
  expect(admission).toEqual({ admitted: true });
  await engine.until(target, 'holding');
  const { hold } = await engine.holdpoint.state(target);
  expect(factsOf(hold?.plan)).toEqual([{ generation: large }]);
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
  await expect(engine.handle(target).result()).resolves.toMatchObject({ run, phase: 'done' });

  const [largest = 0] = await eventSizes(target);
  expect(largest).toBeLessThan(payloadSizeMax);
  const report = await verify(run);
  expect(report).toMatchObject({ ok: true, ending: 'ended', problems: [] });
  expect(report.kept).toBeGreaterThanOrEqual(1);
  const file = await keptFile(run, 'plan');
  expect(factsOf(JSON.parse(await readFile(file, 'utf8')) as SpanPlan)).toEqual([{ generation: large }]);
  await engine.replay(target);

  const bytes = await readFile(file);
  const changed = Buffer.from(bytes);
  changed[changed.length >> 1] = (changed[changed.length >> 1] ?? 0) ^ 1;
  await writeFile(file, changed);
  const sentences = async (): Promise<string[]> => (await verify(run)).problems.map(({ sentence }) => sentence);
  expect((await sentences())[0]).toMatch(
    /^Entry \d+ \([a-z.]+\) keeps its plan beside the record, in payloads\/[0-9a-f]{64}, which was changed/,
  );
  await rm(file);
  expect((await sentences())[0]).toMatch(
    /^Entry \d+ \([a-z.]+\) keeps its plan beside the record, in payloads\/[0-9a-f]{64}, which is missing\.$/,
  );
  await writeFile(file, bytes);
  expect(await verify(run)).toMatchObject({ ok: true });
});

test('a worker that has begun nothing of it takes up a run with a large plan', async () => {
  const { cluster, target, site } = engine.newSite();
  site.generation = large;
  await engine.begin(cluster, largeRunbook);
  await engine.until(target, 'holding');
  await engine.replaceWorker();
  expect(factsOf((await engine.holdpoint.state(target)).hold?.plan)).toEqual([{ generation: large }]);
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
});

test('a start whose large plan has changed is answered with the new one', async () => {
  const { cluster, site } = engine.newSite();
  const forecast = await engine.holdpoint.plan(runbookOf(), { cluster });
  site.generation = large;
  const { admission } = await engine.holdpoint.start(runbookOf(), forecast, engine.keys.dana);
  if (admission.admitted) throw new Error('the run was admitted');
  expect(factsOf(admission.plan)).toEqual([{ generation: large }]);
});

test('what is small enough stays in the history and in the record', async () => {
  const { cluster, target, site } = engine.newSite();
  site.generation = small;
  const { run } = await engine.begin(cluster);
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  const [largest = 0] = await eventSizes(target);
  expect(largest).toBeGreaterThan(small.length);
  expect(largest).toBeLessThan(payloadSizeMax + eventOverheadBytes);
  expect(await verify(run)).toMatchObject({ ok: true });
  expect(await verify(run)).not.toHaveProperty('kept');
});

test('progress that is larger than what stays in histories is seen by a client without the store', async () => {
  const { target, site } = await engine.working((site) => {
    site.items = large.map(({ node }) => ({ name: node, state: 'waiting', done: 0, total: 1 }));
    site.slow.add('second');
  });
  await untilTrue(async () => Object.values((await engine.holdpoint.live(target)).progress)[0]?.items.length === large.length);
  site.finishSlow();
  await engine.until(target, 'done');
});

test('a worker as it is shipped keeps what is large in the evidence directory of its configuration', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-payloads-'));
  const configurationFile = await writeConfiguration(directory, await makeKeys(join(directory, 'keys')));
  const settings = { ...engine.settings, taskQueue: `${engine.settings.taskQueue}-shipped` };
  const worker = await createWorker({ ...settings, configurationFile, logLevel: 'error' });
  const { file, text } = documentOf('\n  - { id: sign, hold: production-change }');
  const document = { file, text: `${text}\n# ${'x'.repeat(payloadSizeMax)}\n` };
  const forecast = await worker.runUntil(new Holdpoint(engine.client, settings).plan(document, { cluster: 'any' }));
  expect(forecast.spans).toHaveLength(2);
  await expect(readdir(join(directory, 'evidence', 'payloads'))).resolves.toHaveLength(1);
  await rm(directory, { recursive: true });
});

test('a client that has the store lets the document of a run leave the history, too', async () => {
  const { cluster, target } = engine.newSite();
  const inputs: JsonObject = { cluster };
  const { file, text } = runbookOf();
  const document = { file, text: `${text}\n# ${'x'.repeat(2 * payloadSizeMax)}\n` };
  const client = await connectTemporal(engine.settings, createPayloadStorage(engine.evidence));
  try {
    const holdpoint = new Holdpoint(client, engine.settings);
    await holdpoint.start(document, await holdpoint.plan(document, inputs), engine.keys.dana);
    await engine.decide(target, 'ada');
    await engine.until(target, 'done');
  } finally {
    await client.connection.close();
  }
  const [largest = 0] = await eventSizes(target);
  expect(largest).toBeLessThan(payloadSizeMax);
});

import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { keepLargeValues } from '../../../activities/evidence/payloads.ts';
import { createEvidenceBucket } from '../../../activities/evidence/s3.ts';
import type { EvidenceStore } from '../../../activities/evidence/store.ts';
import { verifyEvidence } from '../../../client/evidence.ts';
import { keptBytesMax, payloadSizeMax, recordedValueBytesMax } from '../../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { S3Refusal } from '../../../sandbox/s3/answers.ts';
import type { ServedS3 } from '../../sandbox/s3-fixture.ts';
import { errorOf, openPlaces, placeNames, region, type Place, type Places } from './places.ts';

const run = 'r-20261121-7kq2m4';
const bytes = Buffer.from('what is kept: Grüße, 世界');
const hex = createHash('sha256').update(bytes).digest('hex');
const digest = `sha256:${hex}`;
const dayMs = 86_400_000;

let places: Places;
let place: Place;
let s3: ServedS3;

beforeEach(async () => {
  places = await openPlaces();
  s3 = places.s3;
});

afterEach(async () => {
  jest.restoreAllMocks();
  await places.close();
});

const nameOf = (hex: string): string => `payloads/${hex}`;

/** Writes one entry as the activity of a worker does. */
async function record(store: EvidenceStore, sequence: number, body: JsonObject, kind = 'drain.planned'): Promise<void> {
  await store.append(run, await keepLargeValues(store, run, { sequence, kind, body }));
}

describe.each(placeNames)('what a %s keeps', (placeName) => {
  beforeEach(() => {
    place = places[placeName];
  });

  test('has its SHA-256 for a name, is given back, and may be kept again and at once', async () => {
    const store = place.open();
    await expect(Promise.all(Array.from({ length: 8 }, () => store.keep(bytes)))).resolves.toEqual(Array.from({ length: 8 }, () => digest));
    await expect(place.open().keep(bytes)).resolves.toBe(digest);
    await expect(place.read(nameOf(hex))).resolves.toEqual(bytes);
    expect(Buffer.from(await place.open().fetch(digest))).toEqual(bytes);
    const nothing = await store.keep(new Uint8Array());
    expect(await store.fetch(nothing)).toHaveLength(0);
  });

  test('is named where it is missing or has been changed, when it is read and when it is kept again', async () => {
    const store = place.open();
    const missing = { code: 'evidence-damaged', consequence: 'stuck', message: `What is kept in ${place.pathOf(nameOf(hex))} is missing.` };
    expect(await errorOf(store.fetch(digest))).toMatchObject(missing);
    await store.keep(bytes);
    const changed = Buffer.from(bytes);
    changed[0] = (changed[0] ?? 0) ^ 1;
    await place.write(nameOf(hex), changed);
    const message = `What is kept in ${place.pathOf(nameOf(hex))} was changed: it does not have that hash any more.`;
    expect(await errorOf(store.fetch(digest))).toMatchObject({ code: 'evidence-damaged', message });
    expect(await errorOf(store.keep(bytes))).toMatchObject({ code: 'evidence-damaged', message });
    await expect(place.read(nameOf(hex))).resolves.toEqual(changed);
    await place.remove(nameOf(hex));
    expect(await errorOf(store.fetch(digest))).toMatchObject(missing);
    await expect(store.keep(bytes)).resolves.toBe(digest);
  });

  test('has a limit, which is told before anything is written', async () => {
    expect(await errorOf(place.open().keep(new Uint8Array(keptBytesMax + 1)))).toMatchObject({
      code: 'evidence-entry-malformed',
      consequence: 'refuse',
      message: `Something of ${keptBytesMax + 1} bytes cannot be kept: ${keptBytesMax} are the most that a plan or a result may have.`,
    });
    expect(await place.names()).toEqual([]);
  });

  test.each(['', 'sha256:../../etc/passwd', hex, `sha256:${hex.toUpperCase()}`])('is not found by %j, which is no digest', async (text) => {
    expect(await errorOf(place.open().fetch(text))).toMatchObject({ message: expect.stringContaining('is no SHA-256 digest') });
  });

  test('never is taken for the record of a run', async () => {
    const store = place.open();
    await store.keep(bytes);
    expect(await errorOf(store.append('payloads', { sequence: 1, kind: 'k', body: {} }))).toMatchObject({ code: 'evidence-run-malformed' });
  });
});

describe.each(placeNames)('an entry in a %s', (placeName) => {
  beforeEach(() => {
    place = places[placeName];
  });

  const plan = { hash: 'sha256:1', nodes: Array.from({ length: 9_000 }, (_, index) => `ip-10-0-${index}.eu-central-1.compute.internal`) };
  const planText = `{"hash":"sha256:1","nodes":${JSON.stringify(plan.nodes)}}`;
  const planHex = createHash('sha256').update(planText).digest('hex');
  const reference = { sha256: `sha256:${planHex}`, bytes: planText.length };

  const made = async (): Promise<string> => {
    const store = place.open();
    await record(store, 1, { span: 'first', plan });
    await record(store, 2, { done: true }, 'run.ended');
    return store.pathOf(run);
  };
  const verify = (record: string) => verifyEvidence(record, undefined, { region });

  test('names a plan that is too large for it by hash and size; the plan is beside the record, as canonical JSON', async () => {
    expect(planText.length).toBeGreaterThan(256 * 1024);
    const record = await made();
    expect((await place.open().read(run)).map(({ body }) => body)).toEqual([{ span: 'first', plan: reference }, { done: true }]);
    await expect(place.read(nameOf(planHex))).resolves.toEqual(Buffer.from(planText));
    expect(await verify(record)).toMatchObject({ ok: true, ending: 'ended', entries: 2, kept: 1, problems: [] });
  });

  test('is the same when it is written again', async () => {
    await made();
    const before = await place.open().read(run);
    await made();
    expect(await place.open().read(run)).toEqual(before);
  });

  test('holds what is small itself', async () => {
    const store = place.open();
    await record(store, 1, { plan: 'x'.repeat(payloadSizeMax - '{"plan":""}'.length) });
    const [entry] = await store.read(run);
    expect(entry?.body.plan).toHaveLength(payloadSizeMax - '{"plan":""}'.length);
    expect(await verify(store.pathOf(run))).not.toHaveProperty('kept');
  });

  test.each<[string, () => Promise<unknown>, string]>([
    [
      'changed by one bit',
      async () => {
        const changed = await place.read(nameOf(planHex));
        changed[100_000] = (changed[100_000] ?? 0) ^ 1;
        await place.write(nameOf(planHex), changed);
      },
      'which was changed: it is not what the entry names.',
    ],
    ['cut off', async () => place.write(nameOf(planHex), (await place.read(nameOf(planHex))).subarray(1)), 'which was changed'],
    ['made larger than anything', () => place.write(nameOf(planHex), Buffer.alloc(1_000_000, 'x')), 'which was changed'],
    ['removed', () => place.remove(nameOf(planHex)), 'which is missing.'],
  ])('whose plan was %s is found out', async (_what, tamper, sentence) => {
    const record = await made();
    await tamper();
    const report = await verify(record);
    const start = `Entry 1 (drain.planned) keeps its plan beside the record, in payloads/${planHex}, `;
    expect(report).toMatchObject({ ok: false, kept: 1, ending: 'ended' });
    expect(report.problems).toEqual([
      expect.objectContaining({ line: 1, sentence: expect.stringMatching(new RegExp(`^${start.replace(/[().]/g, '\\$&')}${sentence}`)) }),
    ]);
  });

  test('is refused with a plan that nobody could be shown, before anything is kept', async () => {
    const error = await errorOf(record(place.open(), 1, { plan: 'x'.repeat(recordedValueBytesMax) }));
    const why = `the plan of drain.planned has ${recordedValueBytesMax + 2} bytes, and an entry holds at most ${recordedValueBytesMax}`;
    const message = `Run ${run} has something that cannot be recorded: ${why} of one value.`;
    expect(error).toMatchObject({ code: 'evidence-entry-malformed', consequence: 'refuse', message });
    expect(await place.open().read(run)).toEqual([]);
  });

  test('that names another plan is found out, though that one is there', async () => {
    const store = place.open();
    const other = await store.keep(Buffer.from('{}'));
    await store.append(run, { sequence: 1, kind: 'drain.planned', body: { plan: { sha256: other, bytes: 3 } } });
    expect((await verify(store.pathOf(run))).problems).toHaveLength(1);
  });

  test('whose plan looks like a reference keeps it all the same, so that nothing can be passed off as missing', async () => {
    const store = place.open();
    const lookalike = { sha256: digest, bytes: 5 };
    await record(store, 1, { inputs: lookalike });
    expect(await verify(store.pathOf(run))).toMatchObject({ ok: true, kept: 1 });
    const [entry] = await store.read(run);
    const { sha256 } = entry?.body.inputs as { sha256: string };
    expect(JSON.parse(Buffer.from(await store.fetch(sha256)).toString())).toEqual(lookalike);
  });
});

describe('a directory', () => {
  test('shows what it keeps to its owner only, and nothing unfinished', async () => {
    await places.directory.open().keep(bytes);
    expect((await stat(places.directory.pathOf(nameOf(hex)))).mode & 0o777).toBe(0o600);
    expect((await stat(places.directory.pathOf('payloads'))).mode & 0o777).toBe(0o700);
    await expect(readdir(places.directory.pathOf('payloads'))).resolves.toEqual([hex]);
  });

  test('that does not take what should be kept is named', async () => {
    await mkdir(places.directory.pathOf(''), { recursive: true });
    await writeFile(places.directory.pathOf('payloads'), '');
    expect(await errorOf(places.directory.open().keep(bytes))).toMatchObject({
      code: 'evidence-unwritable',
      consequence: 'retry',
      message: expect.stringContaining(`${bytes.length} bytes could not be kept in ${places.directory.pathOf('')}: `),
    });
  });
});

describe('a bucket', () => {
  const open = () => places.bucket.open();

  test('is written to once for the same bytes, also when the reply is lost', async () => {
    s3.addFault({ operation: 'PutObject', effect: 'lost-reply', times: 1 });
    await expect(open().keep(bytes)).resolves.toBe(digest);
    await expect(open().keep(bytes)).resolves.toBe(digest);
    expect(Buffer.from(await open().fetch(digest))).toEqual(bytes);
  });

  test('that says another write is under way is asked what is there, and written to again', async () => {
    s3.addFault({ operation: 'PutObject', effect: new S3Refusal(409, 'ConditionalRequestConflict', 'A conflict.'), times: 1 });
    await expect(open().keep(bytes)).resolves.toBe(digest);
    expect(Buffer.from(await open().fetch(digest))).toEqual(bytes);
  });

  test('that is missing is named', async () => {
    const nowhere = createEvidenceBucket({ bucket: 'nowhere', region });
    for (const work of [() => nowhere.keep(bytes), () => nowhere.fetch(digest)]) {
      expect(await errorOf(work())).toMatchObject({
        consequence: 'stuck',
        message: expect.stringContaining('the bucket nowhere does not'),
      });
    }
  });

  test('locks what it keeps as it locks entries, and longer when it is referred to again days later', async () => {
    const store = places.locked.open();
    const large = { plan: 'x'.repeat(100_000) };
    await record(store, 1, large);
    const daysLocked = async (): Promise<number> => {
      const { objects, until } = (await verifyEvidence(store.pathOf(run))).locked ?? {};
      expect(objects).toBeGreaterThanOrEqual(2);
      return (Date.parse(until ?? '') - Date.now()) / dayMs;
    };
    expect(await daysLocked()).toBeCloseTo(30, 2);
    const now = Date.now();
    jest.spyOn(Date, 'now').mockImplementation(() => now + 20 * dayMs);
    const other = places.locked.open();
    await other.append('r-other', await keepLargeValues(other, 'r-other', { sequence: 1, kind: 'drain.planned', body: large }));
    const report = await verifyEvidence(other.pathOf('r-other'));
    expect(report).toMatchObject({ ok: true, locked: { objects: 2 } });
    expect((Date.parse(report.locked?.until ?? '') - (now + 20 * dayMs)) / dayMs).toBeCloseTo(30, 2);
  });

  test('gives a record to a file with what is beside it, and the file is in order, too', async () => {
    const store = open();
    await record(store, 1, { plan: 'x'.repeat(100_000) });
    const output = path.join(places.home, 'copy', 'record.jsonl');
    await mkdir(path.dirname(output));
    await verifyEvidence(store.pathOf(run), undefined, { region, output });
    expect(await verifyEvidence(output)).toMatchObject({ ok: true, entries: 1, kept: 1 });
    await rm(path.join(places.home, 'copy', 'payloads'), { recursive: true });
    expect((await verifyEvidence(output)).problems).toEqual([{ line: 1, sentence: expect.stringContaining('which is missing.') }]);
  });
});

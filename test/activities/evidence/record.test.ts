import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type EvidenceStore, type NewEntry, type Receipt } from '../../../activities/evidence/store.ts';
import { verifyEvidence, type EvidenceReport } from '../../../client/evidence.ts';
import { chain, endingKind, evidenceBodyBytesMax, lineOf, verifyChain, type EvidenceEntry } from '../../../domain/evidence/evidence.ts';
import { errorOf, openPlaces, placeNames, region, type Place, type Places } from './places.ts';

const run = 'r-20261121-7kq2m';

const entryOf = (sequence: number, body: NewEntry['body'] = { sequence }): NewEntry => ({ sequence, kind: 'step.performed', body });
const nameOf = (sequence: number, of = run): string => `${of}/${String(sequence).padStart(9, '0')}.json`;
const receiptOf = ({ sequence, at, hash }: EvidenceEntry): Receipt => ({ sequence, at, hash });

let places: Places;
let place: Place;
let store: EvidenceStore;

beforeEach(async () => {
  places = await openPlaces();
});

afterEach(() => places.close());

async function append(count: number, to = store): Promise<Receipt[]> {
  const receipts: Receipt[] = [];
  for (let sequence = 1; sequence <= count; sequence += 1) receipts.push(await to.append(run, entryOf(sequence)));
  return receipts;
}

async function contents(): Promise<[string, string][]> {
  return Promise.all((await place.names()).map(async (name): Promise<[string, string]> => [name, (await place.read(name)).toString()]));
}

const verify = (of = run): Promise<EvidenceReport> => verifyEvidence(place.pathOf(of), undefined, { region });

async function untilTrue(holds: () => boolean): Promise<void> {
  while (!holds()) await setImmediate();
}

/** Appends entries of its own, each wherever the record ends, as somebody does who does not know of the others. */
async function appendOwn(name: string, count: number): Promise<void> {
  const own = place.open();
  let written = 0;
  for (let sequence = 1; written < count; sequence += 1) {
    try {
      await own.append(run, { sequence, kind: 'step.performed', body: { name, written } });
      written += 1;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'evidence-conflict') throw error;
    }
  }
}

describe.each(placeNames)('in a %s', (placeName) => {
  beforeEach(() => {
    place = places[placeName];
    store = place.open();
  });

  describe('a record', () => {
    test('grows by one file or object per entry; put together they are the record as JSON lines', async () => {
      const receipts = await append(3);
      const found = await contents();
      expect(found.map(([name]) => name)).toEqual([nameOf(1), nameOf(2), nameOf(3)]);
      expect(verifyChain(found.map(([, text]) => text).join(''), run)).toMatchObject({ ok: true });
      const entries = await store.read(run);
      expect(entries.map(receiptOf)).toEqual(receipts);
      expect(entries.map(({ body }) => body)).toEqual([{ sequence: 1 }, { sequence: 2 }, { sequence: 3 }]);
      expect(store.pathOf(run)).toBe(place.pathOf(run));
    });

    test('is empty for a run that has none, and another run with the same beginning is another one', async () => {
      await append(1);
      expect(await store.read('r-unknown')).toEqual([]);
      expect(await store.read(run.slice(0, -1))).toEqual([]);
    });

    test('takes entries of the full size and other scripts, and refuses a larger one before anything is written', async () => {
      const body = { text: 'Grüße, 世界 🛑 \u2028 "quoted"\n', nested: { list: [1.5e300, -0.1, null, true, { '': [] }] } };
      await store.append(run, entryOf(1, { text: 'x'.repeat(evidenceBodyBytesMax - '{"text":""}'.length) }));
      await store.append(run, entryOf(2, body));
      expect((await store.read(run))[1]?.body).toEqual(body);
      const error = await errorOf(store.append(run, entryOf(3, { text: 'x'.repeat(evidenceBodyBytesMax) })));
      expect(error).toMatchObject({ code: 'evidence-entry-malformed', consequence: 'refuse' });
      expect(error.message).toContain('an entry holds at most 262144');
      expect(await place.names()).toHaveLength(2);
    });

    test('is continued by a process that has not begun it', async () => {
      await append(2);
      await place.open().append(run, entryOf(3));
      await store.append(run, entryOf(4));
      expect((await store.read(run)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
    });
  });

  describe('an entry that is written again', () => {
    test('changes nothing and is answered as the first time, also by another process', async () => {
      const receipts = await append(3);
      const before = await contents();
      for (const other of [store, place.open()]) expect(await append(3, other)).toEqual(receipts);
      expect(await contents()).toEqual(before);
    });

    test.each<[string, NewEntry]>([
      ['another body', entryOf(2, { sequence: 20 })],
      ['another kind', { ...entryOf(2), kind: 'step.stuck' }],
      ['another execution', { ...entryOf(2), execution: 'another' }],
    ])('with %s is refused', async (_title, entry) => {
      await append(3);
      const before = await contents();
      for (const other of [store, place.open()]) {
        const error = await errorOf(other.append(run, entry));
        expect(error).toMatchObject({ code: 'evidence-conflict', consequence: 'stuck' });
        const where = place.pathOf(run);
        const what = entry.execution === undefined ? 'with other contents than' : 'of another execution than';
        expect(error.message).toBe(`Entry 2 of run ${run} is in ${where} already, as step.performed ${what} this ${entry.kind}.`);
      }
      expect(await contents()).toEqual(before);
    });
  });

  describe('an entry is refused', () => {
    test('that comes after the end, but not one before it that is written again', async () => {
      await append(1);
      await store.append(run, { sequence: 2, kind: endingKind, body: {} });
      for (const other of [store, place.open()]) {
        expect(await errorOf(other.append(run, entryOf(3)))).toMatchObject({ code: 'evidence-ended', consequence: 'refuse' });
        await expect(other.append(run, entryOf(1))).resolves.toMatchObject({ sequence: 1 });
      }
    });

    test('of another execution, unless that continues the one before', async () => {
      await store.append(run, { ...entryOf(1), execution: 'first' });
      for (const other of [store, place.open()]) {
        const foreign = await errorOf(other.append(run, { ...entryOf(2), execution: 'reset', continues: async () => false }));
        expect(foreign).toMatchObject({ code: 'evidence-conflict' });
        expect(foreign.message).toContain('comes from the execution reset');
      }
      const continues = async (execution: string): Promise<boolean> => execution === 'first';
      await store.append(run, { ...entryOf(2), execution: 'second', continues });
      expect(await errorOf(store.append(run, { ...entryOf(3), execution: 'first' }))).toMatchObject({ code: 'evidence-conflict' });
      expect((await store.readAfter(run, (await store.read(run))[0]!)).map(({ execution }) => execution)).toEqual(['second']);
    });

    test('that would leave a gap', async () => {
      expect(await errorOf(store.append(run, entryOf(2)))).toMatchObject({
        code: 'evidence-gap',
        message: `Entry 2 (step.performed) of run ${run} cannot be written to ${place.pathOf(run)}: the record ends with entry 0.`,
      });
      await append(3);
      expect((await errorOf(store.append(run, entryOf(5)))).message).toContain('the record ends with entry 3');
      await place.remove(nameOf(2));
      expect((await errorOf(place.open().append(run, entryOf(3)))).message).toContain('entry 2 is missing');
      expect(await place.names()).toEqual([nameOf(1), nameOf(3)]);
    });

    test.each([0, -1, 1.5])('with the number %d', async (sequence) => {
      expect((await errorOf(store.append(run, entryOf(sequence)))).message).toContain(`numbered 1, 2, 3 …, not ${sequence}`);
      expect(await place.names()).toEqual([]);
    });

    test('of a record that is full', async () => {
      expect(await errorOf(store.append(run, entryOf(100_001)))).toMatchObject({
        code: 'evidence-full',
        message: `The record ${place.pathOf(run)} has reached its limit of 100000 entries.`,
      });
    });

    test.each(['../../etc/passwd', '', '.', 'a/b', 'a\0b', 'payloads', '.unfinished'])('of the run %j, which is no id', async (id) => {
      expect(await errorOf(store.append(id, entryOf(1)))).toMatchObject({ code: 'evidence-run-malformed' });
      expect(await errorOf(store.read(id))).toMatchObject({ code: 'evidence-run-malformed' });
    });
  });

  describe('several writers', () => {
    test('that write the same entry at once get the same answer', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => store.append(run, entryOf(1))));
      expect(new Set(answers.map(({ hash }) => hash)).size).toBe(1);
      expect(await store.read(run)).toHaveLength(1);
    });

    test('that know nothing of each other and write the same entries at once get the same answers', async () => {
      const answers = await Promise.all(Array.from({ length: 4 }, () => append(25, place.open())));
      const receipts = (await store.read(run)).map(receiptOf);
      expect(receipts).toHaveLength(25);
      for (const answer of answers) expect(answer).toEqual(receipts);
      expect(await place.names()).toHaveLength(25);
    });

    test('that know nothing of each other and write different entries lose none and write none twice', async () => {
      const names = ['a', 'b', 'c', 'd'];
      await Promise.all(names.map((name) => appendOwn(name, 15)));
      const entries = await store.read(run);
      expect(entries).toHaveLength(60);
      for (const name of names) {
        const own = entries.filter(({ body }) => body.name === name);
        expect(own.map(({ body }) => body.written)).toEqual(Array.from({ length: 15 }, (_, index) => index));
      }
      expect(await verify()).toMatchObject({ ok: true, entries: 60 });
    });
  });

  describe('a record that was tampered with', () => {
    const textOf = async (sequence: number): Promise<string> => (await place.read(nameOf(sequence))).toString();
    const change = async (sequence: number, from: string, to: string) =>
      place.write(nameOf(sequence), (await textOf(sequence)).replace(from, to));
    async function swap(one: number, other: number): Promise<void> {
      const [first, second] = [await textOf(one), await textOf(other)];
      await place.write(nameOf(one), second);
      await place.write(nameOf(other), first);
    }

    test.each<[string, () => Promise<unknown>, string, string]>([
      ['removed', () => place.remove(nameOf(3)), '000000004.json', 'Entry 3 is missing before Entry 4 (step.performed).'],
      ['removed at the beginning', () => place.remove(nameOf(1)), '000000002.json', 'Entry 1 is missing before Entry 2'],
      ['changed', () => change(3, '{"sequence":3}', '{"sequence":4}'), '000000003.json', 'Entry 3 (step.performed) was changed'],
      ['written anew with a space', () => change(3, '"body":', '"body": '), '000000003.json', 'the line is not as Holdpoint writes it'],
      ['given a second line', () => change(3, '\n', '\n\n'), '000000003.json', 'This is not one line of UTF-8 text: it was changed.'],
      ['robbed of its line end', () => change(3, '\n', ''), '000000003.json', 'This is not one line of UTF-8 text: it was changed.'],
      ['left empty', () => place.write(nameOf(3), ''), '000000003.json', 'This is not one line of UTF-8 text: it was changed.'],
      ['swapped with another', () => swap(2, 4), '000000002.json', 'This holds entry 4: it was moved or replaced.'],
      [
        'added beside them',
        () => place.write(`${run}/notes.txt`, 'x'),
        'notes.txt',
        'This is no entry of the record: somebody put it there.',
      ],
      ['added under a name like theirs', () => place.write(`${run}/6.json`, 'x'), '6.json', 'This is no entry of the record'],
      ['added behind them', async () => place.write(nameOf(6), await textOf(5)), '000000006.json', 'This holds entry 5'],
      ['made too large', () => place.write(nameOf(3), 'x'.repeat(evidenceBodyBytesMax + 2_000)), '000000003.json', 'larger than any entry'],
    ])('is found out when one was %s', async (_title, tamper, object, sentence) => {
      await append(5);
      expect(await verify()).toMatchObject({ ok: true, run, entries: 5 });
      await tamper();
      const report = await verify();
      expect(report.ok).toBe(false);
      expect(report.problems).toContainEqual(expect.objectContaining({ object, sentence: expect.stringContaining(sentence) }));
      expect(await errorOf(store.read(run))).toMatchObject({ code: 'evidence-damaged', consequence: 'stuck' });
    });

    test('is found out when it is the record of another run', async () => {
      await append(2);
      for (const [name, text] of await contents()) await place.write(name.replace(run, 'r-other'), text);
      const report = await verify('r-other');
      expect(report.problems[0]?.sentence).toBe(`Entry 1 (step.performed) belongs to run ${run}, but this is the record of run r-other.`);
      expect((await errorOf(store.append('r-other', entryOf(3)))).message).toContain(`in the place of entry 2 is entry 2 of run ${run}`);
    });

    test('is not continued by a process that sees it for the first time', async () => {
      await append(3);
      await change(3, '"sequence":3}', '"sequence":4}');
      const error = await errorOf(place.open().append(run, entryOf(4)));
      expect(error).toMatchObject({ code: 'evidence-damaged', message: expect.stringContaining('entry 3 cannot be continued: Entry 3') });
    });

    test('by sealing an entry anew is found when the one behind it is written again', async () => {
      await append(3);
      const [first, second] = await store.read(run);
      if (!first || !second) throw new Error('the record has no entries');
      await place.write(nameOf(2), `${lineOf(chain(first, { ...second, body: { sequence: 20 } }))}\n`);
      expect(await errorOf(place.open().append(run, entryOf(3)))).toMatchObject({
        code: 'evidence-damaged',
        message: `The record ${place.pathOf(run)} is damaged: entry 3 does not follow from the one before.`,
      });
      expect((await verify()).problems).toEqual([
        { line: 3, object: '000000003.json', sentence: expect.stringContaining('does not follow from entry 2: one of them was replaced.') },
      ]);
    });

    test('behind the back of a process that remembers its end is found when an entry is there already', async () => {
      const [, second] = await append(2);
      const writtenAt = Date.parse(second?.at ?? '');
      await untilTrue(() => Date.now() > writtenAt);
      // The same two entries, sealed again a little later, and a third one.
      for (const name of await place.names()) await place.remove(name);
      const other = place.open();
      await append(3, other);
      expect((await other.read(run))[1]?.hash).not.toBe(second?.hash);
      expect(await store.append(run, entryOf(3))).toEqual((await other.read(run)).map(receiptOf)[2]);
      expect(await verify()).toMatchObject({ ok: true, entries: 3 });
    });
  });
});

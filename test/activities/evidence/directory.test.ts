import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createEvidenceDirectory } from '../../../activities/evidence/directory.ts';
import { EvidenceError, type EvidenceStore, type NewEntry, type Receipt } from '../../../activities/evidence/store.ts';
import { evidenceBodyBytesMax, verifyChain } from '../../../domain/evidence/evidence.ts';

const run = 'r-20261121-7kq2m';

let directory: string;
let store: EvidenceStore;

beforeEach(async () => {
  directory = path.join(await mkdtemp(path.join(tmpdir(), 'holdpoint-evidence-')), 'records');
  store = createEvidenceDirectory(directory);
});

afterEach(() => rm(path.dirname(directory), { recursive: true, force: true }));

function entryOf(sequence: number, body: NewEntry['body'] = { sequence }): NewEntry {
  return { sequence, kind: 'step.performed', body };
}

async function errorOf(work: Promise<unknown>): Promise<EvidenceError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof EvidenceError) return error;
  throw new Error(`expected an EvidenceError, got ${String(error)}`);
}

async function writeThree(): Promise<Receipt[]> {
  return [await store.append(run, entryOf(1)), await store.append(run, entryOf(2)), await store.append(run, entryOf(3))];
}

interface Writer {
  /** Acknowledged entries so far. */
  receipts: Receipt[];
  ended: Promise<unknown>;
  kill(): void;
  /** Resolves once so many entries were acknowledged. */
  acknowledged(count: number): Promise<void>;
}

function startWriter(...args: string[]): Writer {
  const child = spawn(process.execPath, ['--import', 'tsx', 'test/activities/evidence/directory-writer.ts', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const receipts: Receipt[] = [];
  lines.on('line', (line) => receipts.push(JSON.parse(line) as Receipt));
  return {
    receipts,
    ended: Promise.all([once(child, 'exit'), once(lines, 'close')]).then(([exit]) => exit[0] as unknown),
    kill: () => void child.kill('SIGKILL'),
    acknowledged: async (count) => {
      while (receipts.length < count) await once(lines, 'line', { signal: AbortSignal.timeout(20_000) });
    },
  };
}

describe('a record', () => {
  test('grows by one line per entry, chained, and readable by its owner only', async () => {
    const receipts = await writeThree();
    const entries = await store.read(run);
    expect(entries.map(({ sequence, at, hash }) => ({ sequence, at, hash }))).toEqual(receipts);
    expect(entries.map(({ body }) => body)).toEqual([{ sequence: 1 }, { sequence: 2 }, { sequence: 3 }]);
    expect(store.pathOf(run)).toBe(path.join(directory, `${run}.jsonl`));
    expect(verifyChain(await readFile(store.pathOf(run), 'utf8'), run)).toMatchObject({ ok: true });
    expect((await stat(store.pathOf(run))).mode & 0o777).toBe(0o600);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect(await readdir(directory)).toEqual([`${run}.jsonl`]);
  });

  test('is empty for a run that has none', async () => {
    expect(await store.read('r-unknown')).toEqual([]);
  });

  test('takes entries of the full size, one after the other', async () => {
    const body = { text: 'x'.repeat(evidenceBodyBytesMax - '{"text":""}'.length) };
    for (const sequence of [1, 2, 3]) await store.append(run, entryOf(sequence, body));
    expect((await store.read(run)).map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  });

  test('keeps what other scripts and JSON can hold', async () => {
    const body = { text: 'Grüße, 世界 🛑 \u2028 "quoted"\n', nested: { list: [1.5e300, -0.1, null, true, { '': [] }] } };
    await store.append(run, entryOf(1, body));
    await store.append(run, entryOf(2));
    expect((await store.read(run))[0]?.body).toEqual(body);
  });
});

describe('an entry that is written again', () => {
  test('changes nothing and is answered as the first time', async () => {
    const receipts = await writeThree();
    const before = await readFile(store.pathOf(run), 'utf8');
    for (const receipt of receipts) expect(await store.append(run, entryOf(receipt.sequence))).toEqual(receipt);
    expect(await createEvidenceDirectory(directory).append(run, entryOf(3))).toEqual(receipts[2]);
    expect(await readFile(store.pathOf(run), 'utf8')).toBe(before);
  });

  test.each<[string, NewEntry]>([
    ['another body', entryOf(2, { sequence: 20 })],
    ['another kind', { ...entryOf(2), kind: 'step.stuck' }],
  ])('with %s is refused', async (_title, entry) => {
    await writeThree();
    const error = await errorOf(store.append(run, entry));
    expect(error).toMatchObject({ code: 'evidence-conflict', consequence: 'stuck' });
    expect(error.message).toContain(`Entry 2 of run ${run} is in ${store.pathOf(run)} already, as step.performed`);
    expect(await store.read(run)).toHaveLength(3);
  });
});

describe('an entry is refused', () => {
  test('that would leave a gap', async () => {
    expect(await errorOf(store.append(run, entryOf(2)))).toMatchObject({
      code: 'evidence-gap',
      message: `Entry 2 (step.performed) of run ${run} cannot be written to ${store.pathOf(run)}: the record ends with entry 0.`,
    });
    await writeThree();
    expect((await errorOf(store.append(run, entryOf(5)))).message).toContain('the record ends with entry 3');
  });

  test.each([0, -1, 1.5])('with the number %d', async (sequence) => {
    await writeThree();
    expect((await errorOf(store.append(run, entryOf(sequence)))).message).toContain(`numbered 1, 2, 3 …, not ${sequence}`);
    expect(await store.read(run)).toHaveLength(3);
  });

  test('whose body is too large, before anything is written', async () => {
    const error = await errorOf(store.append(run, entryOf(1, { text: 'x'.repeat(evidenceBodyBytesMax) })));
    expect(error).toMatchObject({ code: 'evidence-entry-malformed', consequence: 'refuse' });
    expect(error.message).toContain('an entry holds at most 262144');
    expect(await store.read(run)).toEqual([]);
  });

  test.each(['../../etc/passwd', '', '.', 'a/b', 'a\0b'])('of the run %j, which is no id', async (id) => {
    expect(await errorOf(store.append(id, entryOf(1)))).toMatchObject({ code: 'evidence-run-malformed' });
    expect(await errorOf(store.read(id))).toMatchObject({ code: 'evidence-run-malformed' });
  });
});

describe('a line that was torn off in the middle of a write', () => {
  test.each([1, 20, 200])('is dropped by the next append, %d bytes before its end', async (bytes) => {
    const [first, second] = await writeThree();
    const { size } = await stat(store.pathOf(run));
    await truncate(store.pathOf(run), size - bytes);
    expect((await store.read(run)).map(({ hash }) => hash)).toEqual([first?.hash, second?.hash]);
    await store.append(run, entryOf(3, { again: true }));
    await store.append(run, entryOf(4));
    expect((await store.read(run)).map(({ body }) => body)).toEqual([{ sequence: 1 }, { sequence: 2 }, { again: true }, { sequence: 4 }]);
  });

  test('is dropped when it was the first one', async () => {
    await mkdir(directory, { recursive: true });
    await writeFile(store.pathOf(run), '{"at":"2026');
    expect(await store.read(run)).toEqual([]);
    await store.append(run, entryOf(1));
    expect(await store.read(run)).toHaveLength(1);
  });

  test('is dropped when the disk was left with zeros', async () => {
    await writeThree();
    await appendFile(store.pathOf(run), Buffer.alloc(4_096));
    await store.append(run, entryOf(4));
    expect(await store.read(run)).toHaveLength(4);
  });
});

describe('a record that was tampered with', () => {
  test('is neither read nor continued when its last line was changed', async () => {
    await writeThree();
    const text = await readFile(store.pathOf(run), 'utf8');
    await writeFile(store.pathOf(run), text.replace('"sequence":3}', '"sequence":4}'));
    expect((await errorOf(store.append(run, entryOf(4)))).message).toContain('its last line cannot be continued: Entry 3');
    expect((await errorOf(store.read(run))).message).toContain('line 3: Entry 3 (step.performed) was changed');
  });

  test('is not read when a line is missing', async () => {
    await writeThree();
    const lines = (await readFile(store.pathOf(run), 'utf8')).split('\n');
    await writeFile(store.pathOf(run), lines.toSpliced(1, 1).join('\n'));
    expect(await errorOf(store.read(run))).toMatchObject({ code: 'evidence-damaged', consequence: 'stuck' });
  });

  test('is neither read nor continued when it is the record of another run', async () => {
    await writeThree();
    const other = 'r-other';
    await writeFile(store.pathOf(other), await readFile(store.pathOf(run)));
    expect((await errorOf(store.append(other, entryOf(4)))).message).toContain(`it belongs to run ${run}`);
    expect(await errorOf(store.read(other))).toMatchObject({ code: 'evidence-damaged' });
  });
});

describe('a disk that does not take the entry', () => {
  test('because it is full is named, with what to do', async () => {
    await mkdir(directory, { recursive: true });
    await symlink('/dev/full', store.pathOf(run));
    const error = await errorOf(store.append(run, entryOf(1)));
    expect(error).toMatchObject({ code: 'evidence-unwritable', consequence: 'retry' });
    expect(error.remedy).toContain('Make room on the disk');
    expect(error.message).toBe(
      `Entry 1 of run ${run} could not be written to ${store.pathOf(run)}: ENOSPC: no space left on device, write.`,
    );
    expect(await readdir(directory)).toEqual([`${run}.jsonl`]);
  });

  test('because a file is where the directory should be is named', async () => {
    await writeFile(directory, '');
    expect(await errorOf(store.append(run, entryOf(1)))).toMatchObject({ code: 'evidence-unwritable' });
  });

  test('because a directory is where the file should be is named, also on reading', async () => {
    await mkdir(store.pathOf(run), { recursive: true });
    expect((await errorOf(store.append(run, entryOf(1)))).message).toContain('EISDIR');
    expect(await errorOf(store.read(run))).toMatchObject({ code: 'evidence-unreadable' });
  });
});

describe('several writers', () => {
  test('in one process that write the same entry at once get the same answer', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => store.append(run, entryOf(1))));
    expect(new Set(answers.map(({ hash }) => hash)).size).toBe(1);
    expect(await store.read(run)).toHaveLength(1);
  });

  test('in four processes that write the same entries at once get the same answers', async () => {
    const writers = Array.from({ length: 4 }, () => startWriter('same', directory, run, '25'));
    expect(await Promise.all(writers.map(({ ended }) => ended))).toEqual([0, 0, 0, 0]);
    const receipts = (await store.read(run)).map(({ sequence, at, hash }) => ({ sequence, at, hash }));
    expect(receipts).toHaveLength(25);
    for (const writer of writers) expect(writer.receipts).toEqual(receipts);
    expect(await readdir(directory)).toEqual([`${run}.jsonl`]);
  });

  test('in four processes that write different entries lose none and write none twice', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const writers = names.map((name) => startWriter('own', directory, run, '15', name));
    expect(await Promise.all(writers.map(({ ended }) => ended))).toEqual([0, 0, 0, 0]);
    const entries = await store.read(run);
    expect(entries).toHaveLength(60);
    for (const name of names) {
      const own = entries.filter(({ body }) => body.name === name);
      expect(own.map(({ body }) => body.written)).toEqual(Array.from({ length: 15 }, (_, index) => index));
    }
  });

  test('that are killed again and again lose nothing that was acknowledged', async () => {
    let acknowledged: Receipt[] = [];
    for (let round = 1; round <= 5; round += 1) {
      const writer = startWriter('same', directory, run, '10000');
      await writer.acknowledged(acknowledged.length + 7 * round);
      writer.kill();
      await writer.ended;
      expect(writer.receipts.slice(0, acknowledged.length)).toEqual(acknowledged);
      acknowledged = writer.receipts;
    }
    const entries = await store.read(run);
    expect(entries.slice(0, acknowledged.length).map(({ sequence, at, hash }) => ({ sequence, at, hash }))).toEqual(acknowledged);
    const next = entries.length + 1;
    expect(await store.append(run, entryOf(next))).toMatchObject({ sequence: next });
  });
});

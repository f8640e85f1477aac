import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, open, readdir, readFile, rm, stat, utimes, writeFile, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createEvidenceDirectory } from '../../../activities/evidence/directory.ts';
import { EvidenceError, type EvidenceStore, type NewEntry, type Receipt } from '../../../activities/evidence/store.ts';
import { diskTrouble } from '../../../activities/storage/directory.ts';
import { verifyEvidence } from '../../../client/evidence.ts';
import { testProgram } from '../../support/shared.ts';

const run = 'r-20261121-7kq2m';
const unfinished = '.unfinished';
const dayMs = 86_400_000;

let directory: string;
let store: EvidenceStore;

beforeEach(async () => {
  directory = path.join(await mkdtemp(path.join(tmpdir(), 'holdpoint-evidence-')), 'records');
  store = createEvidenceDirectory(directory);
});

afterEach(async () => {
  jest.restoreAllMocks();
  await rm(path.dirname(directory), { recursive: true, force: true });
});

const entryOf = (sequence: number): NewEntry => ({ sequence, kind: 'step.performed', body: { sequence } });
const nameOf = (sequence: number): string => `${String(sequence).padStart(9, '0')}.json`;
const fileOf = (sequence: number): string => path.join(directory, run, nameOf(sequence));
const receiptsOf = async (): Promise<Receipt[]> => (await store.read(run)).map(({ sequence, at, hash }) => ({ sequence, at, hash }));

async function errorOf(work: Promise<unknown>): Promise<EvidenceError> {
  const error = await work.catch((reason: unknown) => reason);
  if (error instanceof EvidenceError) return error;
  throw new Error(`expected an EvidenceError, got ${String(error)}`);
}

async function append(count: number): Promise<void> {
  for (let sequence = 1; sequence <= count; sequence += 1) await store.append(run, entryOf(sequence));
}

interface Writer {
  /** Acknowledged entries so far. */
  receipts: Receipt[];
  /** The exit code, or the signal that has ended it. */
  ended: Promise<unknown>;
  kill(): void;
  /** Resolves once so many entries were acknowledged. */
  acknowledged(count: number): Promise<void>;
}

async function startWriter(...args: string[]): Promise<Writer> {
  const child = spawn(process.execPath, [await testProgram('test/activities/evidence/directory-writer'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const receipts: Receipt[] = [];
  lines.on('line', (line) => receipts.push(JSON.parse(line) as Receipt));
  return {
    receipts,
    ended: Promise.all([once(child, 'exit'), once(lines, 'close')]).then(([[code, signal]]) => (code ?? signal) as unknown),
    kill: () => void child.kill('SIGKILL'),
    acknowledged: async (count) => {
      while (receipts.length < count) await once(lines, 'line', { signal: AbortSignal.timeout(20_000) });
    },
  };
}

test('files and folders can be read by their owner only, and nothing unfinished stays', async () => {
  await append(2);
  expect((await stat(fileOf(1))).mode & 0o777).toBe(0o600);
  for (const folder of [directory, path.dirname(fileOf(1))]) expect((await stat(folder)).mode & 0o777).toBe(0o700);
  expect(await readdir(path.dirname(fileOf(1)))).toEqual([nameOf(1), nameOf(2)]);
  expect(await readdir(path.join(directory, unfinished))).toEqual([]);
});

describe('several processes', () => {
  test('that write the same entries at once get the same answers', async () => {
    const writers = await Promise.all(Array.from({ length: 3 }, () => startWriter('same', directory, run, '25')));
    expect(await Promise.all(writers.map(({ ended }) => ended))).toEqual([0, 0, 0]);
    const receipts = await receiptsOf();
    expect(receipts).toHaveLength(25);
    for (const writer of writers) expect(writer.receipts).toEqual(receipts);
    expect(await readdir(path.join(directory, unfinished))).toEqual([]);
  });

  test('that are killed again and again lose nothing that was acknowledged', async () => {
    let acknowledged: Receipt[] = [];
    for (let round = 1; round <= 3; round += 1) {
      const writer = await startWriter('same', directory, run, '10000');
      await writer.acknowledged(acknowledged.length + 7 * round);
      writer.kill();
      expect(await writer.ended).toBe('SIGKILL');
      expect(writer.receipts.slice(0, acknowledged.length)).toEqual(acknowledged);
      acknowledged = writer.receipts;
    }
    const receipts = await receiptsOf();
    expect(receipts.slice(0, acknowledged.length)).toEqual(acknowledged);
    const next = receipts.length + 1;
    expect(await store.append(run, entryOf(next))).toMatchObject({ sequence: next });
    expect(await verifyEvidence(store.pathOf(run))).toMatchObject({ ok: true, entries: next });
  });

  test.each<[string, string, number]>([
    ['before its entry has its name leaves no entry', 'link', 2],
    ['after its entry has its name leaves the entry', 'rm', 3],
  ])('of which one is killed %s, and a file that nobody takes for one', async (_title, call, entries) => {
    const writer = await startWriter('killed', directory, run, '3', call);
    expect(await writer.ended).toBe('SIGKILL');
    expect(writer.receipts).toHaveLength(2);
    expect(await verifyEvidence(store.pathOf(run))).toMatchObject({ ok: true, entries });
    const [left = '', ...more] = await readdir(path.join(directory, unfinished));
    expect([left, more]).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), []]);
    const again = { sequence: 3, kind: 'step.performed', body: { sequence: 3, text: 'x'.repeat(20_000) } };
    expect(await store.append(run, again)).toEqual((await receiptsOf())[2]);
    // It may belong to a process that still writes; a day later it does not.
    expect(await readdir(path.join(directory, unfinished))).toEqual([left]);
    const longAgo = new Date(Date.now() - dayMs - 1_000);
    await utimes(path.join(directory, unfinished, left), longAgo, longAgo);
    await createEvidenceDirectory(directory).append(run, entryOf(4));
    expect(await readdir(path.join(directory, unfinished))).toEqual([]);
  });
});

describe('a disk that does not take the entry', () => {
  /** Lets a call of every file fail as the system does. */
  async function failing(call: 'writeFile' | 'sync', code: string, text: string): Promise<void> {
    await mkdir(directory, { recursive: true });
    const probe = await open(path.join(directory, '..', 'probe'), 'w');
    await probe.close();
    const error = Object.assign(new Error(`${code}: ${text}, ${call === 'sync' ? 'fsync' : 'write'}`), { code });
    jest.spyOn(Object.getPrototypeOf(probe) as FileHandle, call).mockRejectedValue(error);
  }

  test.each<['writeFile' | 'sync', string]>([
    ['writeFile', 'write'],
    ['sync', 'fsync'],
  ])('because it is full is named, with what to do (%s), and nothing is left of the entry', async (call, syscall) => {
    await append(1);
    await failing(call, 'ENOSPC', 'no space left on device');
    const error = await errorOf(store.append(run, entryOf(2)));
    expect(error).toMatchObject({ code: 'evidence-unwritable', consequence: 'retry' });
    expect(error.message).toBe(
      `Entry 2 of run ${run} could not be written to ${store.pathOf(run)}: ENOSPC: no space left on device, ${syscall}.`,
    );
    expect(error.remedy).toContain('Make room on the disk');
    jest.restoreAllMocks();
    expect(await readdir(path.dirname(fileOf(1)))).toEqual([nameOf(1)]);
    expect(await readdir(path.join(directory, unfinished))).toEqual([]);
    expect(await store.append(run, entryOf(2))).toMatchObject({ sequence: 2 });
  });

  test('because it may not be written to is named, with what to do', async () => {
    await append(1);
    await chmod(path.join(directory, unfinished), 0o500);
    const error = await asNobody([path.dirname(directory), directory], () => errorOf(store.append(run, entryOf(2))));
    expect(error).toMatchObject({ code: 'evidence-unwritable', message: expect.stringContaining('EACCES: permission denied') });
    expect(error.remedy).toContain('Give the user that the worker runs as access');
    expect(await receiptsOf()).toHaveLength(1);
  });

  test('because a file is where the directory should be is named', async () => {
    await writeFile(directory, '');
    expect(await errorOf(store.append(run, entryOf(1)))).toMatchObject({ code: 'evidence-unwritable' });
    expect(await errorOf(store.read(run))).toMatchObject({ code: 'evidence-unreadable' });
  });

  test('because a directory is where the entry should be is named, also on reading', async () => {
    await mkdir(fileOf(1), { recursive: true });
    expect((await errorOf(store.append(run, entryOf(1)))).message).toContain('EISDIR');
    expect(await errorOf(store.read(run))).toMatchObject({ code: 'evidence-unreadable' });
  });

  test('because it has no hard links, or is mounted to be read, is told what to do', () => {
    const noLinks = Object.assign(new Error("EPERM: operation not permitted, link 'a' -> 'b'"), { code: 'EPERM', syscall: 'link' });
    expect(diskTrouble(noLinks).remedy).toBe('The file system has no hard links: choose a directory on another one, or a bucket.');
    const readOnly = Object.assign(new Error("EROFS: read-only file system, mkdir 'a'"), { code: 'EROFS', syscall: 'mkdir' });
    expect(diskTrouble(readOnly)).toMatchObject({
      why: "EROFS: read-only file system, mkdir 'a'",
      remedy: expect.stringContaining('read-only'),
    });
  });
});

describe('the directory of a run', () => {
  test('is verified where it is, and its record is written to one file, which is verified as well', async () => {
    await append(3);
    const output = path.join(directory, '..', 'record.jsonl');
    for (const place of [store.pathOf(run), `${store.pathOf(run)}/`, path.relative('.', store.pathOf(run))]) {
      expect(await verifyEvidence(place)).toMatchObject({ ok: true, run, entries: 3, ending: 'open-or-cut-off', problems: [] });
    }
    await verifyEvidence(store.pathOf(run), undefined, { output });
    expect(await readFile(output, 'utf8')).toBe((await Promise.all([1, 2, 3].map((n) => readFile(fileOf(n), 'utf8')))).join(''));
    expect(await verifyEvidence(output)).toMatchObject({ ok: true, run, entries: 3 });
    await expect(verifyEvidence(output, undefined, { output: 'more' })).rejects.toThrow(`${output} is a file already.`);
  });

  test('with a folder among its entries is found out', async () => {
    await append(2);
    await mkdir(path.join(directory, run, 'copy'));
    expect((await verifyEvidence(store.pathOf(run))).problems).toEqual([
      { line: 2, object: 'copy', sentence: 'This is no entry of the record: somebody put it there.' },
    ]);
  });

  test('that is empty, or has another name, is no record', async () => {
    await mkdir(path.join(directory, run), { recursive: true });
    expect((await verifyEvidence(store.pathOf(run))).problems).toEqual([{ line: 1, sentence: 'The record has no entries.' }]);
    await expect(verifyEvidence('/')).rejects.toThrow('/ names no record.');
    await expect(verifyEvidence(path.join(directory, 'none'))).rejects.toThrow('ENOENT');
  });
});

/** Works as somebody who owns nothing; whoever runs the tests without being root is nobody already. The folders can be passed through. */
async function asNobody<Result>(folders: string[], work: () => Promise<Result>): Promise<Result> {
  if (process.getuid?.() !== 0) return work();
  for (const folder of folders) await chmod(folder, 0o755);
  process.seteuid?.(65_534);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

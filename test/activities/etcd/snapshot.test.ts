import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { EtcdClient } from '../../../activities/etcd/client.ts';
import { inspectSnapshot, requireEqualMembers, requireRoom, takeSnapshot, workFile } from '../../../activities/etcd/snapshot.ts';
import type { EtcdMember, HashKv } from '../../../domain/etcd/members.ts';
import { failureOf } from '../../support/cluster.ts';

// What only programs that misbehave can show. Real members and programs are in test/lab-etcd/.

const target = 'etcd/lab';
const never = new AbortController().signal;
const member: EtcdMember = { id: '1', name: 'm1', isLearner: false, alarms: [] };

let root: string;
let count = 0;
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'holdpoint-snapshot-'))));
afterAll(() => rm(root, { recursive: true }));

/** A folder with a program that does what a script says. */
async function folderWith(program: string, script: string): Promise<string> {
  const folder = join(root, `case-${++count}`);
  await mkdir(folder);
  await writeFile(join(folder, program), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return folder;
}

/** A file as etcd writes it: pages, and their SHA-256 at the end. */
function snapshotOf(pages: number): Buffer {
  const body = randomBytes(pages * 512);
  return Buffer.concat([body, createHash('sha256').update(body).digest()]);
}

describe('a snapshot that does not come to its end leaves nothing, and says why', () => {
  async function taken(
    script: string,
    signal = never,
    stallTimeoutMs = 60_000,
    of = member,
  ): Promise<{ failure: unknown; left: string[] }> {
    const folder = await folderWith('etcdctl', script);
    const file = await workFile(folder, 'r-1.s', 'snapshot');
    const client = { command: async () => ({ file: join(folder, 'etcdctl'), flags: [] }) } as unknown as EtcdClient;
    const taking = { target, file, signal, onBytes: () => undefined, stallTimeoutMs };
    const failure = await takeSnapshot(client, of, taking).catch((error: unknown) => error);
    return { failure, left: await readdir(dirname(file)) };
  }

  test('a store of any size is given a time, which is none of whole milliseconds', async () => {
    const status = {
      clusterId: '7',
      version: '3.7.3',
      revision: 1,
      raftIndex: 1,
      raftAppliedIndex: 1,
      leader: '1',
      usedBytes: 0,
      errors: [],
    };
    const large = { ...member, status: { ...status, sizeBytes: 376_279_040 + 1 } };
    const { failure, left } = await taken('echo "pages" > "$3"', never, 60_000, large);
    expect(left).toEqual(['r-1.s.etcd-snapshot', 'r-1.s.etcd-snapshot.copy']);
    const sha256 = `sha256:${createHash('sha256').update('pages\n').digest('hex')}`;
    expect(failure).toEqual({ digest: { sha256, bytes: 6 }, isChecked: false, copy: expect.stringMatching(/\.copy$/) });
  });

  test.each([
    ['as etcd writes it', 0, true],
    ['with a bit that was flipped', 1, false],
  ])('what comes in pieces, %s, is hashed and copied on its way', async (_title, flipped, isChecked) => {
    const whole = snapshotOf(5000);
    whole[1_000_000]! ^= flipped;
    const from = join(root, `whole-${flipped}`);
    await writeFile(from, whole);
    const pieces = [1, 31, 33, 1_048_576, 40_000_000].map((bytes) => `head -c ${bytes} <&3 >> "$3.part"; sleep 0.05`).join('; ');
    const script = `exec 3< ${from}; ${pieces}; mv "$3.part" "$3"`;
    const { failure, left } = await taken(script);
    const sha256 = `sha256:${createHash('sha256').update(whole).digest('hex')}`;
    expect(failure).toMatchObject({ digest: { sha256, bytes: whole.length }, isChecked });
    expect(left).toHaveLength(2);
    expect((await readFile((failure as { copy: string }).copy)).equals(whole)).toBe(true);
  });

  test.each([
    ['the member sends nothing more', 'printf abc > "$3.part"; exec sleep 60', 'nothing came for 0.2 s', 200],
    [
      'the member dies',
      'printf abc > "$3.part"; echo \'{"error":"rpc error: desc = error reading from server: EOF"}\' >&2; exit 5',
      'EOF',
      60_000,
    ],
    ['the disk is full', 'echo "Error: write $3.part: no space left on device" >&2; exit 1', 'no space left on device', 60_000],
    // Reading such a device has no end.
    [
      'it is written to a device that is full',
      'ln -s /dev/full "$3.part"; sleep 0.2; echo "Error: no space left on device" >&2; exit 1',
      'no space left on device',
      60_000,
    ],
  ])('%s', async (_title, script, reason, stallTimeoutMs) => {
    const { failure, left } = await taken(script, never, stallTimeoutMs);
    expect(failure).toMatchObject({ code: 'snapshot-interrupted', message: expect.stringContaining(reason) });
    expect(left).toEqual([]);
  });

  test('it is cancelled', async () => {
    const { failure, left } = await taken('printf abc > "$3.part"; exec sleep 60', AbortSignal.timeout(150));
    expect(failure).toMatchObject({ name: 'TimeoutError' });
    expect(left).toEqual([]);
  });
});

test('what an attempt before has left of a step is removed, and that of other steps is not', async () => {
  const folder = await folderWith('none', '');
  const left = await workFile(folder, 'r-1.s', 'snapshot');
  for (const file of [left, `${left}.raw.part`, await workFile(folder, 'r-2.s', 'snapshot')]) await writeFile(file, 'every Secret');
  await workFile(folder, 'r-1.s', 'snapshot');
  expect(await readdir(dirname(left))).toEqual(['r-2.s.etcd-snapshot']);
});

test('a disk without room is told before the member is asked for anything', async () => {
  await requireRoom(target, root, 1000);
  expect(await failureOf(requireRoom(target, root, 1e18))).toMatchObject({
    code: 'snapshot-refused',
    message: expect.stringMatching(/has \d+ bytes left, and 22\d+ are needed for a snapshot of 10+\b/),
  });
});

/** As the real one, it says what a file holds and changes the file. */
const etcdutl = `case "$1" in
  version) echo "etcdutl version: 3.7.3";;
  hashkv) echo changed >> "$2"; echo '{"hash":5,"hashRevision":7,"compactRevision":-1}';;
  snapshot) echo '{"totalKey":3}';;
esac`;

describe('a file is a snapshot', () => {
  async function inspected(bytes: Buffer, script = etcdutl): ReturnType<typeof inspectSnapshot> {
    const programs = await folderWith('etcdutl', script);
    const file = join(programs, 'snapshot');
    await writeFile(file, bytes);
    try {
      return await inspectSnapshot({ endpoints: [], programs }, target, file, never);
    } finally {
      expect((await readdir(programs)).sort()).toEqual(['etcdutl', 'snapshot']);
      expect((await readFile(file)).equals(bytes)).toBe(true);
    }
  }

  test('where its checksum is right; it stays as it is, though etcdutl changes what it is given', async () => {
    const bytes = snapshotOf(3);
    const sha256 = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    const facts = { hash: 5, hashRevision: 7, compactRevision: -1, keys: 3, file: { sha256, bytes: bytes.length } };
    expect(await inspected(bytes)).toEqual(facts);
  });

  test.each<[string, Buffer, RegExp]>([
    ['it is empty', Buffer.alloc(0), /the file is empty/],
    ['it was cut', snapshotOf(3).subarray(0, 700), /truncated, or was copied from a data directory/],
    ['it was cut at a page', snapshotOf(3).subarray(0, 2 * 512 + 32), /does not have the checksum at its end/],
    ['it is the file of a data directory', randomBytes(3 * 512), /truncated, or was copied from a data directory/],
    ['it is something else of such a size', randomBytes(3 * 512 + 32), /does not have the checksum at its end/],
  ])('not where %s', async (_title, bytes, reason) => {
    expect(await failureOf(inspected(bytes))).toMatchObject({ code: 'snapshot-refused', message: expect.stringMatching(reason) });
  });

  test('not where etcdutl cannot read it, or says what nobody understands', async () => {
    const bytes = snapshotOf(1);
    expect(
      (await failureOf(inspected(bytes, etcdutl.replace('echo changed >> "$2";', 'echo "Error: page 2" >&2; exit 1;')))).message,
    ).toMatch(/etcdutl hashkv cannot read it: page 2/);
    expect((await failureOf(inspected(bytes, etcdutl.replace('totalKey', 'keys')))).message).toMatch(/its answer cannot be read/);
  });

  test('of 40 flips of one bit, anywhere, all are found', async () => {
    const bytes = snapshotOf(8);
    let found = 0;
    const programs = await folderWith('etcdutl', etcdutl);
    for (let flip = 0; flip < 40; flip++) {
      const changed = Buffer.from(bytes);
      changed[Math.floor(Math.random() * bytes.length)]! ^= 1 << (flip % 8);
      const file = join(programs, 'snapshot');
      await writeFile(file, changed);
      const failure = await failureOf(inspectSnapshot({ endpoints: [], programs }, target, file, never));
      if ('code' in failure && failure.code === 'snapshot-refused') found += 1;
    }
    expect(found).toBe(40);
  });
});

describe('a snapshot is held against the members', () => {
  const hash = (value: number, compactRevision = -1): HashKv => ({ hash: value, hashRevision: 7, compactRevision });
  const facts = { ...hash(5), keys: 3, file: { sha256: '', bytes: 0 } };

  /** What the members answer, one round after another; the last one is repeated. */
  function held(...rounds: Record<string, HashKv | undefined>[]): Promise<string[]> {
    const members = Object.keys(rounds[0]!).map((name): EtcdMember => ({ ...member, name }));
    let asked = 0;
    const client = {
      hashKv: async ({ name }: EtcdMember) => rounds[Math.min(Math.floor(asked++ / members.length), rounds.length - 1)]![name],
    } as unknown as EtcdClient;
    return requireEqualMembers(client, members, facts, { target, source: members[0]!, signal: never });
  }

  test('and has their keys', async () => {
    expect(await held({ m1: hash(5), m2: hash(5), m3: hash(5) })).toEqual(['m1', 'm2', 'm3']);
    expect(await held({ m1: hash(5) })).toEqual(['m1']);
  });

  test('that were behind, or had compacted, for a moment only', async () => {
    const well = { m1: hash(5), m2: hash(5) };
    expect(await held({ m1: hash(5), m2: undefined }, well)).toEqual(['m1', 'm2']);
  });

  test.each<[string, Record<string, HashKv>, string, RegExp]>([
    ['the file has other keys', { m1: hash(6), m2: hash(6), m3: hash(6) }, 'snapshot-refused', /the snapshot differ/],
    ['one member has other keys', { m1: hash(5), m2: hash(5), m3: hash(6) }, 'snapshot-refused', /m3 differ/],
    ['its own member alone has its keys', { m1: hash(5), m2: hash(6), m3: hash(6) }, 'snapshot-refused', /m1, m2, m3, the snapshot differ/],
    ['the members have compacted since', { m1: hash(9, 6), m2: hash(9, 6) }, 'snapshot-interrupted', /have compacted, or are behind/],
  ])('and is not kept where %s', async (_title, answers, code, reason) => {
    expect(await failureOf(held(answers))).toMatchObject({ code, message: expect.stringMatching(reason) });
  });
});

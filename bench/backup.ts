import { execFile } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { openKeyKeeper } from '../activities/backup/keys.ts';
import { openBackupStore } from '../activities/backup/store.ts';
import { createEtcdClient } from '../activities/etcd/client.ts';
import { inspectSnapshot, requireEqualMembers, takeSnapshot, type SnapshotFacts } from '../activities/etcd/snapshot.ts';
import type { BackupStatement } from '../domain/backup/manifest.ts';
import { chooseSource } from '../domain/etcd/members.ts';
import { findKubernetes } from '../lab/kubernetes-binaries.ts';
import { startEtcdWorld, target, type EtcdWorld } from '../test/lab-etcd/etcd-world.ts';
import { percentile, rounded } from './measure/figures.ts';
import { machine } from './measure/machine.ts';
import { wholeNumber } from './measure/settings.ts';

const runFile = promisify(execFile);
const never = new AbortController().signal;
const valueBytes = 1_000_000;
/** Bits are flipped in a small snapshot, as each of them has all of it read twice. */
const smallValues = 8;
const goals = { ratio: 1.3, found: 'all' };

interface Round {
  plainMs: number;
  snapshotMs: number;
  inspectMs: number;
  compareMs: number;
  storeMs: number;
}

/**
 * `npm run bench:backup -- [--megabytes 320] [--times 3] [--flips 200] [--json]`: how long a snapshot with its whole verification takes
 * beside `etcdctl snapshot save` alone, in turns on one store of three members; what compression, encryption, storing and reading back
 * take besides; and how many of random flipped bits are found. Exit code 1 where a goal is not reached.
 */
async function main(): Promise<number> {
  const { megabytes, times, flips, json } = readSettings();
  const where = machine();
  const binaries = await findKubernetes((sentence) => console.error(sentence));
  process.env.HOLDPOINT_LAB_ETCDCTL = binaries.etcdctl;
  process.env.HOLDPOINT_LAB_ETCDUTL = binaries.etcdutl;
  process.env.HOLDPOINT_LAB_ETCD_PROGRAM = binaries.etcd;
  const world = await startEtcdWorld();
  try {
    await write(world, 0, smallValues);
    const found = await flipBits(world, flips);
    await write(world, smallValues, megabytes);
    const rounds: Round[] = [];
    for (let time = 0; time < times; time += 1) rounds.push(await measure(world, time));
    const sizeBytes = (await stat(join(world.directory, 'ours'))).size;
    const middle = (of: (round: Round) => number): number => percentile(rounds.map(of), 50);
    const plainMs = middle(({ plainMs: one }) => one);
    const verifiedMs = middle(({ snapshotMs, inspectMs, compareMs }) => snapshotMs + inspectMs + compareMs);
    const ratio = Math.round((verifiedMs / plainMs) * 100) / 100;
    const storeMs = middle(({ storeMs: one }) => one);
    const figures = {
      sizeBytes,
      plainMs: rounded(plainMs),
      verifiedMs: rounded(verifiedMs),
      ratio,
      storeMs: rounded(storeMs),
      rounds,
      found,
    };
    const report = { ...figures, goals, machine: where };
    console.log(json ? JSON.stringify(report) : JSON.stringify(report, null, 2));
    return ratio <= goals.ratio && found.byHoldpoint === flips ? 0 : 1;
  } finally {
    await world.stop();
  }
}

/** Values that shrink to about a half. */
async function write(world: EtcdWorld, from: number, to: number): Promise<void> {
  for (let written = from; written < to; written += 1) {
    await world.put(
      `value-${written}`,
      randomBytes(valueBytes / 4)
        .toString('hex')
        .slice(0, valueBytes / 2)
        .padEnd(valueBytes, 'kubernetes '),
    );
  }
}

async function timed<Result>(work: () => Promise<Result>): Promise<[Result, number]> {
  const begunAtMs = performance.now();
  const result = await work();
  return [result, rounded(performance.now() - begunAtMs)];
}

/** Both ways after each other, in an order that changes, so that neither finds the store warmer than the other. */
async function measure(world: EtcdWorld, time: number): Promise<Round> {
  const client = createEtcdClient(world.access, target);
  const members = await client.members();
  const source = chooseSource(members)!;
  const file = join(world.directory, 'ours');
  const plain = async (): Promise<number> => {
    const saved = join(world.directory, 'plain');
    const { file: etcdctl, flags } = await client.command(source);
    const [, ms] = await timed(() => runFile(etcdctl, ['snapshot', 'save', saved, ...flags]));
    await rm(saved);
    return ms;
  };
  const before = time % 2 === 0 ? await plain() : undefined;
  await rm(file, { force: true });
  const taking = { target: 'etcd/lab', file, signal: never, onBytes: () => undefined };
  const [taken, snapshotMs] = await timed(() => takeSnapshot(client, source, taking));
  const [facts, inspectMs] = await timed(() => inspectSnapshot(world.access, 'etcd/lab', file, never, taken));
  const [equalTo, compareMs] = await timed(() =>
    requireEqualMembers(client, members, facts, { target: 'etcd/lab', source, signal: never }),
  );
  const plainMs = before ?? (await plain());
  const [, storeMs] = await timed(() => store(world, file, facts, equalTo));
  return { plainMs, snapshotMs, inspectMs, compareMs, storeMs };
}

/** Compresses, encrypts, stores in a directory, and reads back. */
async function store(world: EtcdWorld, file: string, facts: SnapshotFacts, equalTo: string[]): Promise<void> {
  const { place, key } = world.access.backups!;
  const backups = openBackupStore(place);
  const { hash: hashKv, hashRevision: revision, compactRevision, keys, file: snapshot } = facts;
  const statement: BackupStatement = {
    ...{ target: 'etcd/lab', clusterId: '1', run: 'bench', step: 's', takenAt: new Date().toISOString(), member: 'm1', etcdVersion: '' },
    ...{ revision, compactRevision, hashKv, equalTo, keys, snapshot },
  };
  await backups.forget(await backups.putFile(createReadStream(file), statement, await openKeyKeeper(key), never));
}

interface Found {
  flips: number;
  bytes: number;
  byHoldpoint: number;
  /** `etcdutl snapshot status` ends with another code than 0. */
  byStatus: number;
}

/** Flips one bit after another of a snapshot, anywhere, the checksum at its end included, and asks both whether it is whole. */
async function flipBits(world: EtcdWorld, flips: number): Promise<Found> {
  const [source] = await createEtcdClient(world.access, target).members();
  const saved = join(world.directory, 'whole');
  await world.etcdctlAt(source!.endpoint!, 'snapshot', 'save', saved);
  const { hash } = await inspectSnapshot(world.access, 'etcd/lab', saved, never);
  const { size: bytes } = await stat(saved);
  const found: Found = { flips, bytes, byHoldpoint: 0, byStatus: 0 };
  const flipped = join(world.directory, 'flipped');
  for (let flip = 0; flip < flips; flip += 1) {
    await copyFile(saved, flipped);
    await flipBit(flipped, randomInt(bytes), randomInt(8));
    const isTakenForGood = await inspectSnapshot(world.access, 'etcd/lab', flipped, never).then(
      (facts) => facts.hash === hash,
      () => false,
    );
    if (!isTakenForGood) found.byHoldpoint += 1;
    const status = await runFile(join(world.access.programs!, 'etcdutl'), ['snapshot', 'status', flipped, '--write-out=json']).then(
      () => true,
      () => false,
    );
    if (!status) found.byStatus += 1;
  }
  return found;
}

async function flipBit(file: string, at: number, bit: number): Promise<void> {
  const handle = await open(file, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  byte[0]! ^= 1 << bit;
  await handle.write(byte, 0, 1, at);
  await handle.close();
}

function readSettings(): { megabytes: number; times: number; flips: number; json: boolean } {
  const { values } = parseArgs({
    options: {
      megabytes: { type: 'string', default: '320' },
      times: { type: 'string', default: '3' },
      flips: { type: 'string', default: '200' },
      json: { type: 'boolean', default: false },
    },
  });
  return {
    megabytes: wholeNumber('megabytes', values.megabytes, smallValues, 1_900),
    times: wholeNumber('times', values.times, 1, 20),
    flips: wholeNumber('flips', values.flips, 0, 10_000),
    json: values.json,
  };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openKeyKeeper } from '../../activities/backup/keys.ts';
import { openBackupStore, type BackupStore } from '../../activities/backup/store.ts';
import { createEtcdClient } from '../../activities/etcd/client.ts';
import { inspectSnapshot, requireEqualMembers, takeSnapshot } from '../../activities/etcd/snapshot.ts';
import { Holdpoint } from '../../client/holdpoint.ts';
import type { JsonObject } from '../../domain/json.ts';
import { endPhases } from '../../domain/run/state.ts';
import { buildProgramsApart } from '../../lab/build-programs.ts';
import type { RunningProcess } from '../../lab/process.ts';
import { findTemporal, startTemporal, type TemporalServer } from '../../lab/temporal.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { failureOf } from '../support/cluster.ts';
import { startEnvironment, type Environment } from '../support/scenario.ts';
import { startWorkerProgram } from '../support/scenario-workers.ts';
import type { LabMember } from './etcd-cluster.ts';
import { startEtcdWorld, target, type EtcdWorld } from './etcd-world.ts';

const never = new AbortController().signal;
/** Stands in the cluster, and nowhere else than there and, encrypted, in backups. */
const secret = 'hunter2-of-the-cluster';
/** So that a snapshot takes long enough to be cut. */
const bigValues = 15;
const bigValueBytes = 1_000_000;

let world: EtcdWorld;
let backups: BackupStore;
let work: string;
beforeAll(async () => {
  world = await startEtcdWorld();
  for (const key of ['a', 'b', 'c']) await world.etcdctl('put', key, `value of ${key}, as it was written`);
  await world.etcdctl('put', '/registry/secrets/default/password', secret);
  backups = openBackupStore({ directory: join(world.directory, 'backups') });
  work = join(world.directory, 'backups', 'files', '.unfinished');
});
afterAll(() => world.stop());

const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

/** Waits until something is so. */
async function until(what: string, isSo: () => Promise<boolean>, pauseMs = 100, looksMax = 300): Promise<void> {
  for (let look = 0; look < looksMax; look++) {
    if (await isSo()) return;
    await pause(pauseMs);
  }
  throw new Error(`waited too long for ${what}`);
}

const untilWell = (): Promise<void> => {
  return until('all members to be well', async () => (await world.plan('etcd.check')).blockers.length === 0);
};

const unfinished = (): Promise<string[]> => readdir(work).catch(() => []);

let built: Promise<void> | undefined;

/** A worker of its own, which can be killed: see action-main.ts. */
async function actionProgram(): Promise<string> {
  const programs = join(world.directory, 'built');
  await (built ??= buildProgramsApart(programs, ['test/lab-etcd/action-main']));
  return join(programs, 'test/lab-etcd/action-main.js');
}

/** The member that a snapshot is taken of: the first one that is not the leader. */
async function source(): Promise<LabMember> {
  const { notes } = await world.plan('etcd.backup');
  const name = / of (m\d) /.exec(String(notes))?.[1];
  return world.cluster.members.find((member) => member.name === name)!;
}

/** One push of a backup that must fail; nothing may be left of it. */
async function refusedBackup(
  run: string,
  meanwhile: () => Promise<void> = async () => undefined,
): Promise<{ code: string; message: string }> {
  const before = (await backups.list()).length;
  const plan = await world.plan('etcd.backup', {}, { run });
  const failing = failureOf(world.action('etcd.backup').act(plan, world.context({ run })));
  await meanwhile();
  const failure = await failing;
  expect(await unfinished()).toEqual([]);
  expect(await backups.list()).toHaveLength(before);
  return failure;
}

/** Members of etcd that run in a folder. */
async function membersIn(folder: string): Promise<string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const cwds = await Promise.all(ids.map((id) => readlink(`/proc/${id}/cwd`).catch(() => '')));
  const inIt = ids.filter((_id, index) => cwds[index] === folder);
  const names = await Promise.all(inIt.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')));
  return names.filter((line) => !line.startsWith('/bin/sh') && line.includes('--name=drill'));
}

describe('etcd.check', () => {
  test('is done where every member is well and has the same keys', async () => {
    const plan = await world.plan('etcd.check');
    expect(plan).toMatchObject({ effects: [], blockers: [], facts: { members: ['m1', 'm2', 'm3'] } });
    const { outputs, acts } = await world.perform('etcd.check', plan);
    expect({ outputs, acts }).toEqual({ outputs: { clusterId: expect.stringMatching(/^\d{10,20}$/), revision: 5 }, acts: 0 });
  });

  test('says that etcdctl is missing, or too old', async () => {
    const { programs } = world.access;
    const own = join(world.directory, 'old');
    world.access.programs = own;
    expect(await failureOf(world.plan('etcd.check'))).toMatchObject({
      code: 'etcd-program-unusable',
      message: `etcdctl cannot be used: there is no executable file ${join(own, 'etcdctl')}.`,
    });
    await mkdir(own);
    await writeFile(join(own, 'etcdctl'), '#!/bin/sh\necho "etcdctl version: 3.4.23"\necho "API version: 3.4"\n', { mode: 0o755 });
    expect((await failureOf(world.plan('etcd.check'))).message).toContain('its version is 3.4.23, and 3.6 or newer is needed');
    world.access.programs = programs;
  });
});

describe('etcd.backup', () => {
  test('cut in the middle leaves nothing; performed twice, it makes one backup, which is what the members have', async () => {
    const cut = new AbortController();
    const context = { run: 'r-1' };
    const plan = await world.plan('etcd.backup', {}, context);
    expect(plan).toMatchObject({ blockers: [], effects: [{ object: 'Backup/etcd/lab', after: { place: backups.path } }] });
    const cutting = until('a file', async () => (await unfinished()).some((name) => name.includes('.etcd-')), 5, 2000);
    const performing = expect(world.perform('etcd.backup', plan, { context, signal: cut.signal })).rejects.toThrow('cut');
    await cutting;
    cut.abort(new Error('cut'));
    await performing;
    expect(await unfinished()).toEqual([]);
    expect(await backups.list()).toEqual([]);
    const first = await world.perform('etcd.backup', plan, { context });
    expect(first).toMatchObject({ before: 'todo', acts: 1, outputs: { backup: '000001', revision: 5 } });
    expect(await world.perform('etcd.backup', plan, { context })).toMatchObject({ before: 'done', acts: 0, outputs: first.outputs });
    expect((await world.plan('etcd.backup', {}, context)).effects).toEqual([]);
    const [stored] = await backups.list();
    expect(stored?.manifest.statement).toMatchObject({ equalTo: ['m1', 'm2', 'm3'], keys: 4, revision: 5, run: 'r-1', step: 's' });
    expect(await unfinished()).toEqual([]);
  });

  test('whose worker is killed at any stage leaves no backup, and is made by the next one, once', async () => {
    const program = await actionProgram();
    const deaths = ['no backup of this step yet', 'held against the members', 'stored and read back'].map(async (stage, index) => {
      // Each has a place of its own, so that they can be killed at the same time.
      const directory = join(world.directory, `killed-${index}`);
      const access = { ...world.access, backups: { ...world.access.backups!, place: { directory } } };
      const child = spawn(process.execPath, [program, 'etcd.backup', JSON.stringify(access), 'r-1'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      for await (const chunk of child.stdout) if (String(chunk).includes(stage)) child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      return { directory, access, signal: child.signalCode };
    });
    await Promise.all(
      deaths.map(async (death) => {
        const { directory, access, signal } = await death;
        expect(signal).toBe('SIGKILL');
        const store = openBackupStore({ directory });
        expect(await store.list()).toEqual([]);
        await world.perform('etcd.backup', await world.plan('etcd.backup', {}, {}, access), { access });
        expect(await store.list()).toHaveLength(1);
        expect((await readdir(join(directory, 'files', '.unfinished'))).filter((name) => name.includes('.etcd-'))).toEqual([]);
      }),
    );
  });

  test('is taken while others write, and follows the one before it', async () => {
    let over = false;
    const writing = (async () => {
      for (let written = 0; !over; written++) await world.etcdctl('put', `busy-${written}`, 'x');
    })();
    const context = { run: 'r-2' };
    const { outputs } = await world.perform('etcd.backup', await world.plan('etcd.backup', {}, context), { context });
    over = true;
    await writing;
    expect(outputs.backup).toBe('000002');
    expect(outputs.revision).toBeGreaterThan(5);
  });

  test('shows nothing secret: not in what is kept of the step, nor in arguments, environments and files', async () => {
    const log = join(world.directory, 'calls');
    const putBack = await world.replaceEtcdctl(`{ echo "$@"; env; } >> ${log}\nexec "$REAL" "$@"`);
    const kept: unknown[] = [];
    const context = { run: 'r-3' };
    const plan = await world.plan('etcd.backup', {}, context);
    const performed = await world.perform('etcd.backup', plan, { context, onProgress: (progress) => void kept.push(progress) });
    putBack();
    kept.push(plan, performed, await backups.list());
    const calls = await readFile(log, 'utf8');
    expect(calls).toContain('snapshot save');
    const { key = '' } = world.access.tls!;
    const secrets = [secret, await readFile(join(world.directory, 'backup.key'), 'utf8'), (await readFile(key, 'utf8')).split('\n')[1]!];
    const files = await readdir(join(world.directory, 'backups'), { recursive: true, withFileTypes: true });
    const stored = await Promise.all(
      files.filter((file) => file.isFile()).map((file) => readFile(join(file.parentPath, file.name), 'latin1')),
    );
    expect(stored.length).toBeGreaterThan(4);
    for (const text of secrets) expect([JSON.stringify(kept), calls, ...stored].filter((shown) => shown.includes(text))).toEqual([]);
  });

  test('is refused where a member is stopped, and so is the check; a cluster of another authority is not reached', async () => {
    const [, , third] = world.cluster.members;
    const plan = await world.plan('etcd.check');
    const elsewhere = { ...world.access, tls: { certificateAuthority: '/etc/hostname' } };
    // Each of them waits five seconds for an answer.
    const blockedPlan = async (): Promise<unknown> => (await world.plan('etcd.check')).blockers;
    let looks: Promise<unknown[]> | undefined;
    const failure = await refusedBackup('r-4', async () => {
      await third!.kill();
      looks = Promise.all([
        blockedPlan(),
        failureOf(world.perform('etcd.check', plan)),
        failureOf(createEtcdClient(elsewhere, target).members()),
      ]);
    });
    const [blockers, checked, unreached] = await looks!;
    expect(blockers).toEqual([
      { object: 'etcd/lab/m3', reason: expect.stringMatching(/^It did not answer: .*refused/), remedy: expect.any(String) },
    ]);
    expect(checked).toMatchObject({ message: expect.stringContaining('m3: It did not answer') });
    expect(unreached).toMatchObject({ code: 'etcd-unreachable', message: expect.stringContaining('endpoint status') });
    expect(failure).toMatchObject({ code: expect.stringMatching(/snapshot-refused|etcd-unreachable/) });
    await third!.start();
    await untilWell();
  });

  test('is refused where a member has an alarm, which is named', async () => {
    const [, , third] = world.cluster.members;
    await third!.stop();
    await third!.start('--quota-backend-bytes=1');
    await expect(world.etcdctlAt(third!.endpoint, 'put', 'x', 'y')).rejects.toThrow(/database space exceeded/);
    const failure = await refusedBackup('r-5');
    expect(failure).toMatchObject({ code: 'snapshot-refused', message: expect.stringContaining('m3: It has the alarm NOSPACE') });
    await third!.stop();
    await third!.start();
    await world.etcdctl('alarm', 'disarm');
    await untilWell();
  });

  test('leaves nothing where the disk is full, or the member dies in the middle of it; afterwards it is made', async () => {
    const putBack = await world.replaceEtcdctl('[ "$1" = snapshot ] && ln -s /dev/full "$3.part"\nexec "$REAL" "$@"');
    expect(await refusedBackup('r-6')).toMatchObject({ code: 'snapshot-interrupted', message: expect.stringContaining('no space left') });
    putBack();
    const value = 'v'.repeat(bigValueBytes);
    await Promise.all(Array.from({ length: bigValues }, (_, index) => world.put(`big-${index}`, value)));
    await untilWell();
    const member = await source();
    const client = createEtcdClient(world.access, target);
    const found = (await client.members()).find(({ name }) => name === member.name)!;
    const file = join(world.directory, 'cut', 'snapshot');
    await mkdir(join(world.directory, 'cut'));
    // etcdctl waits for the member to come back, for ever.
    const taking = { target: 'etcd/lab', file, signal: never, onBytes: () => undefined, stallTimeoutMs: 1000 };
    const failing = failureOf(takeSnapshot(client, found, taking));
    await until('a part of the snapshot', async () => existsSync(`${file}.raw.part`), 1, 5000);
    await member.kill();
    expect(await failing).toMatchObject({
      code: 'snapshot-interrupted',
      message: expect.stringContaining(`of ${member.name} of etcd/lab`),
    });
    expect(await readdir(join(world.directory, 'cut'))).toEqual([]);
    await member.start();
    await untilWell();
    const context = { run: 'r-6' };
    const { outputs } = await world.perform('etcd.backup', await world.plan('etcd.backup', {}, context), { context });
    expect(outputs.backup).toBe('000004');
  });

  test('is restored beside the cluster by a drill, recorded once; nothing of it is left, nor a member of a killed worker', async () => {
    const context = { run: 'r-7' };
    const plan = await world.plan('etcd.drill', { backup: '000002' }, context);
    expect(plan).toMatchObject({ blockers: [], effects: [{ object: 'Backup/000002' }] });
    const child = spawn(process.execPath, [await actionProgram(), 'etcd.drill', JSON.stringify(world.access), 'r-7'], { stdio: 'ignore' });
    const folder = join(work, 'r-7.s.etcd-drill');
    await until('the member of the drill', async () => existsSync(join(folder, 'localhost:1')), 5, 4000);
    expect(await membersIn(folder)).toHaveLength(1);
    child.kill('SIGKILL');
    await until('the member to end with its worker', async () => (await membersIn(folder)).length === 0);
    expect(existsSync(folder)).toBe(true);
    const first = await world.perform('etcd.drill', plan, { context });
    expect(first).toMatchObject({ acts: 1, outputs: { backup: '000002', restoreMs: expect.any(Number), ageMs: expect.any(Number) } });
    expect(await world.perform('etcd.drill', plan, { context })).toMatchObject({ acts: 0, outputs: first.outputs });
    expect(await unfinished()).toEqual([]);
    expect((await backups.list()).map(({ isDrilled }) => isDrilled)).toEqual([false, true, false, false]);
    expect(await world.etcdctl('get', 'holdpoint.dev/drill')).toBe('');
  });

  test('is found out by a drill where its keys are not those of its manifest', async () => {
    const directory = join(world.directory, 'forged');
    const access = { ...world.access, backups: { ...world.access.backups!, place: { directory } } };
    const store = openBackupStore({ directory });
    const keys = await openKeyKeeper(access.backups.key);
    const { statement: before } = (await backups.list())[0]!.manifest;
    const statement = { ...before, hashKv: before.hashKv + 1 };
    const file = await store.putFile(backups.open((await backups.list())[0]!.manifest, keys), statement, keys, never);
    await store.putManifest({ statement, file, key: keys.id }, []);
    const performing = world.perform('etcd.drill', await world.plan('etcd.drill', {}, {}, access), { access });
    expect(await failureOf(performing)).toMatchObject({ code: 'backup-unusable', message: expect.stringContaining('(HashKV)') });
    expect(await readdir(join(directory, 'files', '.unfinished'))).toEqual([]);
  });

  test('old backups are named in the plan and deleted once; the newest, the newest drilled and the pinned stay', async () => {
    const none = { hours: 0, days: 0, weeks: 0, months: 0 };
    const gone = (plan: { effects: { object: string }[] }): string[] => plan.effects.map(({ object }) => object);
    const pinned = await world.plan('etcd.deleteBackups', { ...none, pinned: ['000001'] });
    expect(gone(pinned)).toEqual(['Backup/000003']);
    await pause(1000);
    expect((await world.plan('etcd.deleteBackups', { ...none, newestWithin: '1s' })).blockers).toEqual([
      expect.objectContaining({ reason: expect.stringContaining('The newest backup is of') }),
    ]);
    const plan = await world.plan('etcd.deleteBackups', none);
    expect(gone(plan)).toEqual(['Backup/000001', 'Backup/000003']);
    expect(await world.perform('etcd.deleteBackups', plan)).toMatchObject({ acts: 1, outputs: { deleted: 2 } });
    expect(await world.perform('etcd.deleteBackups', plan)).toMatchObject({ before: 'done', acts: 0 });
    expect((await backups.list()).map(({ isDeleted }) => isDeleted)).toEqual([true, false, true, false]);
  });
});

describe('a member whose data were changed', () => {
  test('is named by the check, and its snapshot is found out by the others only, though its checksum is right', async () => {
    const [, , third] = world.cluster.members;
    await third!.stop();
    const file = join(third!.dataDirectory, 'member', 'snap', 'db');
    const before = await readFile(file);
    const text = 'value of b, as it was written';
    const changed = Buffer.from(before);
    for (let at = changed.indexOf(text); at >= 0; at = changed.indexOf(text, at + 1)) changed.write('V', at);
    expect(changed.equals(before)).toBe(false);
    await writeFile(file, changed);
    await third!.start();
    const { blockers } = await world.plan('etcd.check');
    const remedy = expect.stringContaining('Find out which data are right');
    expect(blockers).toEqual([
      { object: 'etcd/lab/m3', reason: expect.stringMatching(/keys at revision \d+ are not those of the other members/), remedy },
    ]);
    const saved = join(world.directory, 'of-m3');
    await world.etcdctlAt(third!.endpoint, 'snapshot', 'save', saved);
    const facts = await inspectSnapshot(world.access, 'etcd/lab', saved, never);
    const client = createEtcdClient(world.access, target);
    const members = await client.members();
    const held = requireEqualMembers(client, members, facts, { target: 'etcd/lab', source: members[2]!, signal: never });
    expect(await failureOf(held)).toMatchObject({
      code: 'snapshot-refused',
      message: expect.stringMatching(/: m3, the snapshot differ|m3/),
    });
    await third!.stop();
    await writeFile(file, before);
    await third!.start();
    await untilWell();
  });
});

describe('a run of etcd-backup', () => {
  let temporal: TemporalServer;
  let environment: Environment;
  let worker: RunningProcess;
  const directory = (): string => join(world.directory, 'of-the-run');
  beforeAll(async () => {
    temporal = await startTemporal({ source: await findTemporal(() => undefined) });
    environment = await startEnvironment('lab-etcd', temporal.address);
    const { endpoints, tls, programs } = world.access;
    const own = { directory: directory(), keyFile: join(world.directory, 'backup.key') };
    await appendFile(environment.configuration, `etcd: ${JSON.stringify({ lab: { endpoints, tls, programs, backups: own } })}\n`);
    worker = await startWorkerProgram(environment);
  });
  afterAll(async () => {
    await worker.kill();
    await environment.stop();
    await temporal.stop();
  });

  test('ends with one backup that can be read, and its history holds no bytes of it', async () => {
    const holdpoint = new Holdpoint(environment.client, {
      address: environment.address,
      namespace: 'default',
      taskQueue: environment.name,
    });
    const document = readRunbook('etcd-backup');
    const forecast = await holdpoint.plan(document, { name: 'lab' });
    const { admission } = await holdpoint.start(document, forecast, environment.keys.dana);
    expect(admission).toMatchObject({ admitted: true });
    await until('the run to end', async () => endPhases.includes((await holdpoint.state('etcd/lab')).phase));
    expect((await holdpoint.state('etcd/lab')).phase).toBe('done');
    const store = openBackupStore({ directory: directory() });
    const [backup] = await store.list();
    const keys = await openKeyKeeper(world.access.backups!.key);
    let bytes = 0;
    for await (const chunk of store.open(backup!.manifest, keys)) bytes += chunk.length;
    expect(bytes).toBe(backup!.manifest.statement.snapshot.bytes);
    const history = await environment.client.workflow.getHandle('etcd/lab').fetchHistory();
    const shown = Buffer.from(payloadsOf(history as JsonObject));
    expect(shown.includes('etcd.backup')).toBe(true);
    expect(shown.length).toBeLessThan(500_000);
    for (const text of [secret, await readFile(join(world.directory, 'backup.key'), 'utf8')]) expect(shown.includes(text)).toBe(false);
  });

  /** All bytes that a history holds. */
  function payloadsOf(value: unknown): string {
    if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
    if (typeof value === 'string') return value;
    return typeof value === 'object' && value !== null ? Object.values(value).map(payloadsOf).join('\n') : '';
  }
});

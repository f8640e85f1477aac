import { appendFile, chmod, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Holdpoint } from '../../client/holdpoint.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import { endPhases, type RunState } from '../../domain/run/state.ts';
import type { RunningProcess } from '../../lab/process.ts';
import { findTemporal, startTemporal, type TemporalServer } from '../../lab/temporal.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { failureOf } from '../support/cluster.ts';
import { startEnvironment, type Environment } from '../support/scenario.ts';
import { startWorkerProgram } from '../support/scenario-workers.ts';
import { startEtcdWorld, type EtcdWorld } from './etcd-world.ts';

const names = ['m1', 'm2', 'm3'];
const place = (member: string): string => `etcd/lab/${member}`;

let world: EtcdWorld;
beforeAll(async () => {
  world = await startEtcdWorld({ onMachines: true });
  await world.etcdctl('put', 'before', 'the backup');
  await world.perform('etcd.backup', await world.plan('etcd.backup'));
});
afterAll(() => world.stop());

const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

/** Waits until something is so. */
async function until(what: string, isSo: () => Promise<boolean> | boolean, looksMax = 600): Promise<void> {
  for (let look = 0; look < looksMax; look++) {
    if (await isSo()) return;
    await pause(100);
  }
  throw new Error(`waited too long for ${what}`);
}

/** What stands beside the data directory of a member, besides what belongs to the played machine. */
async function beside(member: string): Promise<string[]> {
  const data = world.access.members![member]!.dataDirectory;
  const found = await readdir(dirname(data));
  return found.filter((name) => name.startsWith(basename(data))).sort();
}

describe('the steps of a restore, on the machine of a member', () => {
  const input = { member: 'm1', backup: '000001' };
  const at = { place: place('m1'), context: { run: 'r-by-hand' } };
  const planned = (action: string, more: JsonObject = {}): Promise<ActionPlan> => world.plan(action, { ...input, ...more });
  const member = (): Promise<ActionPlan> => world.plan('etcd.stopMember', { member: 'm1' });

  test('are refused by a worker that is elsewhere, and where holdpoint.yaml says something else than was planned', async () => {
    const plan = await planned('etcd.prepareRestore');
    for (const elsewhere of [undefined, place('m2'), 'etcd/other/m1']) {
      expect(await failureOf(world.perform('etcd.prepareRestore', plan, { ...at, place: elsewhere }))).toMatchObject({
        code: 'member-elsewhere',
      });
    }
    const { m1, ...others } = world.access.members!;
    const access = { ...world.access, members: { ...others, m1: { ...m1!, stop: ['/bin/false'] } } };
    expect(await failureOf(world.perform('etcd.stopMember', await member(), { ...at, access }))).toMatchObject({
      code: 'plan-does-not-cover',
    });
    expect(await beside('m1')).toEqual(['data']);
  });

  test('a data directory that is not there is refused before anything is touched', async () => {
    const { m1, ...others } = world.access.members!;
    const access = { ...world.access, members: { ...others, m1: { ...m1!, dataDirectory: join(world.directory, 'nowhere', 'data') } } };
    const plan = await world.plan('etcd.prepareRestore', input, {}, access);
    expect(await failureOf(world.perform('etcd.prepareRestore', plan, { ...at, access }))).toMatchObject({
      code: 'restore-refused',
      message: expect.stringContaining('make an empty one if its data are lost'),
    });
  });

  test('prepare beside a member that serves, exchange only once it has ended, also when half done, and put all back', async () => {
    const prepared = await world.perform('etcd.prepareRestore', await planned('etcd.prepareRestore'), at);
    const ours = ['data', 'data.before-r-by-hand.db', 'data.restored-r-by-hand', 'data.restored-r-by-hand.json'];
    expect(await beside('m1')).toEqual(ours);
    expect(prepared.outputs).toMatchObject({ member: 'm1', before: expect.stringMatching(/data\.before-r-by-hand\.db$/) });
    expect(await world.perform('etcd.prepareRestore', await planned('etcd.prepareRestore'), at)).toMatchObject({ before: 'done', acts: 0 });

    const exchange = await planned('etcd.exchangeData');
    expect(await failureOf(world.perform('etcd.exchangeData', exchange, at))).toMatchObject({
      code: 'action-stuck',
      message: expect.stringContaining('m1 runs, and must not'),
    });
    expect(await world.perform('etcd.stopMember', await member(), at)).toMatchObject({ acts: 1 });
    expect(await world.perform('etcd.stopMember', await member(), at)).toMatchObject({ before: 'done', acts: 0 });
    // A worker that was killed between the two renames.
    const data = world.access.members!.m1!.dataDirectory;
    await rename(data, `${data}.before-r-by-hand`);
    expect(await world.perform('etcd.exchangeData', exchange, at)).toMatchObject({
      acts: 1,
      outputs: { kept: `${data}.before-r-by-hand` },
    });
    expect(await world.perform('etcd.exchangeData', exchange, at)).toMatchObject({ before: 'done', acts: 0 });
    expect(await beside('m1')).toEqual(['data', 'data.before-r-by-hand', 'data.before-r-by-hand.db', 'data.restored-r-by-hand.json']);

    const undo = await world.action('etcd.exchangeData').undo(exchange, world.context({ run: 'r-by-hand' }));
    expect(undo).toEqual([{ uses: 'etcd.exchangeData', with: { ...input, back: true } }]);
    await world.perform('etcd.exchangeData', await planned('etcd.exchangeData', { back: true }), at);
    expect(await beside('m1')).toEqual(ours);
    // What is there is of no step: nothing is renamed.
    await mkdir(`${data}.before-r-by-hand`);
    expect(await failureOf(world.perform('etcd.exchangeData', exchange, at))).toMatchObject({ code: 'action-stuck' });
    await rm(`${data}.before-r-by-hand`, { recursive: true });
    await world.perform('etcd.startMember', await world.plan('etcd.startMember', { member: 'm1' }), at);
    await until('the old member to be well again', async () => (await world.plan('etcd.check')).blockers.length === 0);
    const started = await world.plan('etcd.startMember', { member: 'm1' });
    expect(await world.action('etcd.startMember').undo(started, world.context())).toMatchObject({
      noUndo: expect.stringContaining('would be lost'),
    });
  });

  test('a command that fails, and one that does not end the member, are told', async () => {
    const { m1, ...others } = world.access.members!;
    const access = { ...world.access, members: { ...others, m1: { ...m1!, stop: ['/bin/false'] } } };
    const plan = await world.plan('etcd.stopMember', { member: 'm1' }, {}, access);
    expect(await failureOf(world.perform('etcd.stopMember', plan, { ...at, access }))).toMatchObject({
      code: 'member-command-failed',
      message: expect.stringContaining(
        '/bin/false on the machine of etcd/lab/m1 has not done what it should: it has ended with the exit code 1',
      ),
    });
  });
});

describe('a run of etcd-restore', () => {
  let temporal: TemporalServer;
  let environment: Environment;
  const workers = new Map<string, RunningProcess>();
  let holdpoint: Holdpoint;
  const hung = (): string => join(world.directory, 'm2-hangs');
  beforeAll(async () => {
    temporal = await startTemporal({ source: await findTemporal(() => undefined) });
    environment = await startEnvironment('lab-etcd-restore', temporal.address);
    const { endpoints, tls, members } = world.access;
    const backups = { directory: join(world.directory, 'backups'), keyFile: join(world.directory, 'backup.key') };
    const lab = { endpoints, tls, programs: await hangingPrograms(), backups, members };
    await appendFile(environment.configuration, `etcd: ${JSON.stringify({ lab })}\n`);
    workers.set('', await startWorkerProgram(environment));
    for (const name of ['m1', 'm2']) await startAt(name);
    holdpoint = new Holdpoint(environment.client, { address: environment.address, namespace: 'default', taskQueue: environment.name });
  });
  afterAll(async () => {
    for (const worker of workers.values()) await worker.kill();
    await environment.stop();
    await temporal.stop();
  });

  async function startAt(name: string): Promise<void> {
    workers.set(name, await startWorkerProgram(environment, environment.name, { HOLDPOINT_MEMBER: `lab/${name}` }));
  }

  /** The programs of the world, of which etcdutl stands still the first time that it restores m2. */
  async function hangingPrograms(): Promise<string> {
    const folder = join(world.directory, 'hanging');
    await mkdir(folder);
    const real = (name: string): string => join(world.access.programs!, name);
    for (const name of ['etcd', 'etcdctl']) await symlink(real(name), join(folder, name));
    const isFirst = `case "$*" in *"restore"*"--name=m2 "*) [ -e ${hung()} ] || { : > ${hung()}; sleep 60; };; esac`;
    await writeFile(join(folder, 'etcdutl'), `#!/bin/sh\n${isFirst}\nexec ${real('etcdutl')} "$@"\n`);
    await chmod(join(folder, 'etcdutl'), 0o755);
    return folder;
  }

  const state = (): Promise<RunState> => holdpoint.state('etcd/lab');
  const phase = async (): Promise<string> => (await state()).phase;

  test('names the machine on which no worker is, and touches nothing', async () => {
    const forecast = await holdpoint.plan(readRunbook('etcd-restore'), { name: 'lab', ofKubernetes: false });
    const blockers = forecast.spans[0]!.plan.steps.flatMap(({ plan }) => plan.blockers);
    expect(blockers).toEqual([
      { object: 'etcd/lab/m3', reason: expect.stringContaining('No worker is on its machine'), remedy: expect.any(String) },
    ]);
    const started = await holdpoint.start(readRunbook('etcd-restore'), forecast, environment.keys.dana).catch((error: unknown) => error);
    expect(JSON.stringify(started)).not.toContain('"admitted":true');
    for (const name of names) expect((await beside(name)).filter((found) => found.includes('.restored-r-2'))).toEqual([]);
    await startAt('m3');
  });

  test('brings all members back under a client that writes, a worker killed: nothing acknowledged before the backup is lost', async () => {
    const acknowledged: { key: string; atMs: number }[] = [];
    let writing = true;
    const writer = (async () => {
      for (let written = 0; writing; written += 1) {
        const key = `written-${String(written).padStart(5, '0')}`;
        const ok = await world.etcdctl('put', key, 'x', '--command-timeout=2s').then(
          () => true,
          () => false,
        );
        if (ok) acknowledged.push({ key, atMs: Date.now() });
        else await pause(200);
      }
    })();
    await until('some writes', () => acknowledged.length >= 10);
    const plan = await world.plan('etcd.backup', {}, { run: 'r-2' });
    const { outputs: backup } = await world.perform('etcd.backup', plan, { context: { run: 'r-2' } });
    const more = acknowledged.length;
    await until('some writes after the backup', () => acknowledged.length >= more + 10);

    const document = readRunbook('etcd-restore');
    const forecast = await holdpoint.plan(document, { name: 'lab', ofKubernetes: false });
    expect(forecast.spans.map(({ hold }) => hold?.policy)).toEqual([undefined, 'data-restore']);
    const { admission, run } = await holdpoint.start(document, forecast, environment.keys.dana);
    expect(admission).toMatchObject({ admitted: true });
    await until('m2 to be in the middle of its restore', () => existsSync(hung()));
    await workers.get('m2')!.kill();
    await startAt('m2');
    await until('the hold', async () => (await phase()) === 'holding');
    for (const name of names) expect(await beside(name)).toContain(`data.restored-${run}`);
    const held = await state();
    expect(held.hold!.plan.steps.filter(({ uses }) => uses === 'etcd.exchangeData')).toHaveLength(3);
    await holdpoint.decide(held, held.hold!.request, 'approve', 'it has to be', environment.keys.ada);
    // Double-signed: one is not enough.
    expect(await phase()).toBe('holding');
    expect(await beside('m1')).toContain(`data.restored-${run}`);
    await holdpoint.decide(await state(), held.hold!.request, 'approve', 'it has to be', environment.keys.grace);
    await until('the run to end', async () => [...endPhases, 'stuck'].includes(await phase()));
    const ended = await state();
    expect([ended.phase, ended.stuck?.reason]).toEqual(['done', undefined]);

    const atEnd = acknowledged.length;
    await until('the client to write to the restored cluster', () => acknowledged.length >= atEnd + 5);
    writing = false;
    await writer;
    const { header, kvs = [] } = JSON.parse(await world.etcdctl('get', 'written-', '--prefix', '--keys-only', '--write-out=json')) as {
      header: { revision: number };
      kvs?: { key: string }[];
    };
    const there = new Set(kvs.map(({ key }) => Buffer.from(key, 'base64').toString()));
    const takenAtMs = Date.parse(backup.takenAt as string);
    const before = acknowledged.filter(({ atMs }) => atMs < takenAtMs);
    expect(before.length).toBeGreaterThanOrEqual(10);
    expect(before.filter(({ key }) => !there.has(key))).toEqual([]);
    // No client takes the restored cluster for an older one.
    expect(header.revision).toBeGreaterThan(Number(backup.revision) + 1_000_000_000);
    for (const name of names) {
      expect((await beside(name)).filter((found) => found.includes(run))).toEqual([
        `data.before-${run}`,
        `data.before-${run}.db`,
        `data.restored-${run}.json`,
      ]);
    }
    expect((await world.plan('etcd.check')).blockers).toEqual([]);
  });
});

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openBackupStore } from '../../activities/backup/store.ts';
import { failureOf } from '../support/cluster.ts';
import { startEtcdWorld, type EtcdWorld } from './etcd-world.ts';

let world: EtcdWorld;
beforeAll(async () => {
  world = await startEtcdWorld();
  for (const key of ['a', 'b', 'c']) await world.etcdctl('put', key, `value of ${key}, as it was written`);
});
afterAll(() => world.stop());

/** Waits until a cluster has nothing in its way, as after a member has come back. */
async function untilWell(): Promise<void> {
  for (let look = 0; look < 100; look++) {
    if ((await world.plan('etcd.check')).blockers.length === 0) return;
    await new Promise((resolve) => void setTimeout(resolve, 200));
  }
  throw new Error('the members are not well again after 20 s');
}

describe('etcd.check', () => {
  test('is done where every member is well and has the same keys', async () => {
    const plan = await world.plan('etcd.check');
    expect(plan).toMatchObject({ effects: [], blockers: [], facts: { members: ['m1', 'm2', 'm3'] } });
    const { outputs, acts } = await world.perform('etcd.check', plan);
    expect({ outputs, acts }).toEqual({ outputs: { clusterId: expect.stringMatching(/^\d{10,20}$/), revision: 4 }, acts: 0 });
  });

  test('names the member that is stopped, and passes when it is back', async () => {
    const [, , third] = world.cluster.members;
    const plan = await world.plan('etcd.check');
    await third!.kill();
    const blocked = await world.plan('etcd.check');
    expect(blocked.blockers).toEqual([
      { object: 'etcd/lab/m3', reason: expect.stringContaining('It did not answer: '), remedy: expect.any(String) },
    ]);
    expect(blocked.blockers[0]?.reason).toMatch(/refused/);
    expect((await failureOf(world.perform('etcd.check', plan))).message).toMatch(/m3: It did not answer/);
    await third!.start();
    await untilWell();
  });

  test('says that it cannot reach a cluster whose certificates are of another authority', async () => {
    const { tls } = world.access;
    world.access.tls = { certificateAuthority: '/etc/hostname' };
    const failure = await failureOf(world.plan('etcd.check'));
    world.access.tls = tls;
    expect(failure).toMatchObject({ code: 'etcd-unreachable', message: expect.stringContaining('endpoint status') });
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

/** A worker is killed, or the step cancelled, once there is a file in the work directory. */
async function performCut(): Promise<void> {
  const plan = await world.plan('etcd.backup');
  const cut = new AbortController();
  const work = join(world.directory, 'backups', 'files', '.unfinished');
  const cancelling = (async () => {
    for (let look = 0; look < 2000 && !cut.signal.aborted; look++) {
      if ((await readdir(work).catch(() => [])).some((name) => name.includes('.etcd-'))) cut.abort(new Error('cut'));
      await new Promise((resolve) => void setTimeout(resolve, 5));
    }
  })();
  await expect(world.perform('etcd.backup', plan, { signal: cut.signal })).rejects.toThrow();
  await cancelling;
  expect(cut.signal.aborted).toBe(true);
  expect(await readdir(work)).toEqual([]);
}

describe('etcd.backup', () => {
  test('cut in the middle leaves nothing; performed twice, it makes one backup, which is what the members have', async () => {
    const backups = openBackupStore({ directory: join(world.directory, 'backups') });
    await performCut();
    expect(await backups.list()).toEqual([]);
    const plan = await world.plan('etcd.backup');
    expect(plan).toMatchObject({ blockers: [], effects: [{ object: 'Backup/etcd/lab', after: { place: backups.path } }] });
    const first = await world.perform('etcd.backup', plan);
    expect(first).toMatchObject({ before: 'todo', acts: 1, outputs: { backup: '000001', revision: 4 } });
    expect(await world.perform('etcd.backup', plan)).toMatchObject({ before: 'done', acts: 0, outputs: first.outputs });
    expect((await world.plan('etcd.backup')).effects).toEqual([]);
    const [stored] = await backups.list();
    expect(stored?.manifest.statement).toMatchObject({ equalTo: ['m1', 'm2', 'm3'], keys: 3, revision: 4, run: 'r-1', step: 's' });
    expect(await readdir(join(world.directory, 'backups', 'files', '.unfinished'))).toEqual([]);
  });

  test('is taken while others write, and follows the one before it', async () => {
    let over = false;
    let written = 0;
    const writing = (async () => {
      while (!over) await world.etcdctl('put', `busy-${written++}`, 'x');
    })();
    const context = { run: 'r-2' };
    const plan = await world.plan('etcd.backup', {}, context);
    const { outputs } = await world.perform('etcd.backup', plan, { context });
    over = true;
    await writing;
    expect(outputs.backup).toBe('000002');
    expect(outputs.revision).toBeGreaterThanOrEqual(4);
  });

  test('is refused where a member is stopped, and nothing is written', async () => {
    const [, , third] = world.cluster.members;
    const context = { run: 'r-3' };
    const plan = await world.plan('etcd.backup', {}, context);
    await third!.kill();
    const failure = await failureOf(world.perform('etcd.backup', plan, { context }));
    await third!.start();
    await untilWell();
    expect(failure).toMatchObject({ code: 'snapshot-refused', message: expect.stringContaining('m3: It did not answer') });
    expect(await openBackupStore({ directory: join(world.directory, 'backups') }).list()).toHaveLength(2);
  });

  test('old backups are named in the plan and deleted once; the newest and the pinned stay', async () => {
    const none = { hours: 0, days: 0, weeks: 0, months: 0 };
    expect((await world.plan('etcd.deleteBackups', { ...none, pinned: ['000001'] })).effects).toEqual([]);
    expect((await world.plan('etcd.deleteBackups', { ...none, newestWithin: '1s' })).blockers).toEqual([
      expect.objectContaining({ reason: expect.stringContaining('The newest backup is of') }),
    ]);
    const plan = await world.plan('etcd.deleteBackups', none);
    expect(plan.effects).toEqual([expect.objectContaining({ object: 'Backup/000001', change: 'delete' })]);
    expect(await world.perform('etcd.deleteBackups', plan)).toMatchObject({ acts: 1, outputs: { deleted: 1 } });
    expect(await world.perform('etcd.deleteBackups', plan)).toMatchObject({ before: 'done', acts: 0 });
    expect((await openBackupStore({ directory: join(world.directory, 'backups') }).list()).map(({ isDeleted }) => isDeleted)).toEqual([
      true,
      false,
    ]);
  });
});

describe('a member whose data were changed', () => {
  test('is named by the check', async () => {
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
    expect(blockers).toEqual([
      {
        object: 'etcd/lab/m3',
        reason: expect.stringMatching(/keys at revision \d+ are not those of the other members/),
        remedy: expect.any(String),
      },
    ]);
    await third!.stop();
    await writeFile(file, before);
    await third!.start();
    await untilWell();
  });
});

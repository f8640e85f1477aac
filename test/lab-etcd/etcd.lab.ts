import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
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
    const { mkdir } = await import('node:fs/promises');
    await mkdir(own);
    await writeFile(join(own, 'etcdctl'), '#!/bin/sh\necho "etcdctl version: 3.4.23"\necho "API version: 3.4"\n', { mode: 0o755 });
    expect((await failureOf(world.plan('etcd.check'))).message).toContain('its version is 3.4.23, and 3.6 or newer is needed');
    world.access.programs = programs;
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
        reason: expect.stringMatching(/keys at revision 4 are not those of the other members/),
        remedy: expect.any(String),
      },
    ]);
    await third!.stop();
    await writeFile(file, before);
    await third!.start();
    await untilWell();
  });
});

import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openBackupStore } from '../../activities/backup/store.ts';
import { createEtcdClient } from '../../activities/etcd/client.ts';
import type { EtcdMember } from '../../domain/etcd/members.ts';
import { failureOf } from '../support/cluster.ts';
import { runCommand } from '../support/run-command.ts';
import { startEtcdWorld, target, type EtcdWorld } from './etcd-world.ts';

const values = 40;
const valueBytes = 250_000;
/** What a file of some megabytes is measured with. */
const rule = { unusedPercentMin: 45, sizeMin: 5_000_000, settle: '0s' };

let world: EtcdWorld;
beforeAll(async () => {
  world = await startEtcdWorld();
});
afterAll(() => world.stop());

const look = (): Promise<EtcdMember[]> => createEtcdClient(world.access, target).members();
const nameOfLeader = (members: readonly EtcdMember[]): string => members.find(({ id, status }) => status?.leader === id)!.name;

/** Overwrites one key, and compacts what was before: most of each file is unused then. */
async function fragment(): Promise<void> {
  const value = 'v'.repeat(valueBytes);
  for (let written = 0; written < values; written += 1) await world.put('churn', value);
  const revision = Math.min(...(await look()).map(({ status }) => status!.revision));
  await world.etcdctlAt(world.cluster.endpoints[0]!, 'compact', String(revision), '--physical');
  // The other members have compacted a little later, and hashes can be compared once there is a revision behind the compaction.
  await world.etcdctl('put', 'after', 'the compaction');
  const giveUpAtMs = performance.now() + 20_000;
  while ((await world.plan('etcd.defragment', rule)).outputs.defragmented !== 3) {
    if (performance.now() > giveUpAtMs) throw new Error('the members have not compacted in time');
  }
}

describe('etcd.backup', () => {
  test('says that a cluster which is compacted at its newest revision has to be written to first', async () => {
    await world.etcdctl('put', 'a', 'b');
    await world.etcdctlAt(world.cluster.endpoints[0]!, 'compact', '2', '--physical');
    const plan = await world.plan('etcd.backup', {}, { run: 'r-0' });
    expect(await failureOf(world.action('etcd.backup').act(plan, world.context({ run: 'r-0' })))).toMatchObject({
      code: 'snapshot-interrupted',
      message: expect.stringContaining('it has to wait until something is written'),
    });
  });
});

describe('etcd.defragment', () => {
  test('does each member once, followers first, and the leader when it has handed over; killed in the middle, it goes on', async () => {
    await fragment();
    const before = await look();
    const leader = nameOfLeader(before);
    const plan = await world.plan('etcd.defragment', rule);
    expect(plan.blockers).toEqual([]);
    expect(plan.effects.map(({ object }) => object).sort()).toEqual(['Member/m1', 'Member/m2', 'Member/m3', 'etcd/lab']);
    const log = join(world.directory, 'maintenance-calls');
    const putBack = await world.replaceEtcdctl(`case "$1" in defrag|move-leader) echo "$1 $2" >> ${log};; esac\nexec "$REAL" "$@"`);
    const cut = new AbortController();
    const cutting = expect(
      world.perform('etcd.defragment', plan, {
        signal: cut.signal,
        onProgress: (progress) => void (progress?.done === 1 && cut.abort(new Error('cut'))),
      }),
    ).rejects.toThrow('cut');
    await cutting;
    const { outputs, acts } = await world.perform('etcd.defragment', plan);
    putBack();
    expect(outputs).toEqual({ defragmented: 3 });
    // Two members that were left, and the leadership.
    expect(acts).toBe(3);
    const calls = (await readFile(log, 'utf8')).trim().split('\n');
    const memberOf = (call: string): string | undefined =>
      call.startsWith('move-leader') ? 'move' : before.find(({ endpoint }) => call.includes(endpoint!))?.name;
    const followers = ['m1', 'm2', 'm3'].filter((name) => name !== leader);
    const done = calls.map(memberOf);
    // The followers in the order of their ids, which are given by chance.
    expect([...done.slice(0, 2).sort(), ...done.slice(2)]).toEqual([...followers, 'move', leader]);
    const after = await look();
    expect(nameOfLeader(after)).not.toBe(leader);
    for (const { name, status } of after) {
      expect(status!.sizeBytes).toBeLessThan(before.find((member) => member.name === name)!.status!.sizeBytes / 2);
    }
    expect(await world.perform('etcd.defragment', plan)).toMatchObject({ before: 'done', acts: 0 });
    expect((await world.plan('etcd.defragment', rule)).effects).toEqual([]);
  });
});

describe('etcd.replaceMember', () => {
  test('takes the leader out, waits until the new one was started, and lets it vote; killed in between, it goes on', async () => {
    const before = await look();
    const leader = before.find(({ name }) => name === nameOfLeader(before))!;
    const member = world.cluster.members.find(({ name }) => name === leader.name)!;
    const input = { member: member.name, name: member.name, peerUrl: member.peerUrl };
    const taken = before.find(({ name }) => name !== leader.name)!;
    const wrong = await world.plan('etcd.replaceMember', { member: 'm9', name: 'm9', peerUrl: taken.peerUrls![0]! });
    expect(wrong.blockers.map(({ reason }) => reason)).toEqual([
      'There is no such member.',
      expect.stringContaining(`is the peer address of ${taken.name}`),
    ]);
    const plan = await world.plan('etcd.replaceMember', input);
    expect(plan).toMatchObject({
      blockers: [],
      effects: [{ before: BigInt(leader.id).toString(16) }, { after: { peerUrl: member.peerUrl } }],
    });
    expect(JSON.stringify(plan.risks)).toContain('every one of the 2 other members is needed');
    const log = join(world.directory, 'replacement-calls');
    const putBack = await world.replaceEtcdctl(`case "$2" in remove|add|promote) echo "$2" >> ${log};; esac\nexec "$REAL" "$@"`);
    /** Performs it until it has come so far, as if its worker was killed there. */
    const performUntil = async (stage: RegExp): Promise<void> => {
      const cut = new AbortController();
      const onProgress = ({ summary = '' } = {}): void => void (stage.test(summary) && cut.abort(new Error('cut')));
      await expect(world.perform('etcd.replaceMember', plan, { signal: cut.signal, onProgress })).rejects.toThrow('cut');
    };
    await performUntil(/is removed/);
    await performUntil(/start etcd over an empty data directory with --name=m\d --initial-cluster-state=existing/);
    await member.stop();
    await rm(member.dataDirectory, { recursive: true });
    await member.start('--initial-cluster-state=existing');
    expect(await world.perform('etcd.replaceMember', plan)).toMatchObject({ outputs: { member: member.name } });
    expect(await world.perform('etcd.replaceMember', plan)).toMatchObject({ before: 'done', acts: 0 });
    putBack();
    expect(
      (await readFile(log, 'utf8'))
        .trim()
        .split('\n')
        .filter((call, index, all) => call !== all[index - 1]),
    ).toEqual(['remove', 'add', 'promote']);
    const after = await look();
    expect(after.map(({ isLearner }) => isLearner)).toEqual([false, false, false]);
    expect(after.some(({ id }) => id === leader.id)).toBe(false);
    expect((await world.plan('etcd.replaceMember', { ...input, member: BigInt(leader.id).toString(16) })).effects).toEqual([]);
    expect((await world.plan('etcd.check')).blockers).toEqual([]);
  });
});

describe('holdpoint backups drill', () => {
  test('restores a backup by hand, and writes down that it came back', async () => {
    await world.perform('etcd.backup', await world.plan('etcd.backup'));
    const { endpoints, tls, programs } = world.access;
    const directory = join(world.directory, 'backups');
    const backups = { directory, keyFile: join(world.directory, 'backup.key') };
    const config = join(world.directory, 'holdpoint.yaml');
    const lines = ['apiVersion: holdpoint.dev/v1', 'kind: Configuration', 'people: {}', 'groups: {}', 'policies: {}'];
    const etcd = `etcd: ${JSON.stringify({ lab: { endpoints, tls, programs, backups } })}`;
    await writeFile(config, `${[...lines, etcd].join('\n')}\n`, { mode: 0o600 });
    const { code, stdout, stderr } = await runCommand('backups', 'drill', 'etcd/lab', '--config', config);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('The backup 000001 came back');
    expect(await openBackupStore({ directory }).drills()).toMatchObject([{ backup: '000001' }]);
  });
});

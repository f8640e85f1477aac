import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Checkpoint } from '../../../domain/action.ts';
import type { Json, JsonObject } from '../../../domain/json.ts';
import type { DatabaseCluster } from '../../../sandbox/rds/cluster.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once, type ProxiedRequest } from '../../support/proxy.ts';
import { databaseNamed } from '../../support/scenarios.ts';

const input = { from: '16.4', to: '16.6' };
let demo: TestCluster;
let database: DatabaseCluster;

beforeEach(async () => {
  await demo?.stop();
  demo = await startCluster({ ...worldWith([], { nodes: 0 }), databases: [databaseNamed('demo')] }, { speed: 3_000, kind: 'rds' });
  database = demo.sandbox.world.databases[0]!;
});
afterAll(() => demo.stop());

const asks =
  (operation: string) =>
  ({ body }: ProxiedRequest): boolean =>
    body.includes(`Action=${operation}&`);

/** What a step keeps, so long after it was written. */
function checkpointOf(agedMs = 0): Checkpoint {
  let kept: JsonObject | undefined;
  const aged = (atMs: Json | undefined): Json => (typeof atMs === 'number' ? atMs - agedMs : null);
  return {
    read: () => kept && { ...kept, askedAtMs: aged(kept.askedAtMs) },
    write: (value) => void (kept = value as JsonObject),
  };
}

async function reasonsOf(differences: JsonObject): Promise<string> {
  const { blockers } = await demo.plan('rds.upgradeEngine', { ...input, ...differences });
  return blockers.map(({ object, reason, remedy }) => `${object}: ${reason} ${remedy}`).join(' ');
}

describe('an upgrade of the engine', () => {
  test('is refused by name: another version, a major one, one that RDS does not know, what waits, what is busy', async () => {
    expect(await reasonsOf({})).toBe('');
    expect(await reasonsOf({ from: '16.3' })).toContain('Database/demo: It has 16.4, and 16.3 is expected.');
    expect(await reasonsOf({ to: '17.4' })).toContain('17.4 is another major version than 16.4. Choose one of 16.6, 16.8.');
    expect(await reasonsOf({ to: '16.5' })).toContain('RDS does not upgrade aurora-postgresql 16.4 to 16.5. Choose one of 16.6, 16.8.');
    database.pendingModifiedValues.BackupRetentionPeriod = '7';
    database.instance('demo-c')!.parameterGroupStatus = 'pending-reboot';
    database.instance('demo-b')!.status = 'rebooting';
    expect(await reasonsOf({})).toMatch(
      /BackupRetentionPeriod.*demo-b: Its status is rebooting.*demo-c: Its parameter group is pending-reboot/,
    );
    database.status = 'backing-up';
    expect(await reasonsOf({})).toContain('Its status is backing-up, not available.');
    expect(database.changesAccepted).toBe(0);
  });

  test.each(['lose-answer', 'lose-request'] as const)('is asked for once though %s befalls its request', async (treatment) => {
    const plan = await demo.plan('rds.upgradeEngine', input);
    demo.proxy.treat = once(asks('ModifyDBCluster'), treatment);
    // What RDS has not heard of is asked for again after half a minute of looks, which has passed here.
    expect(await demo.perform('rds.upgradeEngine', plan, { checkpoint: checkpointOf(60_000) })).toMatchObject({
      outputs: { engineVersion: '16.6' },
      acts: treatment === 'lose-answer' ? 1 : 2,
    });
    expect([database.changesAccepted, database.engineVersion]).toEqual([1, '16.6']);
    expect(database.instances.map(({ engineVersion }) => engineVersion)).toEqual(['16.6', '16.6', '16.6']);
  });

  test('that RDS gives up is stuck with its words and not asked for again, until a person has it tried again', async () => {
    const plan = await demo.plan('rds.upgradeEngine', input);
    database.upgradeFails = true;
    expect(await failureOf(demo.perform('rds.upgradeEngine', plan))).toMatchObject({
      message: expect.stringContaining('RDS says "Database cluster is in a state that cannot be upgraded."'),
    });
    demo.renew();
    expect(await failureOf(demo.perform('rds.upgradeEngine', plan))).toMatchObject({ code: 'action-stuck' });
    expect(database.changesAccepted).toBe(1);
    const context = { retry: 1 };
    expect(await demo.perform('rds.upgradeEngine', plan, { context, checkpoint: checkpointOf() })).toMatchObject({ acts: 1 });
    expect(database.engineVersion).toBe('16.6');
  });

  test('of another cluster of its name, or to a third version meanwhile, is not begun', async () => {
    const plan = await demo.plan('rds.upgradeEngine', input);
    database.engineVersion = '16.8';
    expect(await failureOf(demo.perform('rds.upgradeEngine', plan))).toMatchObject({
      message: expect.stringContaining('demo has 16.8, neither 16.4 as it was planned nor 16.6'),
    });
    Object.assign(database, { engineVersion: '16.4', resourceId: 'cluster-OTHER' });
    expect(await failureOf(demo.perform('rds.upgradeEngine', plan))).toMatchObject({ message: expect.stringContaining('replaced') });
    expect(database.changesAccepted).toBe(0);
  });
});

describe('a snapshot', () => {
  test.each(['lose-answer', 'lose-request'] as const)('is there once though %s befalls its request', async (treatment) => {
    const plan = await demo.plan('rds.takeSnapshot', {});
    demo.proxy.treat = once(asks('CreateDBClusterSnapshot'), treatment);
    await demo.perform('rds.takeSnapshot', plan).catch(() => demo.perform('rds.takeSnapshot', plan));
    demo.renew();
    expect(await demo.perform('rds.takeSnapshot', plan)).toMatchObject({ before: 'done', acts: 0 });
    expect(database.snapshots.map(({ status, tags }) => [status, tags])).toEqual([['available', { 'holdpoint.dev/run': 'r-1' }]]);
  });

  test('that RDS cannot take is stuck, and a person has another one taken', async () => {
    const plan = await demo.plan('rds.takeSnapshot', {});
    database.snapshotFails = true;
    expect(await failureOf(demo.perform('rds.takeSnapshot', plan))).toMatchObject({ message: expect.stringContaining('it is failed') });
    await demo.perform('rds.takeSnapshot', plan, { context: { retry: 1 } });
    expect(database.snapshots.map(({ status }) => status)).toEqual(['failed', 'available']);
    database.status = 'stopped';
    const { blockers } = await demo.plan('rds.takeSnapshot', {}, { run: 'r-2' });
    expect(blockers).toMatchObject([{ reason: 'Its status is stopped, not available.' }]);
  });
});

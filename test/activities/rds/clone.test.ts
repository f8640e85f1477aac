import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { DatabaseCluster } from '../../../sandbox/rds/cluster.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { databaseNamed } from '../../support/scenarios.ts';

const input = { name: 'demo-drill' };
let demo: TestCluster;
let database: DatabaseCluster;

beforeEach(async () => {
  await demo?.stop();
  const databases = [databaseNamed('demo'), databaseNamed('other')];
  demo = await startCluster({ ...worldWith([], { nodes: 0 }), databases }, { speed: 5_000, kind: 'rds' });
  database = demo.sandbox.world.databases[0]!;
});
afterAll(() => demo.stop());

async function makeClone(): Promise<DatabaseCluster> {
  await demo.perform('rds.clone', await demo.plan('rds.clone', input));
  return database.clones[0]!;
}

const deleteRequests = (bodies: string[]): number => bodies.filter((body) => body.includes('Action=Delete')).length;

describe('a clone', () => {
  test('is one cluster with one instance of the class of the writer, and says whose it is', async () => {
    const clone = await makeClone();
    expect(clone.tags).toEqual({ 'holdpoint.dev/run': 'r-1', 'holdpoint.dev/clone-of': database.resourceId });
    expect(clone.instances.map(({ name, instanceClass }) => [name, instanceClass])).toEqual([['demo-drill-1', 'db.r6g.large']]);
    expect([database.clones.length, database.changesAccepted]).toEqual([1, 2]);
  });

  test('refuses and never touches what it has not made', async () => {
    const bodies: string[] = [];
    demo.proxy.treat = ({ body }) => (bodies.push(body), 'pass');
    // One of another run, the target itself, and a cluster that has nothing to do with it.
    const clone = await makeClone();
    const taken = [{ reason: 'There is a cluster demo-drill already, which this run has not made.' }];
    expect((await demo.plan('rds.clone', input, { run: 'r-2' })).blockers).toMatchObject(taken);
    for (const name of ['demo', 'other']) {
      const plan = await demo.plan('rds.deleteClone', { name });
      expect(plan.blockers[0]?.reason).toContain('It is no clone that Holdpoint has made of demo');
      expect(await failureOf(demo.perform('rds.deleteClone', plan))).toMatchObject({ code: 'action-stuck' });
    }
    // Somebody has put another clone in its place since the plan.
    const plan = await demo.plan('rds.deleteClone', input);
    Object.assign(clone, { resourceId: 'cluster-OTHER' });
    expect(await demo.perform('rds.deleteClone', plan)).toMatchObject({ acts: 0 });
    expect([deleteRequests(bodies), database.clones.length]).toEqual([0, 1]);
    const again = await demo.plan('rds.deleteClone', input);
    clone.tags['holdpoint.dev/clone-of'] = 'cluster-ELSE';
    expect(await failureOf(demo.perform('rds.deleteClone', again))).toMatchObject({
      message: expect.stringContaining('other tags by now'),
    });
    expect(deleteRequests(bodies)).toBe(0);
  });
});

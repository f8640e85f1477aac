import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { JsonObject } from '../../../domain/json.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once } from '../../support/proxy.ts';
import { databaseNamed } from '../../support/scenarios.ts';

const action = 'rds.rotateCertificate';
const input = { instance: 'demo-b', certificateAuthority: 'rds-ca-rsa2048-g1' };
let demo: TestCluster;

beforeAll(async () => {
  demo = await startCluster({ ...worldWith([], { nodes: 0 }), databases: [databaseNamed('demo')] }, { speed: 3_000, kind: 'rds' });
});
afterAll(() => demo.stop());

async function reasonsOf(differences: JsonObject): Promise<string> {
  const { blockers } = await demo.plan(action, { ...input, ...differences });
  return blockers.map(({ object, reason, remedy }) => `${object}: ${reason} ${remedy}`).join(' ');
}

test('a rotation is refused by name, has the trust of clients signed, and is asked for once though its answer is lost', async () => {
  const database = demo.sandbox.world.databases[0]!;
  const reader = database.instance('demo-b')!;
  expect(await reasonsOf({ instance: 'other-b' })).toContain('It is no instance of the cluster demo');
  expect(await reasonsOf({ certificateAuthority: 'rds-ca-nope' })).toMatch(/RDS has no rds-ca-nope in eu-central-1.*rds-ca-rsa4096-g1/);
  expect(await reasonsOf({ instance: 'demo-a' })).toBe('');
  reader.pendingModifiedValues.DBInstanceClass = 'db.r6g.2xlarge';
  expect(await reasonsOf({})).toContain('Changes of it wait for its maintenance window: DBInstanceClass');
  reader.pendingModifiedValues = {};
  const plan = await demo.plan(action, input);
  expect(plan).toMatchObject({ risks: [{ risk: expect.stringContaining('do not trust rds-ca-rsa2048-g1') }], facts: { restarts: false } });
  demo.proxy.treat = once(({ body }) => body.includes('Action=ModifyDBInstance'), 'lose-answer');
  await demo.perform(action, plan);
  expect([database.changesAccepted, reader.certificateAuthority]).toEqual([1, 'rds-ca-rsa2048-g1']);
  reader.resourceId = 'db-OTHER';
  expect(await failureOf(demo.perform(action, plan))).toMatchObject({ message: expect.stringContaining('another one of its name') });
  // An engine version that restarts for another certificate.
  Object.assign(database, { engine: 'aurora-mysql', engineVersion: '8.0.mysql_aurora.3.08.0' });
  expect(await reasonsOf({ instance: 'demo-a' })).toContain('It is the writer, and its engine version must restart');
  expect((await demo.plan(action, { ...input, instance: 'demo-c' })).risks).toHaveLength(2);
});

import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { JsonObject } from '../../../domain/json.ts';
import type { DatabaseCluster } from '../../../sandbox/rds/cluster.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once, type ProxiedRequest } from '../../support/proxy.ts';
import { databaseNamed } from '../../support/scenarios.ts';

const action = 'rds.modifyInstance';
const input = { instance: 'demo-b', instanceClass: 'db.r6g.xlarge' };
let demo: TestCluster;
let database: DatabaseCluster;

beforeEach(async () => {
  await demo?.stop();
  demo = await startCluster({ ...worldWith([], { nodes: 0 }), databases: [databaseNamed('demo')] }, { speed: 3_000, kind: 'rds' });
  database = demo.sandbox.world.databases[0]!;
});
afterAll(() => demo.stop());

const isChange = ({ body }: ProxiedRequest): boolean => body.includes('Action=ModifyDBInstance');

async function reasonsOf(differences: JsonObject): Promise<string> {
  const { blockers } = await demo.plan(action, { ...input, ...differences });
  return blockers.map(({ object, reason }) => `${object}: ${reason}`).join(' ');
}

describe('the plan of another class', () => {
  test('says from which to which, what is cut, and that nothing is left to do where it is so already', async () => {
    expect(await demo.plan(action, input)).toMatchObject({
      effects: [{ object: 'DatabaseInstance/demo-b', change: 'change its class', before: 'db.r6g.large', after: 'db.r6g.xlarge' }],
      risks: [{ risk: expect.stringContaining('it takes no reads for some minutes') }],
      blockers: [],
    });
    expect(await demo.plan(action, { ...input, instanceClass: 'db.r6g.large' })).toMatchObject({ effects: [], blockers: [] });
  });

  test('refuses the writer, strangers, what waits or is busy, and fewer readers than are asked for', async () => {
    expect(await reasonsOf({ instance: 'demo-a' })).toContain('DatabaseInstance/demo-a: It is the writer');
    const later = await demo.plan(action, { ...input, instance: 'demo-a' }, { expected: [{ change: 'writer', instance: 'demo-b' }] });
    expect(later.blockers).toEqual([]);
    expect(await reasonsOf({ instance: 'other-b' })).toContain('It is no instance of the cluster demo');
    expect(await reasonsOf({ otherReadersMin: 2 })).toContain('1 other readers are available while it is changed; at least 2');
    expect(await reasonsOf({ instance: 'demo-c', instanceClass: 'db.r7g.large' })).toBe(
      'DatabaseInstance/demo-c: RDS does not offer db.r7g.large for aurora-postgresql 16.4 in eu-central-1c, ' +
        'only in eu-central-1a, eu-central-1b.',
    );
    expect(await demo.plan(action, { ...input, instanceClass: 'db.r6g.metal' })).toMatchObject({
      blockers: [{ remedy: expect.stringMatching(/^Choose another class: in eu-central-1b there are .*db\.r7g\.large/) }],
    });
    const [b, c] = [database.instance('demo-b')!, database.instance('demo-c')!];
    b.pendingModifiedValues.EngineVersion = '16.6';
    expect(await reasonsOf({})).toContain('Changes of it wait for its maintenance window: EngineVersion. A change at once applies all');
    c.status = 'rebooting';
    expect(await reasonsOf({})).toContain('0 other readers are available');
    b.status = 'storage-optimization';
    expect(await reasonsOf({})).toContain('Its status is storage-optimization');
    expect(database.changesAccepted).toBe(0);
  });
});

describe('a change of a class', () => {
  test.each(['lose-answer', 'lose-request'] as const)(
    'is there once though %s befalls its request, and can be taken back',
    async (treatment) => {
      const plan = await demo.plan(action, input);
      demo.proxy.treat = once(isChange, treatment);
      const performed = await demo.perform(action, plan);
      expect(performed).toMatchObject({ outputs: { instance: 'demo-b', instanceClass: 'db.r6g.xlarge' } });
      expect([database.changesAccepted, database.instance('demo-b')!.instanceClass]).toEqual([1, 'db.r6g.xlarge']);
      expect(await demo.undo(action, plan)).toMatchObject([{ uses: action, with: { instance: 'demo-b', instanceClass: 'db.r6g.large' } }]);
    },
  );

  test('is not begun while too few others take reads, and goes on when they do', async () => {
    const plan = await demo.plan(action, input);
    const other = database.instance('demo-c')!;
    other.status = 'rebooting';
    const seen: string[] = [];
    const onProgress = (progress?: { summary: string }): void => {
      seen.push(progress?.summary ?? '');
      if (progress?.summary.includes('waits: 0 of 1')) other.status = 'available';
    };
    await demo.perform(action, plan, { onProgress });
    expect(seen).toContain('demo-b waits: 0 of 1 other readers are available');
    expect(database.changesAccepted).toBe(1);
  });

  test('is not begun where it has become the writer, is another instance, or has a third class', async () => {
    const plan = await demo.plan(action, input);
    const reader = database.instance('demo-b')!;
    database.writer = 'demo-b';
    expect(await failureOf(demo.perform(action, plan))).toMatchObject({ message: expect.stringContaining('has become the writer') });
    database.writer = 'demo-a';
    reader.instanceClass = 'db.r6g.2xlarge';
    expect(await failureOf(demo.perform(action, plan))).toMatchObject({ message: expect.stringContaining('neither db.r6g.large') });
    Object.assign(reader, { instanceClass: 'db.r6g.large', resourceId: 'db-OTHER' });
    expect(await failureOf(demo.perform(action, plan))).toMatchObject({ message: expect.stringContaining('another one of its name') });
    expect(database.changesAccepted).toBe(0);
  });
});

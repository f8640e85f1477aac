import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { ActionCall, Checkpoint } from '../../../domain/action.ts';
import type { Json, JsonObject } from '../../../domain/json.ts';
import type { DatabaseCluster } from '../../../sandbox/rds/cluster.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once, type ProxiedRequest } from '../../support/proxy.ts';
import { databaseNamed } from '../../support/scenarios.ts';

const action = 'rds.failover';
const input = { writer: 'demo-a', to: 'demo-b' };
let demo: TestCluster;
let database: DatabaseCluster;

beforeEach(async () => {
  await demo?.stop();
  const other = { ...databaseNamed('other') };
  demo = await startCluster({ ...worldWith([], { nodes: 0 }), databases: [databaseNamed('demo'), other] }, { speed: 1_000, kind: 'rds' });
  database = demo.sandbox.world.databases[0]!;
});
afterAll(() => demo.stop());

const isFailover = ({ body }: ProxiedRequest): boolean => body.includes('Action=FailoverDBCluster');

/** What a step keeps from one try to the next. */
function checkpointOf(): Checkpoint {
  let kept: Json | undefined;
  return { read: () => kept, write: (value) => void (kept = value) };
}

async function reasonsOf(wanted: JsonObject): Promise<string> {
  const { blockers } = await demo.plan(action, wanted);
  return blockers.map(({ object, reason }) => `${object}: ${reason}`).join(' ');
}

describe('the plan of a failover', () => {
  test('says from whom to whom, and what is lost', async () => {
    expect(await demo.plan(action, input)).toMatchObject({
      effects: [
        {
          object: 'Database/demo',
          change: 'fail over',
          before: 'demo-a (db.r6g.large, eu-central-1a)',
          after: 'demo-b (db.r6g.large, eu-central-1b)',
        },
      ],
      facts: { databaseResourceId: database.resourceId, to: { name: 'demo-b', resourceId: database.instance('demo-b')?.resourceId } },
      risks: [{ risk: expect.stringContaining('writes are refused') }],
      blockers: [],
      outputs: { writer: 'demo-b', previous: 'demo-a' },
    });
    const back = await demo.plan(action, { writer: 'demo-b', to: 'demo-a' }, { expected: [{ change: 'writer', instance: 'demo-b' }] });
    expect(back.blockers).toEqual([]);
  });

  test('refuses by name what cannot be, and finds the reader that fits', async () => {
    expect(await reasonsOf({ writer: 'demo-c', to: 'demo-b' })).toContain('demo-c is expected to be its writer, but its writer is demo-a');
    expect(await reasonsOf({ writer: 'demo-a', to: 'demo-a' })).toContain('demo-a is both the writer');
    expect(await reasonsOf({ writer: 'demo-a', to: 'other-b' })).toContain(
      'DatabaseInstance/other-b: It is no instance of the cluster demo',
    );
    expect(await reasonsOf({ writer: 'gone', to: 'demo-b' })).toContain('It has no instance gone');
    const [b, c] = [database.instance('demo-b')!, database.instance('demo-c')!];
    b.lagMs = 5_000;
    expect(await reasonsOf(input)).toContain('DatabaseInstance/demo-b: It lags by more than 1000 ms');
    expect(await demo.plan(action, { writer: 'demo-a' })).toMatchObject({ blockers: [], outputs: { writer: 'demo-c' } });
    c.parameterGroupStatus = 'pending-reboot';
    expect(await reasonsOf({ writer: 'demo-a' })).toMatch(/No reader of it is fit.*demo-b .*lags.*demo-c .*pending-reboot/);
    b.lagMs = 15;
    database.pendingMaintenance.push({ resource: 'demo', action: 'system-update', description: 'd', currentApplyDate: new Date() });
    expect(await reasonsOf(input)).toContain('Maintenance of AWS has its time already: system-update');
    database.status = 'modifying';
    expect(await reasonsOf(input)).toContain('Its status is modifying, not available');
    const unknown = failureOf(demo.plan(action, input, { target: { ...demo.target, name: 'nope' } }));
    expect(await unknown).toMatchObject({ code: 'database-unknown' });
    const elsewhere = failureOf(demo.plan(action, input, { target: { ...demo.target, region: 'eu-west-1' } }));
    expect(await elsewhere).toMatchObject({ code: 'database-unknown' });
    expect(database.changesAccepted).toBe(0);
  });
});

describe('a failover', () => {
  test('is asked for once though the answer is lost, and undone by another one', async () => {
    const plan = await demo.plan(action, input);
    demo.proxy.treat = once(isFailover, 'lose-answer');
    const performed = await demo.perform(action, plan);
    expect(performed).toMatchObject({ acts: 1, outputs: { writer: 'demo-b', previous: 'demo-a' }, passed: { 'aws-unreachable': 1 } });
    expect(performed.outputs.outage).toEqual({ measured: false, reason: 'no probe is configured' });
    expect(plan.notes.join(' ')).toContain('The outage is not measured: `probes` of holdpoint.yaml has no entry');
    expect(database.failovers).toMatchObject([{ from: 'demo-a', asked: 'demo-b', to: 'demo-b' }]);
    const undo = await demo.undo(action, plan);
    expect(undo).toMatchObject([{ uses: action, with: { writer: 'demo-b', to: 'demo-a' } }]);
  });

  test('that is undone while the old writer still restarts waits until it is back', async () => {
    const plan = await demo.plan(action, input);
    await demo.perform(action, plan);
    // As it is four seconds before the end of a failover.
    const old = database.instance('demo-a')!;
    old.status = 'rebooting';
    const seen = await demo.observe(action, plan);
    expect(seen).toMatchObject({ state: 'moving', progress: { summary: 'demo-b is the writer; demo-a is rebooting' } });
    const [call] = (await demo.action(action).undo(plan, demo.context(), seen)) as ActionCall[];
    const back = await demo.plan(action, call!.with);
    expect(back.blockers).toEqual([]);
    expect(await demo.observe(action, back)).toMatchObject({ state: 'moving' });
    old.status = 'available';
    expect(await demo.perform(action, back)).toMatchObject({ acts: 1, outputs: { writer: 'demo-a' } });
  });

  test.each(['throttle', 'error', 'replyLost', 'delay'] as const)('is asked for once whatever befalls its request: %s', async (kind) => {
    const plan = await demo.plan(action, input);
    demo.sandbox.world.faults.next({ operation: 'FailoverDBCluster', kind });
    if (kind === 'error') {
      // Nobody knows whether it was done: it is not asked for again, and a person is told in the end.
      const checkpoint = checkpointOf();
      const context = { checkpoint };
      await failureOf(demo.act(action, plan, context));
      expect(await demo.observe(action, plan, context)).toMatchObject({ state: 'moving' });
      const { unclear, ...memory } = checkpoint.read() as { unclear: { reason: string; sinceMs: number } };
      checkpoint.write({ ...memory, unclear: { ...unclear, sinceMs: Date.now() - 3 * 60_000 } });
      expect(await demo.observe(action, plan, context)).toMatchObject({ state: 'stuck', reason: expect.stringContaining('was asked for') });
      expect(database.failovers).toHaveLength(0);
      await demo.perform(action, plan, { checkpoint, context: { retry: 1 } });
    } else {
      await demo.perform(action, plan);
    }
    expect(database.failovers).toHaveLength(1);
    expect(database.writer).toBe('demo-b');
  });

  test('is not repeated by a worker that remembers nothing, nor where somebody else was faster', async () => {
    const plan = await demo.plan(action, input);
    database.failOver('demo-b');
    expect(await demo.perform(action, plan)).toMatchObject({ outputs: { writer: 'demo-b' } });
    expect(database.failovers).toHaveLength(1);
  });

  test('stops where RDS promotes another reader, gives up, or says nothing; it goes on only when it is told to', async () => {
    const plan = await demo.plan(action, input);
    database.twist = { kind: 'fails' };
    const checkpoint = checkpointOf();
    expect(await failureOf(demo.perform(action, plan, { checkpoint }))).toMatchObject({
      message: expect.stringContaining('has given up the failover'),
    });
    expect(database.failovers).toHaveLength(1);
    database.twist = { kind: 'promotes', instance: 'demo-c' };
    const elsewhere = failureOf(demo.perform(action, plan, { checkpoint, context: { retry: 1 } }));
    expect(await elsewhere).toMatchObject({ message: expect.stringContaining('demo-c is the writer now, neither demo-a') });
    expect(database.failovers).toHaveLength(2);
    expect(await failureOf(demo.perform(action, plan, { checkpoint, context: { retry: 2 } }))).toMatchObject({ code: 'action-stuck' });
    expect(database.failovers).toHaveLength(2);
  });

  test('is not called done on the word of the members alone', async () => {
    const plan = await demo.plan(action, input);
    database.twist = { kind: 'goes-untold' };
    const stop = new AbortController();
    const progress: string[] = [];
    const onProgress = (seen?: { summary: string }): void => {
      progress.push(seen?.summary ?? '');
      if (seen?.summary.includes('no event says so yet')) stop.abort(new Error('seen'));
    };
    await expect(demo.perform(action, plan, { onProgress, signal: stop.signal })).rejects.toThrow('seen');
    expect(database.writer).toBe('demo-b');
    expect(database.failovers).toHaveLength(1);
  });

  test('is not asked for when the world has changed since it was signed', async () => {
    const plan = await demo.plan(action, input);
    database.instance('demo-b')!.status = 'storage-optimization';
    expect(await failureOf(demo.perform(action, plan))).toMatchObject({
      message: expect.stringContaining('demo-b cannot become the writer any more'),
    });
    database.instance('demo-b')!.status = 'available';
    database.status = 'upgrading';
    expect(await failureOf(demo.perform(action, plan))).toMatchObject({ message: expect.stringContaining('is upgrading, not available') });
    database.status = 'available';
    database.writer = 'demo-c';
    expect(await failureOf(demo.perform(action, plan))).toMatchObject({ message: expect.stringContaining('demo-c is the writer now') });
    expect(database.changesAccepted).toBe(0);
  });
});

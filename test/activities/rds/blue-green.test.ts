import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Checkpoint } from '../../../domain/action.ts';
import type { Json } from '../../../domain/json.ts';
import type { BlueGreenDeployment } from '../../../sandbox/rds/blue-green.ts';
import type { DatabaseCluster } from '../../../sandbox/rds/cluster.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once, type ProxiedRequest } from '../../support/proxy.ts';
import { databaseNamed } from '../../support/scenarios.ts';

const name = 'to-17';
const input = { name, engineVersion: '17.4' };
const ours = { 'holdpoint.dev/run': 'r-1' };
let demo: TestCluster;
let database: DatabaseCluster;

beforeEach(async () => {
  await demo?.stop();
  const databases = [databaseNamed('demo'), databaseNamed('other')];
  demo = await startCluster({ ...worldWith([], { nodes: 0 }), databases }, { speed: 1_000, kind: 'rds' });
  database = demo.sandbox.world.databases[0]!;
});
afterAll(() => demo.stop());

const isSwitchover = ({ body }: ProxiedRequest): boolean => body.includes('Action=SwitchoverBlueGreenDeployment');

/** What a step keeps from one try to the next. */
function checkpointOf(): Checkpoint {
  let kept: Json | undefined;
  return { read: () => kept, write: (value) => void (kept = value) };
}

function greenOf(cluster = database, tags: Record<string, string> = ours): BlueGreenDeployment {
  const deployment = cluster.deploy(name, '17.4', tags);
  deployment.finish();
  return deployment;
}

async function reasonsOf(action: string, wanted: { [key: string]: Json }): Promise<string> {
  return (await demo.plan(action, wanted)).blockers.map(({ reason }) => reason).join(' ');
}

describe('the plan', () => {
  test('of a green cluster refuses a version, a writer and a cluster that RDS would refuse', async () => {
    const create = (wanted: object) => reasonsOf('rds.createBlueGreen', { ...input, ...wanted });
    expect(await create({ engineVersion: '18.0' })).toContain('RDS does not upgrade aurora-postgresql 16.4 to 18.0');
    database.instance('demo-a')!.parameterGroupStatus = 'pending-reboot';
    expect(await create({})).toContain('The parameter group of its writer is pending-reboot');
    database.instance('demo-a')!.parameterGroupStatus = 'in-sync';
    database.status = 'modifying';
    expect(await create({})).toContain('Its status is modifying');
    database.status = 'available';
    greenOf();
    expect(await create({ name: 'another' })).toContain('It is part of the blue/green deployment to-17 already');
    expect((await demo.plan('rds.createBlueGreen', input, { run: 'r-2' })).blockers[0]?.reason).toContain('which this run has not made');
  });

  test('of a switchover tells what differs, and refuses what is not ready or of somebody else', async () => {
    const deployment = greenOf();
    expect(await demo.plan('rds.switchoverBlueGreen', { name })).toMatchObject({
      effects: [{ change: 'switch over', before: 'blue: 16.4', after: 'green: 17.4' }],
      notes: expect.arrayContaining(['Engine version: 16.4 now, 17.4 after it.']),
      risks: [{ risk: expect.stringContaining('Writes are refused') }, { risk: expect.stringContaining('loses what was written since') }],
      blockers: [],
    });
    // RDS has called deployments available before their last task was done (terraform-provider-aws, 36241).
    deployment.tasks.at(-1)!.status = 'IN_PROGRESS';
    expect(await reasonsOf('rds.switchoverBlueGreen', { name })).toContain('is AVAILABLE, and CREATING_TOPOLOGY_OF_SOURCE is not done');
    deployment.tasks.at(-1)!.status = 'COMPLETED';
    deployment.green.instances[1]!.status = 'storage-optimization';
    expect(await reasonsOf('rds.switchoverBlueGreen', { name })).toContain(`Cluster ${deployment.green.name} or one of its instances`);
    deployment.green.instances[1]!.status = 'available';
    delete deployment.tags['holdpoint.dev/run'];
    expect(await reasonsOf('rds.switchoverBlueGreen', { name })).toContain('was not made by this run');
  });

  test('of a deletion refuses what is protected, foreign or of another cluster', async () => {
    const deployment = greenOf();
    deployment.finishSwitchover();
    expect(await reasonsOf('rds.deleteBlueGreen', { name })).toContain('The old cluster demo-old1 has deletion protection');
    deployment.blue.isProtected = false;
    delete deployment.tags['holdpoint.dev/run'];
    expect(await reasonsOf('rds.deleteBlueGreen', { name })).toContain('was not made by Holdpoint');
    database.deployments.length = 0;
    greenOf(demo.sandbox.world.databases[1]);
    expect(await reasonsOf('rds.deleteBlueGreen', { name })).toContain('has nothing to do with demo');
  });
});

describe('a switchover', () => {
  test('is asked for once though its answer is lost', async () => {
    const deployment = greenOf();
    const plan = await demo.plan('rds.switchoverBlueGreen', { name });
    demo.proxy.treat = once(isSwitchover, 'lose-answer');
    const performed = await demo.perform('rds.switchoverBlueGreen', plan);
    expect(performed).toMatchObject({ acts: 1, outputs: { engineVersion: '17.4' }, passed: { 'aws-unreachable': 1 } });
    expect(performed.outputs.outage).toEqual({ measured: false, reason: 'no probe is configured' });
    expect([deployment.switchovers, deployment.green.name, deployment.blue.name]).toEqual([1, 'demo', 'demo-old1']);
    expect(deployment.blue.instances.map((instance) => instance.name)).toEqual(['demo-a-old1', 'demo-b-old1', 'demo-c-old1']);
  });

  test('that RDS rolls back is stuck with its words, and asked for once more when a person has it tried again', async () => {
    const deployment = greenOf();
    deployment.switchoverFails = true;
    const plan = await demo.plan('rds.switchoverBlueGreen', { name });
    const failure = await failureOf(demo.perform('rds.switchoverBlueGreen', plan, { context: { checkpoint: checkpointOf() } }));
    expect(failure).toMatchObject({
      code: 'action-stuck',
      message: expect.stringContaining('RDS says "Switchover timed out and was rolled back'),
    });
    expect([deployment.switchovers, database.name]).toEqual([1, 'demo']);
    await demo.perform('rds.switchoverBlueGreen', plan, { context: { retry: 1 } });
    expect([deployment.switchovers, database.name]).toEqual([2, 'demo-old1']);
  });

  test('is not begun where the world has changed since the plan', async () => {
    const deployment = greenOf();
    const plan = await demo.plan('rds.switchoverBlueGreen', { name });
    const bodies: string[] = [];
    demo.proxy.treat = (request) => (isSwitchover(request) && bodies.push(request.body), 'pass');
    const stuckFor = async (): Promise<string> => JSON.stringify(await failureOf(demo.perform('rds.switchoverBlueGreen', plan)));
    deployment.status = 'INVALID_CONFIGURATION';
    expect(await stuckFor()).toContain('is INVALID_CONFIGURATION');
    deployment.status = 'AVAILABLE';
    Object.assign(deployment, { id: 'bgd-another' });
    expect(await stuckFor()).toContain('is gone, or another one of its name');
    Object.assign(database, { resourceId: 'cluster-ANOTHER' });
    expect(await stuckFor()).toContain('neither the blue nor the green one');
    expect([bodies.length, deployment.switchovers]).toEqual([0, 0]);
  });
});

test('of the old cluster a final snapshot stays, and somebody who protects it in the meantime stops its deletion', async () => {
  const deployment = greenOf();
  deployment.finishSwitchover();
  deployment.blue.isProtected = false;
  const plan = await demo.plan('rds.deleteBlueGreen', { name });
  const isLast = ({ body }: ProxiedRequest): boolean => body.includes('Action=DeleteDBInstance');
  demo.proxy.treat = (request) => {
    if (isLast(request)) deployment.blue.isProtected = true;
    return 'pass';
  };
  expect(await failureOf(demo.perform('rds.deleteBlueGreen', plan))).toMatchObject({
    message: expect.stringContaining('demo-old1 has deletion protection by now'),
  });
  deployment.blue.isProtected = false;
  demo.proxy.treat = () => 'pass';
  const { outputs } = await demo.perform('rds.deleteBlueGreen', plan);
  expect(outputs.finalSnapshot).toMatch(/^demo-final-[0-9a-f]{12}$/);
  expect(deployment.green.snapshots).toMatchObject([{ name: outputs.finalSnapshot, resourceId: deployment.blue.resourceId }]);
  expect([deployment.blue.isGone, deployment.green.isGone, deployment.green.status]).toEqual([true, false, 'available']);
});

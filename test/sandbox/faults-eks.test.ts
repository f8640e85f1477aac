import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DescribeSubnetsCommand, EC2Client } from '@aws-sdk/client-ec2';
import {
  CreateNodegroupCommand,
  DeleteNodegroupCommand,
  DescribeNodegroupCommand,
  EKSClient,
  InvalidRequestException,
  ListNodegroupsCommand,
  ResourceNotFoundException,
  ServerException,
  ThrottlingException,
  UpdateNodegroupConfigCommand,
  type CreateNodegroupCommandInput,
} from '@aws-sdk/client-eks';
import { createCloud } from '../../sandbox/cloud.ts';
import type { FaultSettings } from '../../sandbox/faults.ts';
import { startSandbox } from '../../sandbox/server.ts';
import { demoWorld } from '../../sandbox/worlds/demo.ts';
import { eventually, startEks, type EksFixture } from './eks-fixture.ts';

const blue = { clusterName: 'demo', nodegroupName: 'blue' };
const describeBlue = new DescribeNodegroupCommand(blue);
let fixture: EksFixture;

beforeEach(async () => {
  fixture = await startEks({ speed: 50 });
});

afterEach(() => fixture.stop());

function send(command: DescribeNodegroupCommand) {
  return fixture.client.send(command);
}

async function greenInput(): Promise<CreateNodegroupCommandInput> {
  const { nodegroup } = await send(describeBlue);
  return { clusterName: 'demo', nodegroupName: 'green', subnets: nodegroup?.subnets, nodeRole: nodegroup?.nodeRole };
}

async function namesOfGroups(): Promise<string[]> {
  return (await fixture.client.send(new ListNodegroupsCommand({ clusterName: 'demo' }))).nodegroups ?? [];
}

/** What so many requests in turn end with: the name of an error, or `ok`. */
async function outcomes(count: number): Promise<string[]> {
  const found: string[] = [];
  for (let index = 0; index < count; index++) {
    found.push(
      await send(describeBlue).then(
        () => 'ok',
        (error: unknown) => (error instanceof Error ? error.name : String(error)),
      ),
    );
  }
  return found;
}

describe('one armed fault', () => {
  test('throttles the next request that it names, and no other', async () => {
    fixture.faults.next({ operation: 'DescribeNodegroup', kind: 'throttle' });
    expect(await namesOfGroups()).toEqual(['blue']);
    const refusal = await send(describeBlue).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ThrottlingException);
    expect(refusal).toMatchObject({ message: 'Rate exceeded', $metadata: { httpStatusCode: 400 } });
    expect((await send(describeBlue)).nodegroup?.status).toBe('ACTIVE');
    expect(fixture.observer.summary().counters.faults).toEqual({ throttle: 1 });
  });

  test('hits as many requests as it is armed for', async () => {
    fixture.faults.next({ kind: 'error', times: 2 });
    await expect(send(describeBlue)).rejects.toThrow(ServerException);
    await expect(namesOfGroups()).rejects.toThrow(ServerException);
    expect(await namesOfGroups()).toEqual(['blue']);
  });

  test('an SDK that tries again gets over it', async () => {
    fixture.faults.next({ kind: 'error' });
    const patient = new EKSClient({
      endpoint: fixture.url,
      region: 'eu-central-1',
      maxAttempts: 3,
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    });
    expect((await patient.send(describeBlue)).$metadata.attempts).toBe(2);
    patient.destroy();
  });

  test('a lost reply: the change is made, and the same token finds it done', async () => {
    const input = { ...(await greenInput()), clientRequestToken: 'run-1/green' };
    fixture.faults.next({ operation: 'CreateNodegroup', kind: 'replyLost' });
    await expect(fixture.client.send(new CreateNodegroupCommand(input))).rejects.toThrow('socket hang up');
    expect(await namesOfGroups()).toEqual(['blue', 'green']);
    expect((await fixture.client.send(new CreateNodegroupCommand(input))).nodegroup?.nodegroupName).toBe('green');
    expect(fixture.observer.summary().violations).toEqual([]);
  });

  test('a lost reply to a deletion, which has no token: whoever looks finds it under way', async () => {
    fixture.faults.next({ operation: 'DeleteNodegroup', kind: 'replyLost' });
    await expect(fixture.client.send(new DeleteNodegroupCommand(blue))).rejects.toThrow('socket hang up');
    expect((await send(describeBlue)).nodegroup?.status).toBe('DELETING');
  });

  test('a time-out: the client gives up, and nothing was changed', async () => {
    fixture.faults.next({ operation: 'DeleteNodegroup', kind: 'timeout' });
    const abortSignal = AbortSignal.timeout(100);
    await expect(fixture.client.send(new DeleteNodegroupCommand(blue), { abortSignal })).rejects.toMatchObject({ name: 'AbortError' });
    expect((await send(describeBlue)).nodegroup?.status).toBe('ACTIVE');
  });

  test('a time-out ends for a client without patience of its own, too', async () => {
    fixture.faults.set({ rate: 0, timeoutMs: 60 });
    fixture.faults.next({ kind: 'timeout' });
    const begun = performance.now();
    await expect(send(describeBlue)).rejects.toThrow('socket hang up');
    expect(performance.now() - begun).toBeGreaterThanOrEqual(55);
  });

  test('a delay holds the answer back, no more', async () => {
    fixture.faults.set({ rate: 0, delayMs: 80 });
    fixture.faults.next({ kind: 'delay' });
    const begun = performance.now();
    expect((await send(describeBlue)).nodegroup?.status).toBe('ACTIVE');
    expect(performance.now() - begun).toBeGreaterThanOrEqual(75);
  });

  test('what no request can meet waits, up to a limit', () => {
    for (let index = 0; index < 100; index++) fixture.faults.next({ operation: 'DescribeNodegroup', kind: 'watchCut' });
    expect(() => fixture.faults.next({ kind: 'error' })).toThrow('100 faults are armed, which is the limit');
  });
});

describe('a stale read', () => {
  beforeEach(() => fixture.faults.set({ rate: 0, staleMs: 300_000 }));

  test('does not know of a node group that has just been made; the next read does', async () => {
    await fixture.client.send(new CreateNodegroupCommand(await greenInput()));
    const describeGreen = new DescribeNodegroupCommand({ ...blue, nodegroupName: 'green' });
    fixture.faults.next({ operation: 'ListNodegroups', kind: 'staleRead' });
    fixture.faults.next({ operation: 'DescribeNodegroup', kind: 'staleRead' });
    expect(await namesOfGroups()).toEqual(['blue']);
    await expect(send(describeGreen)).rejects.toThrow(ResourceNotFoundException);
    expect((await send(describeGreen)).nodegroup?.status).toBe('CREATING');
  });

  test('shows a node group as it was before it changed, with all that belongs to it', async () => {
    const labels = { addOrUpdateLabels: { color: 'blue' } };
    await fixture.client.send(new UpdateNodegroupConfigCommand({ ...blue, labels }));
    fixture.faults.next({ operation: 'DescribeNodegroup', kind: 'staleRead' });
    expect((await send(describeBlue)).nodegroup).toMatchObject({ status: 'ACTIVE', labels: { tier: 'general' } });
    expect((await send(describeBlue)).nodegroup).toMatchObject({ status: 'UPDATING', labels: { tier: 'general', color: 'blue' } });
  });

  test('is never older than it may be', async () => {
    fixture.faults.set({ rate: 0, staleMs: 5_000 });
    await fixture.client.send(new DeleteNodegroupCommand(blue));
    const changedAt = fixture.clock.now().getTime();
    await eventually('six simulated seconds', () => (fixture.clock.now().getTime() - changedAt > 6_000 ? true : undefined));
    fixture.faults.next({ operation: 'DescribeNodegroup', kind: 'staleRead' });
    expect((await send(describeBlue)).nodegroup?.status).toBe('DELETING');
  });
});

describe('faults by chance', () => {
  test('the same seed and the same requests meet the same faults, whatever else is asked between them', async () => {
    const settings: FaultSettings = { rate: 0.5, kinds: ['throttle', 'error', 'replyLost'], seed: 11 };
    fixture.faults.set(settings);
    const first = await outcomes(30);
    fixture.faults.set(settings);
    const second: string[] = [];
    for (let index = 0; index < 30; index++) {
      await namesOfGroups().catch(() => undefined);
      second.push(...(await outcomes(1)));
    }
    expect(second).toEqual(first);
    expect(new Set(first).size).toBeGreaterThanOrEqual(4);
    fixture.faults.set({ ...settings, seed: 12 });
    expect(await outcomes(30)).not.toEqual(first);
  });

  test('as many requests go wrong as the rate says', async () => {
    fixture.faults.set({ rate: 0.2, kinds: ['error'] });
    const wrong = (await outcomes(300)).filter((outcome) => outcome !== 'ok').length;
    expect(wrong).toBeGreaterThan(40);
    expect(wrong).toBeLessThan(80);
    expect(fixture.observer.summary().counters.faults).toEqual({ error: wrong });
  });

  test('EKS throttles in its two ways', async () => {
    fixture.faults.set({ rate: 1, kinds: ['throttle'] });
    expect(new Set(await outcomes(20))).toEqual(new Set(['ThrottlingException', 'InvalidRequestException']));
    const refusals = await Promise.all(Array.from({ length: 20 }, () => send(describeBlue).catch((error: unknown) => error)));
    const other = refusals.find((refusal) => refusal instanceof InvalidRequestException);
    expect(other).toMatchObject({ message: 'Request limit exceeded.', $metadata: { httpStatusCode: 400 } });
  });

  test('only the operations and the side that are named go wrong', async () => {
    fixture.faults.set({ rate: 1, kinds: ['error'], operations: ['ListNodegroups'] });
    expect(await outcomes(3)).toEqual(['ok', 'ok', 'ok']);
    await expect(namesOfGroups()).rejects.toThrow(ServerException);
    fixture.faults.set({ rate: 1, kinds: ['error'], only: 'writes' });
    expect(await namesOfGroups()).toEqual(['blue']);
    await expect(fixture.client.send(new DeleteNodegroupCommand(blue))).rejects.toThrow(ServerException);
    fixture.faults.set({ rate: 1, kinds: ['error'], only: 'reads' });
    await fixture.client.send(new DeleteNodegroupCommand(blue));
    await expect(namesOfGroups()).rejects.toThrow(ServerException);
  });

  test.each([
    [{ rate: 2 }, 'rate: '],
    [{ rate: 0.1, kinds: ['meteor'] }, 'kinds.0: '],
    [{ rate: 0.1, kind: ['error'] }, 'Unrecognized key: "kind"'],
  ])('settings that mean nothing are refused by name: %j', (settings, name) => {
    expect(() => fixture.faults.set(settings)).toThrow(name);
  });
});

test('EC2 answers wrongly in its own words, and keeps no connection', async () => {
  const sandbox = await startSandbox({ seed: demoWorld, cloud: (world) => createCloud(world).handle, faults: { rate: 0, timeoutMs: 50 } });
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
  const ec2 = new EC2Client({ region: 'eu-central-1', endpoint: sandbox.url, maxAttempts: 1, credentials });
  const ask = () => ec2.send(new DescribeSubnetsCommand({}));
  const kinds = ['throttle', 'error', 'timeout', 'replyLost'] as const;
  for (const kind of kinds) sandbox.world.faults.next({ operation: 'DescribeSubnets', kind });
  await expect(ask()).rejects.toMatchObject({ name: 'RequestLimitExceeded', $metadata: { httpStatusCode: 503 } });
  await expect(ask()).rejects.toMatchObject({ name: 'InternalError', $metadata: { httpStatusCode: 500 } });
  await expect(ask()).rejects.toThrow('socket hang up');
  await expect(ask()).rejects.toThrow('socket hang up');
  expect((await ask()).Subnets).toHaveLength(3);
  expect(sandbox.world.observer.summary().counters.faults).toEqual({ throttle: 1, error: 1, timeout: 1, replyLost: 1 });
  ec2.destroy();
  await sandbox.stop();
});

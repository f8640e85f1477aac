import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { DescribeAlarmsCommand } from '@aws-sdk/client-cloudwatch';
import { DescribeSubnetsCommand } from '@aws-sdk/client-ec2';
import { DescribeClusterCommand } from '@aws-sdk/client-eks';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { createClients } from '../../activities/clients.ts';
import { openBucket } from '../../activities/storage/bucket.ts';

interface TimedHandler {
  updateHttpClientConfig(name: 'requestTimeout', timeoutMs: number): void;
}

const region = 'eu-central-1';
const timeoutMs = 200;
let silent: Server;
let requests = 0;
beforeAll(async () => {
  silent = createServer(() => (requests += 1));
  await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve));
  process.env.AWS_ENDPOINT_URL = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
});
afterAll(() => {
  silent.closeAllConnections();
  silent.close();
});

test.each([
  ['EKS', () => ({ client: createClients().eks(region), command: new DescribeClusterCommand({ name: 'demo' }) })],
  ['EC2', () => ({ client: createClients().ec2(region), command: new DescribeSubnetsCommand({}) })],
  ['CloudWatch', () => ({ client: createClients().cloudwatch(region), command: new DescribeAlarmsCommand({}) })],
  ['S3', () => ({ client: openBucket({ bucket: 'b', region }).client, command: new GetObjectCommand({ Bucket: 'b', Key: 'k' }) })],
])(
  '%s: a server that takes requests and never answers is given up after some tries',
  async (_name, make) => {
    const { client: made, command } = make();
    const client = await made;
    // As it is but for the time.
    (client.config.requestHandler as unknown as TimedHandler).updateHttpClientConfig('requestTimeout', timeoutMs);
    requests = 0;
    const send = client.send.bind(client) as (sent: unknown) => Promise<unknown>;
    await expect(send(command)).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(requests).toBeGreaterThan(1);
    client.destroy();
  },
  20_000,
);

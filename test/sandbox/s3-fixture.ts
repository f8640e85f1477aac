import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { S3Client } from '@aws-sdk/client-s3';
import type { BucketSeed } from '../../sandbox/s3/buckets.ts';
import { createS3Handler, type S3Handler } from '../../sandbox/s3/handler.ts';

export interface ServedS3 extends S3Handler {
  url: string;
  client: S3Client;
  stop(): Promise<void>;
}

/** What a process needs in its environment to reach the S3 of a test, and nothing outside of this machine. */
export function s3Environment(url: string): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: url,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_REGION: 'eu-central-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  };
}

/** Serves the sandbox's S3 on a free port. */
export async function serveS3(...buckets: BucketSeed[]): Promise<ServedS3> {
  const s3 = createS3Handler(buckets);
  const server = createServer(s3.handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const client = new S3Client({ endpoint: url, region: 'eu-central-1', credentials, forcePathStyle: true });
  return {
    ...s3,
    url,
    client,
    stop: () => {
      client.destroy();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

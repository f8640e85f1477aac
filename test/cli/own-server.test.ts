import { readFile } from 'node:fs/promises';
import { afterEach, expect, test } from '@jest/globals';
import { startEnvironment, type EnvironmentCluster } from '../../cli/environment.ts';
import { connectTemporal, temporalSettings } from '../../client/connection.ts';
import { readKeyFile } from '../../client/keys.ts';
import { loadConfiguration } from '../../runbooks/configuration/configuration.ts';

/** As somebody has them who works with another server all day. */
const ofAnotherServer = {
  TEMPORAL_NAMESPACE: 'orders.a1b2c',
  TEMPORAL_API_KEY: 'hush',
  TEMPORAL_TLS_SERVER_NAME: 'elsewhere',
  TEMPORAL_PROFILE: 'prod',
};
const before = { ...process.env };

afterEach(() => {
  for (const name of Object.keys(ofAnotherServer)) delete process.env[name];
  Object.assign(process.env, before);
});

const noCluster: EnvironmentCluster = { env: {}, clusters: {}, broken: new Promise(() => undefined), stop: async () => undefined };

// Where a running server is named, there is none of our own.
const testWithOwn = process.env.TEMPORAL_ADDRESS ? test.skip : test;

testWithOwn('a demo has a Temporal server of its own, whatever is set for another one', async () => {
  Object.assign(process.env, ofAnotherServer);
  const { signal } = new AbortController();
  const environment = await startEnvironment({ startCluster: async () => noCluster, report: () => undefined, signal });
  try {
    const settings = temporalSettings({ ...process.env, ...environment.env });
    expect(settings).toMatchObject({ address: environment.env.TEMPORAL_ADDRESS, namespace: 'default' });
    expect(settings.access?.options.tls).toBe(false);
    // What its worker writes is signed, with a key that its holdpoint.yaml has.
    const { HOLDPOINT_WORKER_KEY: keyFile = '', HOLDPOINT_CONFIG: file = '' } = environment.env;
    const { configuration } = loadConfiguration(await readFile(file, 'utf8'), file);
    expect(configuration?.workers).toMatchObject({ demo: { key: (await readKeyFile(keyFile)).publicKey } });
    const client = await connectTemporal(settings);
    await client.connection.close();
  } finally {
    await environment.stop();
  }
});

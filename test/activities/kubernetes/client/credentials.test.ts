import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { EKSClient } from '@aws-sdk/client-eks';
import { stsHost } from '../../../../activities/eks/cluster-access.ts';
import { credentialSourceOf, RenewedCredential, type Credential } from '../../../../activities/kubernetes/client/credentials.ts';
import { connectToCluster } from '../../../../activities/kubernetes/client/kubeconfig.ts';
import { failureOf } from '../../../support/cluster.ts';

const start = new Date('2026-11-27T12:00:00Z');

/** A source whose credentials live a minute, with how often it was asked. */
function sourceOf(give: (count: number) => Credential | Error): { source: () => Promise<Credential>; asked: () => number } {
  let count = 0;
  const source = async (): Promise<Credential> => {
    count += 1;
    const given = give(count);
    if (given instanceof Error) throw given;
    return given;
  };
  return { source, asked: () => count };
}

/** A plugin that says that before it fails. */
function failing(words: string): { command: string; args: string[] } {
  return { command: process.execPath, args: ['-e', `console.error('${words}'); process.exit(1)`] };
}

describe('a credential that expires', () => {
  beforeEach(() => {
    jest.useFakeTimers({ now: start, doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const livesAMinute = (count: number): Credential => ({ token: `t${count}`, expiresAtMs: Date.now() + 60_000 });
  const after = (seconds: number): void => void jest.setSystemTime(start.getTime() + seconds * 1000);

  test('is fetched once for all who ask at the same time, and kept', async () => {
    const { source, asked } = sourceOf(livesAMinute);
    const renewed = new RenewedCredential(source);
    const all = await Promise.all([renewed.current(), renewed.current(), renewed.current()]);
    expect(all.map(({ token }) => token)).toEqual(['t1', 't1', 't1']);
    after(44);
    expect(await renewed.current()).toMatchObject({ token: 't1' });
    expect(asked()).toBe(1);
  });

  test('is renewed when a quarter of its life is left', async () => {
    const renewed = new RenewedCredential(sourceOf(livesAMinute).source);
    await renewed.current();
    after(46);
    expect(await renewed.current()).toMatchObject({ token: 't2' });
  });

  test('is used to its end where it cannot be renewed, and then the reason is told', async () => {
    const renewed = new RenewedCredential(sourceOf((count) => (count === 1 ? livesAMinute(1) : new Error('no session'))).source);
    await renewed.current();
    after(50);
    expect(await renewed.current()).toMatchObject({ token: 't1' });
    after(61);
    await expect(renewed.current()).rejects.toThrow('no session');
  });

  test('is not used again after a refusal; one that has been renewed since is', async () => {
    const { source, asked } = sourceOf(livesAMinute);
    const renewed = new RenewedCredential(source);
    const first = await renewed.current();
    renewed.refuse(first);
    expect(await renewed.current()).toMatchObject({ token: 't2' });
    renewed.refuse(first);
    expect(await renewed.current()).toMatchObject({ token: 't2' });
    expect(asked()).toBe(2);
  });

  test('is kept until a refusal where nothing says when it expires', async () => {
    const { source, asked } = sourceOf((count) => ({ token: `t${count}` }));
    const renewed = new RenewedCredential(source);
    await renewed.current();
    after(7 * 86_400);
    expect(await renewed.current()).toMatchObject({ token: 't1' });
    expect(asked()).toBe(1);
  });
});

describe('where credentials come from', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdpoint-credentials-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test('the token file of a pod is read anew, as the kubelet replaces it', async () => {
    const tokenFile = join(directory, 'token');
    await writeFile(tokenFile, 'first\n');
    const source = credentialSourceOf({ name: 'pod', authProvider: { name: 'tokenFile', config: { tokenFile } } }, null);
    expect(await source?.()).toMatchObject({ token: 'first' });
    await writeFile(tokenFile, 'second\n');
    const again = await source?.();
    expect(again?.token).toBe('second');
    expect((again?.expiresAtMs ?? 0) - Date.now()).toBeLessThanOrEqual(60_000);
  });

  test('tokenFile and a plugin with a relative path are looked for beside the kubeconfig', async () => {
    const shown: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      shown.push(request.headers.authorization);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ kind: 'NodeList', apiVersion: 'v1', metadata: {}, items: [] }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await writeFile(join(directory, 'token'), 'of-the-file\n');
    const plugin = `#!${process.execPath}\nconsole.log(JSON.stringify({ status: { token: 'of-the-plugin' } }));\n`;
    await writeFile(join(directory, 'plugin.cjs'), plugin, { mode: 0o700 });
    const kubeconfig = join(directory, 'kubeconfig');
    const users = [
      { name: 'file', user: { tokenFile: 'token' } },
      { name: 'plugin', user: { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: './plugin.cjs' } } },
    ];
    const contexts = users.map(({ name }) => ({ name, context: { cluster: 'k', user: name } }));
    const clusters = [{ name: 'k', cluster: { server: url } }];
    await writeFile(kubeconfig, JSON.stringify({ apiVersion: 'v1', kind: 'Config', clusters, users, contexts }));
    try {
      for (const context of ['file', 'plugin']) {
        await (await connectToCluster({ kubeconfig, context }, {})).request('GET', '/api/v1/nodes');
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
    expect(shown).toEqual(['Bearer of-the-file', 'Bearer of-the-plugin']);
  });

  test('a plugin is told of the cluster where it wants to know, and may give a certificate', async () => {
    const script = `
      const { spec } = JSON.parse(process.env.KUBERNETES_EXEC_INFO);
      const status = { clientCertificateData: spec.cluster.server, clientKeyData: process.env.MORE };
      console.log(JSON.stringify({ status }));`;
    const exec = { command: process.execPath, args: ['-e', script], env: [{ name: 'MORE', value: 'key' }], provideClusterInfo: true };
    const source = credentialSourceOf({ name: 'u', exec }, { name: 'k', server: 'https://k.example.com', skipTLSVerify: false });
    expect(await source?.()).toMatchObject({ certificate: 'https://k.example.com', key: 'key' });
  });

  test.each([
    [
      'there is no such program',
      { command: 'holdpoint-no-such-plugin' },
      /^the credential plugin holdpoint-no-such-plugin has failed: .*ENOENT/,
    ],
    [
      'it fails, without its secrets and with nothing that a terminal obeys',
      failing('token=abc123 \\u001b[8m Authorization: Bearer xyz, eyJhbGciOi.eyJzdWIi and ' + 'k'.repeat(64)),
      /has failed: token=\(left out\) \\x1b\[8m Authorization: \(left out\), \(left out\) and \(left out\)$/,
    ],
    ['it fails with very many words', failing('no '.repeat(10_000)), /has failed: (no )+n?o?… \(\d+ characters\)$/],
    ['it gives nothing', { command: process.execPath, args: ['-e', 'console.log("{}")'] }, /gives neither a token nor a certificate$/],
  ])('a plugin is told where %s', async (_title, exec, message) => {
    await expect(credentialSourceOf({ name: 'u', exec }, null)?.()).rejects.toThrow(message);
  });

  test('inCluster needs a pod around the worker', async () => {
    expect(await failureOf(connectToCluster({ inCluster: true }, {}))).toMatchObject({
      code: 'kubeconfig-invalid',
      message: 'The service account of the pod cannot be used: the worker does not run in a pod: KUBERNETES_SERVICE_HOST is not set.',
      remedy: 'Give the cluster a `kubeconfig` and a `context` in holdpoint.yaml, or run the worker in the cluster.',
    });
  });

  test.each([
    ['eu-central-1', 'sts.eu-central-1.amazonaws.com'],
    ['cn-north-1', 'sts.cn-north-1.amazonaws.com.cn'],
    ['us-gov-west-1', 'sts.us-gov-west-1.amazonaws.com'],
    ['us-iso-east-1', 'sts.us-iso-east-1.c2s.ic.gov'],
    ['eusc-de-east-1', 'sts.eusc-de-east-1.amazonaws.eu'],
  ])('the token for EKS in %s is a call of %s', (region, host) => {
    const eks = new EKSClient({ region });
    expect(stsHost(eks, region)).toBe(host);
    eks.destroy();
  });
});

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Report } from '../../domain/preflight/preflight.ts';
import { createCloud, type Cloud } from '../../sandbox/cloud.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { useEnvironment } from '../support/cluster.ts';
import { cleanCluster, plantedCluster, plantedFindings } from '../support/planted-problems.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { runCommandWith } from '../support/run-command.ts';

const planted = 'eks/eu-central-1/planted';
const clean = 'eks/eu-central-1/clean';
let sandbox: Sandbox;
let proxy: Proxy;
let cloud: Cloud | undefined;
let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'holdpoint-check-'));
  sandbox = await startSandbox({
    seed: { clusters: [cleanCluster, plantedCluster] },
    speed: 1,
    randomSeed: 7,
    cloud: (world) => (cloud = createCloud(world)).handle,
  });
  proxy = await startProxy(sandbox.url);
  sandbox.world.baseUrl = proxy.url;
  useEnvironment(proxy.url);
  cloud?.setNodegroupIssue('planted', 'old', { code: 'AsgInstanceLaunchFailures', message: 'no capacity', resourceIds: [] });
});

afterAll(async () => {
  await proxy.stop();
  await sandbox.stop();
  await rm(home, { recursive: true, force: true });
});

async function call(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { HOME: home, HOLDPOINT_CONFIG: join(home, 'holdpoint.yaml'), KUBECONFIG: join(home, 'kubeconfig') };
  const { code, stdout: out, stderr: err } = await runCommandWith({ env, stdin: Readable.from([]) }, 'check', ...argv);
  return { code, out, err };
}

async function configure(waivers: object[] = []): Promise<void> {
  const document = { apiVersion: 'holdpoint.dev/v1', kind: 'Configuration', people: {}, groups: {}, policies: {}, waivers };
  await writeFile(join(home, 'holdpoint.yaml'), JSON.stringify(document), { mode: 0o600 });
}

const reportOf = ({ out }: { out: string }): Report => JSON.parse(out) as Report;

test('A clean cluster has no finding, and every problem of a planted one is found, and nothing else.', async () => {
  await configure();
  const sound = await call(clean, '--to', '1.34', '--json');
  expect(reportOf(sound).findings).toEqual([]);
  expect(reportOf(sound).notChecked).toEqual([]);
  expect(sound.code).toBe(0);

  const subnets = reportOf(await call(planted, '--json')).findings.filter(({ check }) => check === 'node-addresses');
  expect(subnets).toEqual([]);
  const found = await call(planted, '--json');
  expect(found.code).toBe(7);
  const names = reportOf(found).findings.map(({ name }) => name);
  expect(names.sort()).toEqual(plantedFindings.filter((name) => !name.startsWith('control-plane-addresses')));
  expect(proxy.requests.filter((made) => !/^GET |insights$/.test(made) && made !== 'POST /')).toEqual([]);
  // What is packed in releases, annotations and commands stays there.
  expect(found.out + found.err).not.toContain('hunter2');
});

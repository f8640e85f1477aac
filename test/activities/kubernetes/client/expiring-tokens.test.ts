import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { contextOfLook, type AnyAction } from '../../../../activities/action.ts';
import { createSystems } from '../../../../activities/catalogue.ts';
import { createClients, type Clients } from '../../../../activities/clients.ts';
import { perform, type Performance } from '../../../../activities/perform.ts';
import { actionsOf } from '../../../../activities/system.ts';
import { budget, deployment } from '../../../sandbox/kubernetes-fixture.ts';
import { startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';
import { startTokenServer, type TokenServer } from '../../../support/token-server.ts';

/** Real ones live 15 minutes and more; what matters is that a drain outlives several. */
const tokenLifetimeMs = 2_000;
const tokensOutlived = 2;
const plugin = fileURLToPath(new URL('../../../support/token-plugin.mjs', import.meta.url));
const context = contextOfLook({ run: 'r-1', step: 's', target: { kind: 'kubernetes', region: '', name: 'behind-tokens' }, retry: 0 });

let demo: TestCluster;
let server: TokenServer;
let directory: string;
let clients: Clients;
let drain: AnyAction;

beforeEach(async () => {
  demo = await startCluster(worldWith([deployment('web', 6), budget('web', { maxUnavailable: 1 })]));
  server = await startTokenServer(`${demo.sandbox.url}/kubernetes/demo`);
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-tokens-'));
  const kubeconfig = join(directory, 'kubeconfig');
  await writeFile(kubeconfig, JSON.stringify(kubeconfigFor(server.url)));
  clients = createClients({ clusters: async () => ({ 'behind-tokens': { kubeconfig, context: 'c' } }) });
  drain = actionsOf(createSystems(clients)).get('kubernetes.drain')!;
});

afterEach(async () => {
  await server.stop();
  await demo.stop();
  await rm(directory, { recursive: true, force: true });
});

function kubeconfigFor(url: string): object {
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    interactiveMode: 'Never',
    command: process.execPath,
    args: [plugin, String(tokenLifetimeMs)],
  };
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'k', cluster: { server: url } }],
    users: [{ name: 'u', user: { exec } }],
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
  };
}

async function drainFirstNode(): Promise<Performance> {
  const [node = ''] = await demo.nodeNames();
  const plan = await drain.plan({ nodes: [node] }, context);
  expect(plan.blockers).toEqual([]);
  return perform(drain, plan, context, {
    onProgress: () => undefined,
    signal: AbortSignal.timeout(50_000),
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  });
}

test('a drain outlives its tokens: they are renewed, and the watches that end with them are opened again', async () => {
  server.isBusy = () => (server.watches.get('/api/v1/pods') ?? 0) <= tokensOutlived;
  await drainFirstNode();
  expect(server.tokens.size).toBeGreaterThan(tokensOutlived);
  expect(server.watches.get('/api/v1/pods')).toBeGreaterThan(tokensOutlived);
  const [node = ''] = await demo.nodeNames();
  expect((await demo.pods()).filter(({ spec }) => spec?.nodeName === node)).toEqual([]);
  expect(demo.report().violations).toEqual([]);
}, 60_000);

test('a drain goes on with another token where the one it had is revoked before its time', async () => {
  let isRevoked = false;
  server.beforeEviction = () => {
    if (!isRevoked) server.revoke();
    isRevoked = true;
  };
  await drainFirstNode();
  expect(server.refusals).toBeGreaterThan(0);
  expect(demo.report().violations).toEqual([]);
}, 60_000);

test('a plugin that fails is told with its own words, and may be tried again', async () => {
  const kubeconfig = join(directory, 'failing');
  const failing = kubeconfigFor(server.url) as { users: { user: { exec: { args: string[] } } }[] };
  failing.users[0]!.user.exec.args = ['-e', 'console.error("secret=1\\nsession has ended"); process.exit(3)'];
  await writeFile(kubeconfig, JSON.stringify(failing));
  clients = createClients({ clusters: async () => ({ 'behind-tokens': { kubeconfig, context: 'c' } }) });
  const action = actionsOf(createSystems(clients)).get('kubernetes.cordon')!;
  await expect(action.plan({ nodes: ['a'] }, context)).rejects.toMatchObject({
    code: 'kubernetes-unreachable',
    consequence: 'retry',
    message: expect.stringMatching(/the credential plugin \S+ has failed: session has ended\.$/) as unknown,
  });
});

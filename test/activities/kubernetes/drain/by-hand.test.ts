import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DrainByHand } from '../../../../activities/kubernetes/drain/by-hand.ts';
import type { KubeconfigOptions } from '../../../../activities/kubernetes/client/kubeconfig.ts';
import { deployment } from '../../../sandbox/kubernetes-fixture.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';

const secret = 'tok-3f9a-very-secret';

let demo: TestCluster;
let directory: string;
let names: string[];

beforeEach(async () => {
  demo = await startCluster(worldWith([deployment('web', 4)]));
  names = await demo.nodeNames();
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-kubeconfig-'));
});

afterEach(async () => {
  await demo.stop();
  await rm(directory, { recursive: true, force: true });
});

const server = (): string => `${demo.proxy.url}/kubernetes/demo`;

/** Writes a kubeconfig with one cluster, one user and one context, all of the same name. */
async function kubeconfig(name: string, user: object = {}, at = server(), current = name): Promise<string> {
  const file = join(directory, `${name}.kubeconfig`);
  const config = {
    clusters: [{ name, cluster: { server: at } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': current,
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

const preview = (options: Partial<KubeconfigOptions>, nodes = names.slice(0, 1), settings = {}) =>
  DrainByHand.plan({ names: nodes }, settings, { env: { HOME: directory }, ...options });

describe('the preview of a drain', () => {
  test('is the plan that the action makes, and only reads.', async () => {
    const wanted = await demo.plan('kubernetes.drain', { nodes: names, nodesAtOnce: 2, alsoCordoned: true }, { run: '' });
    demo.proxy.requests.splice(0);
    const { cluster, server: seen, plan } = await preview({ kubeconfig: await kubeconfig('demo') }, names, { nodesAtOnce: 2 });
    expect([cluster, seen, plan]).toEqual(['demo', server(), wanted]);
    expect(plan.effects.length).toBeGreaterThan(names.length);
    const asksOnly = /^(GET|WATCH) |^POST .*\/selfsubjectaccessreviews$/;
    expect(demo.proxy.requests.filter((request) => !asksOnly.test(request))).toEqual([]);
  });

  test('finds the kubeconfig where kubectl does.', async () => {
    const [one, other] = [await kubeconfig('one'), await kubeconfig('other')];
    const both = { KUBECONFIG: [one, other].join(delimiter) };
    expect((await preview({ env: both })).cluster).toBe('one');
    expect((await preview({ env: both, context: 'other' })).cluster).toBe('other');
    expect((await preview({ env: both, kubeconfig: other })).cluster).toBe('other');
    await mkdir(join(directory, '.kube'));
    await writeFile(join(directory, '.kube', 'config'), JSON.stringify({ clusters: [], contexts: [], users: [], 'current-context': 'x' }));
    expect(await failureOf(preview({}))).toMatchObject({
      message: `The kubeconfig ${join(directory, '.kube', 'config')} cannot be used: it has no context "x". There are: none.`,
    });
  });

  test('asks the plugin that the kubeconfig names for credentials.', async () => {
    const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token: secret } };
    const plugin = join(directory, 'plugin.mjs');
    await writeFile(plugin, `process.stdout.write(${JSON.stringify(JSON.stringify(credential))});`);
    const exec = { apiVersion: credential.apiVersion, command: process.execPath, args: [plugin], interactiveMode: 'Never' };
    const { plan } = await preview({ kubeconfig: await kubeconfig('demo', { exec }) });
    expect(plan.details.nodes).toEqual(names.slice(0, 1));
    const broken = { ...exec, command: join(directory, 'no-such-plugin') };
    expect(await failureOf(preview({ kubeconfig: await kubeconfig('demo', { exec: broken }) }))).toMatchObject({
      code: 'kubernetes-unreachable',
      message: expect.stringContaining('no-such-plugin'),
    });
  });

  test('says which nodes there are not, and which were meant.', async () => {
    const [first = '', second = ''] = names;
    const short = first.split('.')[0] ?? '';
    expect(await failureOf(preview({ kubeconfig: await kubeconfig('demo') }, [short, second, `${second}x`, 'elsewhere']))).toEqual({
      code: 'node-unknown',
      message: `The cluster demo has no node ${short}, ${second}x, elsewhere. Did you mean "${first}", "${second}"?`,
      remedy: 'Check the name, and whether it has gone since; `kubectl get nodes` shows what is there.',
    });
  });

  test('is refused where the user may not read.', async () => {
    const message = 'nodes is forbidden: User "me" cannot list resource "nodes" in API group "" at the cluster scope';
    demo.proxy.treat = () => ({ status: 403, body: JSON.stringify({ kind: 'Status', code: 403, reason: 'Forbidden', message }) });
    expect(await failureOf(preview({ kubeconfig: await kubeconfig('demo') }))).toMatchObject({
      code: 'kubernetes-denied',
      message: `The Kubernetes API of demo refused list nodes: ${message}.`,
    });
  });

  test('is blocked where the user may not evict, and names the user.', async () => {
    demo.cluster.access.forbid('', 'pods/eviction', 'create');
    const { plan } = await preview({ kubeconfig: await kubeconfig('demo') });
    expect(plan.blockers).toEqual([
      {
        object: 'Permission/pods/eviction',
        reason: 'User "demo" of the kubeconfig may not create pods/eviction in all namespaces.',
        remedy: expect.stringMatching(/^Add this rule to the ClusterRole of user "demo" of the kubeconfig, then plan again: \{.*"create"/),
      },
    ]);
  });

  test('is refused where nobody answers.', async () => {
    const file = await kubeconfig('demo', {}, 'http://127.0.0.1:1');
    expect(await failureOf(preview({ kubeconfig: file }))).toMatchObject({
      code: 'kubernetes-unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });
});

describe('a kubeconfig that cannot be used', () => {
  const causeOf = async (options: Partial<KubeconfigOptions>): Promise<string> => {
    const { code, message } = await failureOf(preview(options));
    expect(code).toBe('kubeconfig-invalid');
    return message.replaceAll(directory, '');
  };

  test.each([
    ['is missing', undefined, 'there is no such file.'],
    ['is empty', '', expect.any(String)],
    ['is no YAML', `users: [{ name: me, user: { token: ${secret} }`, expect.any(String)],
    ['is a list', '- a', expect.any(String)],
    ['names no current context', '{ clusters: [], contexts: [], users: [] }', 'it names no current context, and none was asked for.'],
    [
      'leads to no server',
      '{ clusters: [], contexts: [{ name: a, context: { cluster: b, user: c } }], users: [], current-context: a }',
      'its context "a" leads to the cluster "b", of which it says no server.',
    ],
  ])('because it %s', async (_why, text, cause) => {
    const file = join(directory, 'config');
    if (text !== undefined) await writeFile(file, text);
    const said = await causeOf({ kubeconfig: file });
    expect(said).toMatch(/^The kubeconfig \/config cannot be used: .+\.$/);
    expect(said.replace(/^.*cannot be used: /, '')).toEqual(cause);
    expect(said).not.toContain(secret);
  });

  test('because there is none', async () => {
    expect(await causeOf({})).toBe('The kubeconfig cannot be used: there is none: neither KUBECONFIG nor ~/.kube/config.');
  });

  test('because it has no such context', async () => {
    const file = await kubeconfig('staging');
    expect(await causeOf({ kubeconfig: file, context: 'stagin' })).toContain('it has no context "stagin". Did you mean "staging"?');
    expect(await causeOf({ kubeconfig: file, context: 'production' })).toContain('it has no context "production". There are: staging.');
  });
});

test('A drain by hand begins with what its plan has read: pods are listed once, and then only those of its nodes.', async () => {
  const planned = await preview({ kubeconfig: await kubeconfig('demo') });
  // What has happened since the plan, the watch tells.
  const [other] = (await demo.pods()).filter(({ spec }) => spec?.nodeName !== names[0]);
  await demo.others.core.deleteNamespacedPod({ namespace: 'shop', name: other?.metadata?.name ?? '', gracePeriodSeconds: 0 });
  const surroundings = { recordFile: join(directory, 'record.jsonl'), uncordon: false, onProgress: () => undefined };
  const end = await planned.carryOut('begins', { ...surroundings, signal: AbortSignal.timeout(60_000) });
  expect(end).toMatchObject({ outcome: 'done', passed: {} });
  const lists = demo.proxy.requests.filter((line) => line.includes('/pods?limit='));
  expect(lists.filter((line) => !line.includes('fieldSelector'))).toHaveLength(1);
  expect((await demo.pods()).filter(({ spec }) => spec?.nodeName === names[0])).toEqual([]);
});

import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startSandbox } from '../../sandbox/server.ts';
import type { Sandbox } from '../../sandbox/server.ts';
import { demoWorld } from '../../sandbox/worlds/demo.ts';
import { until } from './kubernetes-fixture.ts';

const present = spawnSync('kubectl', ['version', '--client']).status === 0;
const describeWithKubectl = present ? describe : describe.skip;
const title = present ? 'kubectl' : 'kubectl (left out: there is none on PATH)';

describeWithKubectl(title, () => {
  let sandbox: Sandbox;
  let home: string;

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'kubectl-'));
    sandbox = await startSandbox({ seed: demoWorld, speed: 50 });
  });

  afterAll(async () => {
    await sandbox.stop();
    await rm(home, { recursive: true, force: true });
  });

  function options(args: string[]): { args: string[]; env: NodeJS.ProcessEnv } {
    const connection = ['--server', `${sandbox.url}/kubernetes/demo`, '--cache-dir', join(home, 'cache')];
    return { args: [...connection, ...args], env: { PATH: process.env.PATH, HOME: home } };
  }

  /** Runs kubectl to its end; fails with what it said if it fails. */
  function kubectl(...words: string[]): Promise<string> {
    const { args, env } = options(words);
    return new Promise((resolve, reject) => {
      execFile('kubectl', args, { env, timeout: 50_000 }, (error, stdout, stderr) => {
        if (error) reject(new Error(`kubectl ${words.join(' ')} failed: ${stderr}`));
        else resolve(stdout);
      });
    });
  }

  async function nodeNames(): Promise<string[]> {
    const names = await kubectl('get', 'nodes', '-o', 'name');
    return names
      .trim()
      .split('\n')
      .map((name) => name.slice('node/'.length));
  }

  test('gets nodes and pods as tables', async () => {
    const nodes = (await kubectl('get', 'nodes'))
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/));
    expect(nodes[0]).toEqual(['NAME', 'STATUS', 'ROLES', 'AGE', 'VERSION']);
    const states = nodes.slice(1).map(([, status, , , version]) => `${status ?? ''} ${version ?? ''}`);
    expect(states).toEqual(Array.from({ length: 6 }, () => 'Ready v1.33.3-eks-99bf8d4'));
    const pods = (await kubectl('get', 'pods', '-A', '-o', 'wide')).trim().split('\n');
    expect(pods[0]).toMatch(/^NAMESPACE +NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES$/);
    expect(pods.slice(1).every((line) => / 1\/1 +Running /.test(line))).toBe(true);
    expect(await kubectl('get', 'pdb', '-n', 'shop', 'catalog')).toMatch(/^catalog +80% +N\/A +1 /m);
    expect(await kubectl('get', 'deploy,sts', '-n', 'payments')).toMatch(/^statefulset.apps\/ledger-db +3\/3 /m);
  });

  test('watches pods as they are replaced', async () => {
    const { args, env } = options(['get', 'pods', '-n', 'payments', '-l', 'app=ledger-db', '-w']);
    const watching = spawn('kubectl', args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    watching.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    await until('the three pods', () => output.trim().split('\n').length === 4);
    await kubectl('delete', 'pod', '-n', 'payments', 'ledger-db-2', '--wait=false');
    const again = /ledger-db-2 +1\/1 +Terminating[\s\S]*ledger-db-2 +0\/1 +ContainerCreating[\s\S]*ledger-db-2 +1\/1 +Running/;
    await until('the pod to run again', () => again.test(output));
    expect(output.match(/^NAME /gm)).toHaveLength(1);
    const closed = new Promise((resolve) => watching.once('close', resolve));
    watching.kill();
    await closed;
  });

  test('applies, rolls out, scales and deletes a deployment', async () => {
    const file = join(home, 'web.json');
    const labels = { app: 'web' };
    const template = (image: string): object => ({ metadata: { labels }, spec: { containers: [{ name: 'main', image }] } });
    const web = (image: string): string =>
      JSON.stringify({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web', namespace: 'shop' },
        spec: { replicas: 2, selector: { matchLabels: labels }, template: template(image) },
      });
    await writeFile(file, web('main:1'));
    expect(await kubectl('apply', '-f', file)).toBe('deployment.apps/web created\n');
    expect(await kubectl('apply', '-f', file)).toBe('deployment.apps/web unchanged\n');
    const mistaken = join(home, 'mistaken.json');
    await writeFile(mistaken, web('main:1').replace('replicas', 'replicaz').replace('"web"', '"other"'));
    await expect(kubectl('apply', '-f', mistaken)).rejects.toThrow('strict decoding error: unknown field "spec.replicaz"');
    await writeFile(file, web('main:2'));
    expect(await kubectl('apply', '-f', file)).toBe('deployment.apps/web configured\n');
    expect(await kubectl('rollout', 'status', '-n', 'shop', 'deployment/web')).toContain('successfully rolled out');
    const images = ['-o', 'jsonpath={.items[*].spec.containers[0].image}'];
    expect(await kubectl('get', 'pods', '-n', 'shop', '-l', 'app=web', ...images)).toBe('main:2 main:2');
    expect(await kubectl('scale', '-n', 'shop', 'deployment/web', '--replicas=0')).toBe('deployment.apps/web scaled\n');
    expect(await kubectl('delete', '-n', 'shop', 'deployment/web')).toBe('deployment.apps "web" deleted\n');
  });

  test('creates from the command line, as protobuf, and explains kinds and fields', async () => {
    const create = (...words: string[]): Promise<string> => kubectl('create', '-n', 'shop', ...words);
    expect(await create('deployment', 'tool', '--image=tool:1', '--replicas=2')).toBe('deployment.apps/tool created\n');
    expect(await create('pdb', 'tool', '--selector=app=tool', '--min-available=0')).toBe('poddisruptionbudget.policy/tool created\n');
    expect(await create('secret', 'generic', 'tool', '--from-literal=a=b')).toBe('secret/tool created\n');
    const seen = await kubectl('get', '-n', 'shop', 'pdb/tool', 'secret/tool', '-o', 'jsonpath={.items[0].spec}{.items[1].data}');
    expect(seen).toBe('{"minAvailable":0,"selector":{"matchLabels":{"app":"tool"}}}{"a":"Yg=="}');
    await kubectl('wait', '-n', 'shop', '--for=condition=Available', 'deployment/tool', '--timeout=30s');
    expect(await kubectl('explain', 'pods.spec.containers')).toMatch(/FIELD: containers <\[\]Container>[^]*image\s+<string>/);
    await kubectl('delete', '-n', 'shop', 'deployment/tool', 'pdb/tool', 'secret/tool');
  });

  test('reports a pod under two budgets when draining, and takes the cordon back', async () => {
    const file = join(home, 'second.json');
    const spec = { minAvailable: 1, selector: { matchLabels: { app: 'cart' } } };
    const metadata = { name: 'second', namespace: 'shop' };
    await writeFile(file, JSON.stringify({ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec }));
    await kubectl('apply', '-f', file);
    const node = await kubectl('get', 'pods', '-n', 'shop', '-l', 'app=cart', '-o', 'jsonpath={.items[0].spec.nodeName}');
    const draining = kubectl('drain', node, '--ignore-daemonsets', '--pod-selector=app=cart', '--timeout=10s');
    await expect(draining).rejects.toThrow('This pod has more than one PodDisruptionBudget, which the eviction subresource');
    await kubectl('delete', 'pdb', 'second', '-n', 'shop');
    await kubectl('uncordon', node);
  });

  test('drains two nodes of one zone under tight budgets and breaks none', async () => {
    const nodes = (await nodeNames()).slice(0, 2);
    for (const node of nodes) await kubectl('cordon', node);
    const flags = ['--ignore-daemonsets', '--delete-emptydir-data', '--timeout=45s'];
    const drained = await Promise.all(nodes.map((node) => kubectl('drain', node, ...flags)));
    expect(drained.map((output) => output.trim().split('\n').at(-1))).toEqual(nodes.map((node) => `node/${node} drained`));
    const left = await kubectl('get', 'pods', '-A', '--field-selector', `spec.nodeName=${nodes[0] ?? ''}`, '-o', 'name');
    expect(
      left
        .trim()
        .split('\n')
        .map((name) => name.replace(/-[a-z0-9]+$/, ''))
        .sort(),
    ).toEqual(['pod/aws-node', 'pod/log-agent']);
    expect(await kubectl('get', 'nodes')).toMatch(/Ready,SchedulingDisabled/);
    const { violations, counters } = sandbox.world.observer.summary();
    expect(violations).toEqual([]);
    expect(counters.evictionsGranted).toBeGreaterThan(10);
    await until('all evicted pods to have moved', () => sandbox.world.observer.summary().counters.podsMoved === counters.evictionsGranted);
    for (const node of nodes) await kubectl('uncordon', node);
    expect(await kubectl('get', 'nodes')).not.toMatch(/SchedulingDisabled/);
    expect(sandbox.world.observer.summary().counters.foreignCordonsLifted).toBe(0);
  });
});

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { cachedKubernetes } from '../../lab/kubernetes-binaries.ts';
import { isExecutable, onPath } from '../../lab/temporal-binary.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { worldOf } from '../sandbox/kubernetes-fixture.ts';
import { labKubeconfig } from './real-world.ts';
import { podTemplate } from './world.ts';

/** Fast enough that nobody waits; kubectl asks for what has happened once a second or so. */
const speed = 20;
const commandTimeoutMs = 60_000;

/** A kubectl of the release that the lab runs: where somebody has built k8s.io/kubernetes/cmd/kubectl and put it into the cache. */
const newer = cachedKubernetes('kube-apiserver', process.env).replace('kube-apiserver', 'kubectl');

/** Where kubectl is, in this order: of the machine, and of the release of the lab. */
const programs = [await onPath('kubectl', process.env), (await isExecutable(newer)) ? newer : undefined].filter(
  (path) => path !== undefined,
);

/** By a label that no other file of the lab gives: `kubectl drain` looks for pods in all namespaces, and others leave some. */
function manifest(replicas: number): string {
  const template = podTemplate('parcel', { readinessSeconds: 0.5 });
  const metadata = { name: 'parcel', labels: { app: 'parcel' } };
  const spec = { replicas, selector: { matchLabels: { app: 'parcel' } }, template };
  return JSON.stringify({ apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec });
}

const images = ['-o', 'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image}'];

/** What people do with a cluster, one after another; FILE and MISTAKE are manifests, NODE is where a pod of parcel is. */
const commands: string[][] = [
  ['create', 'deployment', 'tool', '--image=tool:1', '--replicas=0'],
  ['get', 'deployment', 'tool', ...images],
  ['create', 'pdb', 'parcel', '--selector=app=parcel', '--max-unavailable=1'],
  ['create', 'job', 'once', '--image=once:1'],
  ['create', 'service', 'clusterip', 'parcel', '--tcp=80:8080'],
  ['create', 'secret', 'generic', 'key', '--from-literal=a=b'],
  ['get', 'secret', 'key', '-o', 'jsonpath={.data}'],
  ['apply', '-f', 'FILE'],
  ['rollout', 'status', 'deployment/parcel', '--timeout=50s'],
  ['apply', '-f', 'FILE'],
  ['apply', '-f', 'MISTAKE'],
  ['scale', 'deployment/parcel', '--replicas=3'],
  ['wait', '--for=condition=Available', 'deployment/parcel', '--timeout=50s'],
  ['wait', '--for=jsonpath={.status.readyReplicas}=3', 'deployment/parcel', '--timeout=50s'],
  ['get', 'deployment', 'parcel', '--subresource=scale', '-o', 'jsonpath={.spec.replicas}'],
  ['get', 'pods', '-l', 'app=parcel', '--no-headers', '-o', 'custom-columns=PHASE:.status.phase'],
  ['get', 'endpointslices', '-l', 'kubernetes.io/service-name=parcel', '-o', 'jsonpath={.items[*].endpoints[*].conditions.ready}'],
  ['describe', 'deployment', 'parcel'],
  ['describe', 'pdb', 'parcel'],
  ['events', '--for', 'deployment/parcel'],
  ['explain', 'pods.spec.containers.imagePullPolicy'],
  ['explain', 'poddisruptionbudgets.spec.nonsense'],
  ['drain', 'NODE', '--ignore-daemonsets', '--pod-selector=app=parcel', '--timeout=50s'],
  ['uncordon', 'NODE'],
  ['rollout', 'restart', 'deployment/parcel'],
  ['rollout', 'status', 'deployment/parcel', '--timeout=50s'],
  ['delete', 'deployment/parcel', 'pdb/parcel', 'svc/parcel', 'job/once'],
];

/** Names, times and what is said while something goes on are those of a world; what is left is what was done and how things are. */
function essential(command: readonly string[], text: string, names: Readonly<Record<string, string>>): string[] {
  const lines = Object.entries(names)
    .reduce((all, [word, name]) => (name === '' ? all : all.replaceAll(name, word)), text)
    .split('\n')
    .map((line) =>
      line
        .trim()
        .replace(/\b(parcel|once)(-[a-z0-9]+){1,2}\b/g, '$1-POD')
        .replaceAll(/ {2,}/g, '  '),
    )
    .filter((line) => line !== '' && !/^(Waiting for|evicting pod|I\d{4}|E\d{4}|error when evicting)/.test(line));
  if (command[0] === 'describe')
    return lines.filter((line) => /^(Name|Selector|Replicas|StrategyType|Max unavailable|Status|Available)\b/.test(line));
  if (command[0] === 'events') return [...new Set(lines.slice(1).map((line) => line.replace(/^\S+ /, '').replace(/POD.*$/, 'POD')))];
  if (command[0] === 'explain') return lines.filter((line) => /^(KIND|VERSION|FIELD|error)/.test(line));
  if (command[0] === 'delete') return lines.map((line) => line.replace(/ from \S+ namespace$/, ''));
  return lines.sort();
}

describe('kubectl says the same of the sandbox as of a real control plane', () => {
  let sandbox: Sandbox;
  let home: string;

  beforeAll(async () => {
    sandbox = await startSandbox({ seed: worldOf([], 3), speed, randomSeed: 7 });
    home = await mkdtemp(join(tmpdir(), 'kubectl-'));
    await writeFile(join(home, 'parcel.json'), manifest(2));
    await writeFile(join(home, 'mistake.json'), manifest(2).replace('"replicas"', '"replicaz"').replaceAll('"parcel"', '"other"'));
  });

  afterAll(async () => {
    await sandbox.stop();
    await rm(home, { recursive: true, force: true });
  });

  function run(program: string, args: string[]): Promise<string> {
    return new Promise((resolve) => {
      execFile(program, args, { env: { PATH: process.env.PATH, HOME: home }, timeout: commandTimeoutMs }, (_error, stdout, stderr) =>
        resolve(`${stdout}\n${stderr}`),
      );
    });
  }

  /** Runs all commands in a namespace of their own, and gives what is essential of what each has said. */
  async function session(program: string, connection: readonly string[]): Promise<string[][]> {
    const namespace = `kubectl-${crypto.randomUUID().slice(0, 8)}`;
    const kubectl = (words: readonly string[]): Promise<string> => run(program, [...connection, '--namespace', namespace, ...words]);
    await kubectl(['create', 'namespace', namespace]);
    const said: string[][] = [];
    let node = '';
    for (const command of commands) {
      if (node === '' && command.includes('NODE')) {
        node = (await kubectl(['get', 'pods', '-l', 'app=parcel', '-o', 'jsonpath={.items[0].spec.nodeName}'])).trim();
      }
      const real: Record<string, string> = { FILE: join(home, 'parcel.json'), MISTAKE: join(home, 'mistake.json'), NODE: node };
      const text = await kubectl(command.map((word) => real[word] ?? word));
      said.push([command.join(' '), ...essential(command, text, { ...real, NAMESPACE: namespace })]);
    }
    await kubectl(['delete', 'namespace', namespace, '--wait=false']);
    return said;
  }

  test.each(programs.map((path) => [path]))('%s', async (program) => {
    const [real, simulated] = await Promise.all([
      session(program, ['--kubeconfig', labKubeconfig(), '--cache-dir', join(home, 'real')]),
      session(program, ['--server', `${sandbox.url}/kubernetes/test`, '--cache-dir', join(home, 'sandbox')]),
    ]);
    expect(simulated).toEqual(real);
    expect(real.flat().join('\n')).toContain('node/NODE drained');
  });
});

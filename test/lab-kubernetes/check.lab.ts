import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Report } from '../../domain/preflight/preflight.ts';
import { findKubernetes } from '../../lab/kubernetes-binaries.ts';
import { startControlPlane, type ControlPlane } from '../../lab/kubernetes.ts';
import { createAll, nodeManifests, untilSettled, type Manifest } from '../../lab/workloads.ts';
import { plantedFindings, plantedManifests, plantedWebhooks, sound, soundWebhook } from '../support/planted-problems.ts';
import { runCommandWith } from '../support/run-command.ts';
import { never, until } from './world.ts';

const shop = 'shop';
const other = '1.35';
const newer = '1.37';
const managed = { 'eks.amazonaws.com/nodegroup': 'blue' };

let plane: ControlPlane;
let home: string;
// It counts every object of the cluster, so it shares none.
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'holdpoint-check-lab-'));
  plane = await startControlPlane({ binaries: await findKubernetes(() => undefined) });
});
afterAll(async () => {
  await plane.stop();
  await rm(home, { recursive: true, force: true });
});

async function check(): Promise<{ code: number; report: Report; out: string }> {
  const env = { HOME: home };
  const argv = ['kubernetes/lab', '--kubeconfig', plane.kubeconfig, '--json'];
  const { code, stdout, stderr } = await runCommandWith({ env, stdin: Readable.from([]) }, 'check', ...argv);
  if (stdout === '') throw new Error(stderr);
  return { code, out: stdout, report: JSON.parse(stdout) as Report };
}

/** A node that differs from a sound one in what it tells of itself. */
function node(prefix: string, labels: Record<string, string>, nodeInfo: object = {}, bootSeconds = 0): Manifest {
  const [made] = nodeManifests({ count: 1, prefix, labels, bootSeconds });
  if (!made) throw new Error('no node was made');
  const { nodeInfo: info, ...status } = made.status as { nodeInfo: object };
  return { ...made, status: { ...status, nodeInfo: { ...info, ...nodeInfo } } };
}

const plantedNodes: readonly Manifest[] = [
  node('old', managed, { kubeletVersion: 'v1.32.9' }),
  node('lost', managed, {}, never),
  node('whale', managed, { containerRuntimeVersion: 'docker://20.10.25' }),
  node('early', managed, { kubeletVersion: 'v1.37.0' }),
  node('small', managed, { containerRuntimeVersion: 'containerd://1.7.27' }),
];
const nodeFindings = [
  'container-runtime:Nodes/containerd-1',
  'container-runtime:Nodes/docker',
  'kubelet-skew:Nodes/kubelet-1.32',
  'kubelet-skew:Nodes/kubelet-1.37',
  'node-not-ready:Node/lost-0',
];
/** What EKS and EC2 tell is of no cluster of the lab. */
const ofAws = /^(amazon|control-plane|insight|launch-template|node-kind|nodegroup)/;

/** A custom kind whose objects were stored in a version that is not served any more, as it comes about. */
async function plantCustomKind(): Promise<void> {
  const names = { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' };
  const schema = { openAPIV3Schema: { type: 'object' } };
  const versions = (stored: string): object[] =>
    ['v1', 'v1alpha1'].map((name) => ({ name, served: name === 'v1' || stored === name, storage: name === stored, schema }));
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const metadata = { name: 'widgets.example.com' };
  const definition = (stored: string): object => ({ group: 'example.com', scope: 'Namespaced', names, versions: versions(stored) });
  expect(await plane.request('POST', path, { metadata, spec: definition('v1alpha1') })).toMatchObject({ status: 201 });
  const merge = 'application/merge-patch+json';
  expect(await plane.request('PATCH', `${path}/${metadata.name}`, { spec: definition('v1') }, merge)).toMatchObject({ status: 200 });
}

test('on a real control plane, none of what is sound is found, and of 30 planted problems each is found, and nothing else', async () => {
  await createAll(plane.request, [...nodeManifests({ count: 3, labels: managed }), ...sound]);
  await untilSettled(plane.request, { namespace: shop });
  await createAll(plane.request, [soundWebhook]);
  const clean = await check();
  expect([clean.code, clean.report.findings, clean.report.notChecked]).toEqual([0, [], []]);

  // The webhooks of the lab are served by nobody: with them no pod is made.
  const webhook = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/sound';
  expect(await plane.request('DELETE', webhook)).toMatchObject({ status: 200 });
  await createAll(plane.request, [...plantedNodes, ...plantedManifests({ other, newer })]);
  await plantCustomKind();
  await until('the budget to be counted', async () => {
    const { body } = await plane.request('GET', `/apis/policy/v1/namespaces/${shop}/poddisruptionbudgets/kept`);
    return (body?.status as { currentHealthy?: number } | undefined)?.currentHealthy === 2;
  });
  await createAll(plane.request, [soundWebhook, ...plantedWebhooks]);
  const { code, report, out } = await check();
  const expected = [...plantedFindings.filter((name) => !ofAws.test(name)), ...nodeFindings].sort();
  expect(expected).toHaveLength(30);
  expect(report.findings.map(({ name }) => name).sort()).toEqual(expected);
  expect([code, report.version, report.toVersion, report.notChecked]).toEqual([7, '1.36', newer, []]);
  // What is packed in releases, annotations and commands stays there.
  expect(out).not.toContain('hunter2');
});

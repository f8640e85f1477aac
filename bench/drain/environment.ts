import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildWhereStale } from '../../lab/build.ts';
import { startControlPlane, type ControlPlane } from '../../lab/kubernetes.ts';
import { kubeconfigOf } from '../../lab/kubernetes-access.ts';
import { findKubernetes, kubernetesVersions } from '../../lab/kubernetes-binaries.ts';
import { certificateOf } from './certificate.ts';
import { contenders, kubectlFlags, type Contender } from './contenders.ts';
import { startCountingProxy, type CountingProxy } from './counting-proxy.ts';
import { startPodFates, type PodFates } from './pod-fates.ts';
import { namespace } from './scenarios.ts';

const runFile = promisify(execFile);

/** A control plane, the proxy in front of it, and the contenders that go through the proxy. */
export interface Environment {
  plane: ControlPlane;
  proxy: CountingProxy;
  podFates: PodFates;
  contenders: Contender[];
  versions: Record<string, string>;
  stop(): Promise<void>;
}

/** Starts it. KUBECTL names a kubectl other than that of the PATH. */
export async function startEnvironment(report: (sentence: string) => void): Promise<Environment> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const directory = await mkdtemp(join(tmpdir(), 'holdpoint-drain-'));
    stops.push(() => rm(directory, { recursive: true, force: true }));
    await buildWhereStale();
    const plane = await startControlPlane({ binaries: await findKubernetes(report) });
    stops.push(() => plane.stop());
    const certificate = await certificateOf(plane);
    const proxy = await startCountingProxy(plane.server, certificate);
    stops.push(() => proxy.stop());
    await plane.request('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    const podFates = await startPodFates(plane.request, certificate);
    stops.push(() => podFates.stop());
    const kubeconfig = join(directory, 'kubeconfig');
    await writeFile(kubeconfig, kubeconfigOf({ ...plane, server: proxy.url }), { mode: 0o600 });
    const kubectl = process.env.KUBECTL ?? 'kubectl';
    const versions = {
      kubectl: await versionOf(kubectl, kubectlFlags(directory, kubeconfig)),
      kubernetes: kubernetesVersions.kubernetes,
      kwok: kubernetesVersions.kwok,
      node: process.version,
    };
    return { plane, proxy, podFates, contenders: contenders({ kubectl, directory, kubeconfig }), versions, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Asks the server too, so that kubectl has its cache. */
async function versionOf(kubectl: string, flags: readonly string[]): Promise<string> {
  await runFile(kubectl, [...flags, 'get', 'nodes']);
  const { stdout } = await runFile(kubectl, [...flags, 'version', '--client', '--output=json']);
  return (JSON.parse(stdout) as { clientVersion: { gitVersion: string } }).clientVersion.gitVersion;
}

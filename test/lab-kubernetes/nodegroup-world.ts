import { readKubeconfig, requester } from '../../lab/kubernetes-access.ts';
import { untilSettled, workloadManifests, type WorkloadOptions } from '../../lab/workloads.ts';
import { startExternalSandbox } from '../../sandbox/external/sandbox.ts';
import type { Sandbox } from '../../sandbox/server.ts';
import { worldWith } from '../support/cluster.ts';
import { send, type Door } from './raw.ts';
import { labKubeconfig } from './real-world.ts';
import { inPool, type PodSeen } from './world.ts';

export const namespace = 'shop';
/** Nodes of a node group start in simulated time, their pods in real time. */
const speed = 50;

const workloads: WorkloadOptions[] = [
  { name: 'web', namespace, replicas: 12, budget: { maxUnavailable: 1 } },
  { name: 'cart', namespace, replicas: 6, budget: { minAvailable: '80%' } },
  { name: 'db', namespace, replicas: 3, kind: 'StatefulSet', budget: { maxUnavailable: 1 } },
  { name: 'batch', namespace, replicas: 4 },
];
/** What the budgets come to, worked out by hand: 12 - 1, 80 % of 6 rounded up, 3 - 1. */
export const needed = { web: 11, cart: 5, db: 2 };

/** Starts the EKS of a cluster whose node group `blue` has its six nodes in the real cluster, and waits until its pods are Ready. */
export async function startNodegroupWorld(): Promise<Sandbox> {
  const kubeconfig = labKubeconfig();
  // On the nodes of the node group only: other tests have nodes of their own in the same cluster.
  const manifests = inPool(
    workloads.flatMap((workload) => workloadManifests({ ...workload, readinessSeconds: 0.5, shutdownSeconds: 0.3 })),
    { pool: 'general' },
  );
  const sandbox = await startExternalSandbox({
    seed: worldWith(manifests, { nodes: 6 }),
    speed,
    randomSeed: 7,
    kubeconfig,
    report: () => undefined,
  });
  await untilSettled(requester(await readKubeconfig(kubeconfig)), { namespace });
  return sandbox;
}

/** The names of the nodes of a node group, in the real cluster. */
export async function nodesOfGroup(door: Door, nodegroup: string): Promise<string[]> {
  const { body } = await send(door, 'GET', `/api/v1/nodes?labelSelector=eks.amazonaws.com%2Fnodegroup%3D${nodegroup}`);
  return (body.items as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
}

export async function podsOn(door: Door, nodes: readonly string[]): Promise<PodSeen[]> {
  const { body } = await send(door, 'GET', `/api/v1/namespaces/${namespace}/pods`);
  return (body.items as PodSeen[]).filter(({ spec }) => nodes.includes(spec.nodeName ?? ''));
}

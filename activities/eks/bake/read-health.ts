import type { V1ContainerStatus, V1Pod } from '@kubernetes/client-node';
import type { Health, PodOfBake, WorkloadOfBake } from '../../../domain/bake/bake.ts';
import type { Target } from '../../../domain/target.ts';
import { cut } from '../../../domain/visible.ts';
import type { Clients } from '../../clients.ts';
import { kinds, viewedAs } from '../../kubernetes/client/kinds.ts';
import type { Kind } from '../../kubernetes/client/list.ts';
import { apiServiceIsAvailable, listAll, listNodes, listUnlessDenied, nodeIsReady } from '../../kubernetes/client/read.ts';
import { podView, timeMs } from '../../kubernetes/drain/view.ts';

const reasonCharactersMax = 100;
/** Their pods end by themselves, and are no measure of how well a cluster is. */
const endsByItself = 'Job';

/** What a look shows, and what could not be read, in the plural. */
export interface HealthLook {
  health: Health;
  unread: string[];
}

/** Reads only. Throws `kubernetes-…` errors where nodes, pods, Deployments or StatefulSets cannot be read. */
export async function readHealth(clients: Clients, target: Target): Promise<HealthLook> {
  const apis = await clients.kubernetes(target);
  const unread: string[] = [];
  const list = <Item>(kind: Kind<Item>): Promise<Item[]> => listAll(apis, target.name, kind);
  const nodes = await listNodes(apis, target.name);
  const apiServices = await listUnlessDenied(apis, target.name, kinds.apiServices, unread);
  const pods = await list(viewedAs(kinds.pods, podOfBake));
  const deployments = await list(kinds.deployments);
  const statefulSets = await list(kinds.statefulSets);
  const daemonSets = await listUnlessDenied(apis, target.name, kinds.daemonSets, unread);
  const unwell = [
    ...nodes
      .filter((node) => !nodeIsReady(node))
      .map(({ metadata }) => ({ object: `Node/${metadata?.name ?? ''}`, reason: 'it is not Ready' })),
    ...apiServices
      .filter((api) => !apiServiceIsAvailable(api))
      .map(({ metadata }) => ({ object: `APIService/${metadata?.name ?? ''}`, reason: 'it is not Available' })),
  ];
  const workloads = [
    ...deployments.map((each) => workloadOf('Deployment', each)),
    ...statefulSets.map((each) => workloadOf('StatefulSet', each)),
    ...daemonSets.map(({ metadata, status }) => ({
      object: objectOf('DaemonSet', metadata),
      wanted: status?.desiredNumberScheduled ?? 0,
      ready: status?.numberReady ?? 0,
    })),
  ];
  return { health: { unwell, workloads, pods: pods.flatMap((pod) => pod ?? []) }, unread };
}

interface Replicated {
  metadata?: { namespace?: string; name?: string };
  spec?: { replicas?: number };
  status?: { readyReplicas?: number };
}

function workloadOf(kind: string, { metadata, spec, status }: Replicated): WorkloadOfBake {
  return { object: objectOf(kind, metadata), wanted: spec?.replicas ?? 1, ready: status?.readyReplicas ?? 0 };
}

function objectOf(kind: string, metadata: Replicated['metadata']): string {
  return `${kind}/${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;
}

/** Undefined for a pod that is not to run (any more). */
function podOfBake(pod: V1Pod): PodOfBake | undefined {
  const { namespace, name, phase, ready, terminating, owner, mirror } = podView(pod);
  if (terminating || phase === 'Succeeded' || phase === 'Failed' || owner?.kind === endsByItself) return undefined;
  const containers = pod.status?.containerStatuses ?? [];
  return {
    owner: owner === undefined || mirror ? `Pod/${namespace}/${name}` : `${owner.kind}/${namespace}/${owner.name}`,
    ready,
    waiting: containers.flatMap(({ state }) =>
      state?.waiting?.reason === undefined ? [] : [cut(state.waiting.reason, reasonCharactersMax)],
    ),
    restarts: containers.flatMap(restartOf),
  };
}

/** The kubelet keeps how a container ended the last time, and when. */
function restartOf({ lastState }: V1ContainerStatus): PodOfBake['restarts'] {
  const ended = lastState?.terminated;
  const atMs = timeMs(ended?.finishedAt);
  return ended === undefined || atMs === undefined ? [] : [{ atMs, reason: cut(ended.reason ?? 'unknown', reasonCharactersMax) }];
}

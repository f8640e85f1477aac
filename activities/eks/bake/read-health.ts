import type { V1ContainerStatus, V1Pod } from '@kubernetes/client-node';
import type { Health, PodOfBake, WorkloadOfBake } from '../../../domain/bake/bake.ts';
import type { Target } from '../../../domain/target.ts';
import { cut } from '../../../domain/visible.ts';
import type { Clients } from '../../clients.ts';
import { kubernetesCode, kubernetesError } from '../../failure.ts';
import { kinds, viewedAs } from '../../kubernetes/client/kinds.ts';
import { readPatiently, type Kind } from '../../kubernetes/client/list.ts';
import { apiServiceIsAvailable, listUnlessDenied, nodeIsReady } from '../../kubernetes/client/read.ts';
import { sharedList } from '../../kubernetes/client/shared-lists.ts';
import type { WatchedList } from '../../kubernetes/client/watched-list.ts';
import { podView, timeMs } from '../../kubernetes/drain/view.ts';
import { serverVersion } from '../../preflight/kubernetes-parts.ts';

const reasonCharactersMax = 100;
const readyzTimeoutMs = 15_000;
/** Their pods end by themselves, and are no measure of how well a cluster is. */
const endsByItself = 'Job';
const deniedCodes: readonly number[] = [401, 403, 404];

type Unwell = Health['unwell'][number];

/** What a look shows. */
export interface HealthLook {
  health: Health;
  /** The version that the API server says it has, such as `v1.34.1-eks-1`. */
  serverVersion: string;
  /** What could not be read, in the plural. */
  unread: string[];
}

// As much as a bake looks at; whoever follows the same kind of the same cluster shares one list.
const nodeKind = viewedAs(kinds.nodes, (node): Unwell | undefined =>
  nodeIsReady(node) ? undefined : { object: `Node/${node.metadata?.name ?? ''}`, reason: 'it is not Ready' },
);
const apiServiceKind = viewedAs(kinds.apiServices, (api): Unwell | undefined =>
  apiServiceIsAvailable(api) ? undefined : { object: `APIService/${api.metadata?.name ?? ''}`, reason: 'it is not Available' },
);
const podKind = viewedAs(kinds.pods, podOfBake);
const deploymentKind = viewedAs(kinds.deployments, (each): WorkloadOfBake => workloadOf('Deployment', each));
const statefulSetKind = viewedAs(kinds.statefulSets, (each): WorkloadOfBake => workloadOf('StatefulSet', each));
const daemonSetKind = viewedAs(kinds.daemonSets, ({ metadata, status }): WorkloadOfBake => {
  return {
    object: objectOf('DaemonSet', metadata),
    wanted: status?.desiredNumberScheduled ?? 0,
    ready: status?.numberReady ?? 0,
  };
});
const follower = { onChange: () => undefined, onFailure: () => undefined };

/** The health of a cluster, read once, or kept by watches from then on: ten thousand pods are not listed at each look. */
export class HealthReader {
  private readonly clients: Clients;
  private readonly target: Target;
  private readonly lists = new Map<object, WatchedList<unknown>>();

  private constructor(clients: Clients, target: Target) {
    this.clients = clients;
    this.target = target;
  }

  /** Reads only. Throws `kubernetes-…` errors where nodes, pods, Deployments or StatefulSets cannot be read. */
  static async open(clients: Clients, target: Target, { follow }: { follow: boolean }): Promise<HealthReader> {
    const reader = new HealthReader(clients, target);
    try {
      const { access } = await clients.kubernetes(target);
      for (const kind of [nodeKind, podKind, deploymentKind, statefulSetKind]) await reader.load(kind, follow ? access : {}, follow);
    } catch (error) {
      await reader.stop();
      throw error;
    }
    return reader;
  }

  /** What is known now, and how the API server answers. Throws `kubernetes-…` errors where the server has not answered for a while. */
  async look(): Promise<HealthLook> {
    const { readiness, unread } = await this.readiness();
    const apis = await this.clients.kubernetes(this.target);
    // There are few of these, and whoever may list them need not have the right to watch them.
    const few = <Item>(kind: Kind<Item>): Promise<Item[]> => listUnlessDenied(apis, this.target.name, kind, unread);
    const apiServices = (await few(apiServiceKind)).filter((one) => one !== undefined);
    const daemonSets = await few(daemonSetKind);
    const version = await serverVersion(apis, this.target.name);
    return {
      health: {
        unwell: [...readiness, ...this.itemsOf(nodeKind), ...apiServices],
        workloads: [...this.itemsOf(deploymentKind), ...this.itemsOf(statefulSetKind), ...daemonSets],
        pods: this.itemsOf(podKind),
      },
      serverVersion: version,
      unread,
    };
  }

  /** Ends the watches that nobody else follows. */
  async stop(): Promise<void> {
    await Promise.all([...this.lists.values()].map((list) => list.leave(follower)));
  }

  private async load(kind: Kind<unknown>, access: object, follow: boolean): Promise<void> {
    const { clients, target } = this;
    const list = sharedList({ access }, kind, target.name, () => clients.kubernetes(target));
    list.join(follower);
    this.lists.set(kind, list);
    await list.load();
    if (follow) list.follow();
  }

  private itemsOf<Item>(kind: Kind<Item>): NonNullable<Item>[] {
    const items = (this.lists.get(kind)?.items() ?? []) as Item[];
    return items.filter((item): item is NonNullable<Item> => item !== undefined);
  }

  /** What the API server says of itself (https://kubernetes.io/docs/reference/using-api/health-checks/). */
  private async readiness(): Promise<{ readiness: Unwell[]; unread: string[] }> {
    const apis = await this.clients.kubernetes(this.target);
    try {
      await readPatiently(async () => (await apis.open('/readyz', {}, AbortSignal.timeout(readyzTimeoutMs))).resume());
      return { readiness: [], unread: [] };
    } catch (error) {
      const code = kubernetesCode(error);
      if (code === undefined) throw kubernetesError(error, 'ask /readyz', this.target.name);
      if (deniedCodes.includes(code)) return { readiness: [], unread: ['answers of /readyz'] };
      return { readiness: [{ object: 'APIServer/readyz', reason: `it answers ${code}, not 200` }], unread: [] };
    }
  }
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

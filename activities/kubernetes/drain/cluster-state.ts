import type { V1Node, V1Pod } from '@kubernetes/client-node';
import type { BudgetView } from '../../../domain/drain/budget.ts';
import type { PodView } from '../../../domain/drain/pod.ts';
import type { AttachmentView } from '../../../domain/drain/volumes.ts';
import type { WorkloadView } from '../../../domain/drain/workload.ts';
import type { KubernetesApis } from '../client/connect.ts';
import { cordonState, runsAnnotating, turnBegan, turnStamp, type CordonState } from '../cordon/owner-annotation.ts';
import { nodeIsReady } from '../client/read.ts';
import { budgetView, deploymentView, podView, statefulSetView } from './view.ts';
import { attachmentView, claimedVolume, type ClaimedVolume } from './volumes.ts';
import { kinds, viewedAs } from '../client/kinds.ts';
import { readList, type Kind } from '../client/list.ts';
import { WatchedList } from '../client/watched-list.ts';

/** Looks are no closer together than this, however many changes there are; where one takes long, not much closer than it takes. */
const lookGapMs = 5;
const lookGapMaxMs = 50;
const zoneLabel = 'topology.kubernetes.io/zone';

/** A node as a run sees it. */
export interface NodeView {
  name: string;
  uid: string;
  zone: string;
  ready: boolean;
  cordon: CordonState;
  /** Whoever else has cordoned it, or drains it too, may be evicting from it just now. */
  isShared: boolean;
  /** When its drain by the run began, and the same by the clock of the API server. */
  turnBeganMs?: number;
  turnStampMs?: number;
  /** As much of it as marks are made of. */
  object: V1Node;
}

/** Everything that a drain looks at. */
export interface ClusterLook {
  nodes: NodeView[];
  pods: PodView[];
  budgets: BudgetView[];
  workloads: WorkloadView[];
  /** Both empty unless volumes are asked for. */
  attachments: AttachmentView[];
  volumes: ClaimedVolume[];
}

const budgetKind = viewedAs(kinds.budgets, budgetView);
const deploymentKind = viewedAs(kinds.deployments, deploymentView);
const statefulSetKind = viewedAs(kinds.statefulSets, statefulSetView);

/** Everything that a plan looks at, read once, with nodes and pods as they are on the wire. */
export interface ClusterReading {
  nodes: V1Node[];
  pods: V1Pod[];
  budgets: BudgetView[];
  workloads: WorkloadView[];
}

/** Reads what a plan needs to know of a cluster. Throws `kubernetes-…` errors. */
export async function readCluster(connect: () => Promise<KubernetesApis>, cluster: string): Promise<ClusterReading> {
  const read = async <Item>(kind: Kind<Item>): Promise<Item[]> => [...(await readList(kind, cluster, connect)).byKey.values()];
  const [nodes, pods, budgets, deployments, statefulSets] = await Promise.all([
    read(kinds.nodes),
    read(kinds.pods),
    read(budgetKind),
    read(deploymentKind),
    read(statefulSetKind),
  ]);
  return { nodes, pods, budgets, workloads: [...deployments, ...statefulSets] };
}

/** What a drain needs to know of a cluster, kept as it is by watches. */
export class ClusterState {
  private readonly nodeList: WatchedList<NodeView>;
  private readonly podList: WatchedList<PodView>;
  private readonly budgetList: WatchedList<BudgetView>;
  private readonly deploymentList: WatchedList<WorkloadView>;
  private readonly statefulSetList: WatchedList<WorkloadView>;
  private readonly attachmentList: WatchedList<AttachmentView> | undefined;
  private readonly volumeList: WatchedList<ClaimedVolume> | undefined;
  private isChanged = false;
  private wake: (() => void) | undefined;
  private lookedAtMs = 0;

  /** Cordons are seen from the run; persistent volumes are looked at only `withVolumes`. */
  constructor(connect: () => Promise<KubernetesApis>, cluster: string, run: string, withVolumes = false) {
    const list = <Item>(kind: Kind<Item>): WatchedList<Item> => new WatchedList(kind, cluster, connect, () => this.note());
    this.nodeList = list(viewedAs(kinds.nodes, (node) => nodeView(node, run)));
    this.podList = list(viewedAs(kinds.pods, podView));
    this.budgetList = list(budgetKind);
    this.deploymentList = list(deploymentKind);
    this.statefulSetList = list(statefulSetKind);
    if (!withVolumes) return;
    this.attachmentList = list(viewedAs(kinds.attachments, attachmentView));
    this.volumeList = list(viewedAs(kinds.volumes, claimedVolume));
  }

  /** Reads everything once. Throws `kubernetes-…` errors. */
  async load(): Promise<void> {
    await Promise.all(this.lists().map((list) => list.load()));
  }

  /** Keeps what has been loaded as it is, from now on. */
  follow(): void {
    for (const list of this.lists()) list.follow();
  }

  /** Reads anew what decides whether a drain is over. Throws `kubernetes-…` errors. */
  async refresh(): Promise<void> {
    await Promise.all([this.podList.refresh(), this.attachmentList?.refresh()]);
  }

  async refreshPods(): Promise<void> {
    await this.podList.refresh();
  }

  /** Everything as far as it is known. Throws the last error where the server has not answered for a while. */
  look(): ClusterLook {
    this.isChanged = false;
    this.lookedAtMs = performance.now();
    return {
      nodes: this.nodeList.items(),
      pods: this.podList.items(),
      budgets: this.budgetList.items(),
      workloads: [...this.deploymentList.items(), ...this.statefulSetList.items()],
      attachments: this.attachmentList?.items() ?? [],
      volumes: this.volumeList?.items() ?? [],
    };
  }

  /** UIDs of the pods that a node is known to have now. */
  podsOn(node: string): Set<string> {
    return new Set(
      this.podList
        .items()
        .filter((pod) => pod.node === node)
        .map(({ uid }) => uid),
    );
  }

  /** Something has happened that is worth another look. */
  note(): void {
    this.isChanged = true;
    this.wake?.();
  }

  /** Resolves when something has changed since the last look, when the time is over, or when the signal is aborted. */
  async changed(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const tookMs = performance.now() - this.lookedAtMs;
    if (!this.isChanged && !signal.aborted) await this.sleep(timeoutMs, signal, true);
    const restMs = this.lookedAtMs + Math.min(lookGapMaxMs, Math.max(lookGapMs, 2 * tookMs)) - performance.now();
    if (restMs > 0 && !signal.aborted) await this.sleep(restMs, signal, false);
  }

  async stop(): Promise<void> {
    await Promise.all(this.lists().map((list) => list.stop()));
  }

  private sleep(timeMs: number, signal: AbortSignal, canBeWoken: boolean): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        this.wake = undefined;
        resolve();
      };
      const timer = setTimeout(end, timeMs);
      signal.addEventListener('abort', end, { once: true });
      if (canBeWoken) this.wake = end;
    });
  }

  private lists(): WatchedList<unknown>[] {
    const { nodeList, podList, budgetList, deploymentList, statefulSetList, attachmentList, volumeList } = this;
    const all = [nodeList, podList, budgetList, deploymentList, statefulSetList, attachmentList, volumeList];
    return all.filter((list) => list !== undefined);
  }
}

/** A node seen from a run. */
export function nodeView(node: V1Node, run: string): NodeView {
  const cordon = cordonState(node, run);
  return {
    name: node.metadata?.name ?? '',
    uid: node.metadata?.uid ?? '',
    zone: node.metadata?.labels?.[zoneLabel] ?? '',
    ready: nodeIsReady(node),
    cordon,
    isShared: cordon === 'foreign' || runsAnnotating(node).some((other) => other !== run),
    turnBeganMs: turnBegan(node, run)?.getTime(),
    turnStampMs: turnStamp(node, run)?.getTime(),
    object: { metadata: node.metadata, spec: { unschedulable: node.spec?.unschedulable } },
  };
}

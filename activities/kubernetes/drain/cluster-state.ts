import type { V1Node } from '@kubernetes/client-node';
import type { PodsUnderBudget } from '../../../domain/drain/budget-spending.ts';
import type { BudgetView } from '../../../domain/drain/budget.ts';
import type { PodView } from '../../../domain/drain/pod.ts';
import { PodsThatMatter } from '../../../domain/drain/pods-that-matter.ts';
import type { AttachmentView } from '../../../domain/drain/volumes.ts';
import type { WorkloadView } from '../../../domain/drain/workload.ts';
import type { KubernetesApis } from '../client/connect.ts';
import { cordonState, runsAnnotating, turnBegan, turnStamp, type CordonState } from '../cordon/owner-annotation.ts';
import { nodeIsReady } from '../client/read.ts';
import { plannedPodKind, type PlannedPod } from './planned-pod.ts';
import { budgetView, deploymentView, podView, statefulSetView } from './view.ts';
import { attachmentView, claimedVolume, type ClaimedVolume } from './volumes.ts';
import { kinds, viewedAs } from '../client/kinds.ts';
import { itemsOf, readList, type Kind, type WholeList } from '../client/list.ts';
import { sharedList } from '../client/shared-lists.ts';
import type { ListFollower, WatchedList } from '../client/watched-list.ts';

/** Looks are no closer together than this, however many changes there are; where one takes long, not much closer than it takes. */
const lookGapMs = 5;
const lookGapMaxMs = 250;
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
  /** All nodes of the cluster. */
  nodes: NodeView[];
  /** Those that matter to the drain one by one, with their budgets and workloads. */
  pods: PodView[];
  budgets: BudgetView[];
  /** The pods under one of these budgets, in the whole cluster. */
  under: (budget: BudgetView) => PodsUnderBudget | undefined;
  workloads: WorkloadView[];
  /** Both empty unless volumes are asked for. */
  attachments: AttachmentView[];
  volumes: ClaimedVolume[];
}

const budgetKind = viewedAs(kinds.budgets, budgetView);
const deploymentKind = viewedAs(kinds.deployments, deploymentView);
const statefulSetKind = viewedAs(kinds.statefulSets, statefulSetView);

/** Everything that a plan looks at, read once, with nodes as they are on the wire. */
export interface ClusterReading {
  nodes: V1Node[];
  pods: PlannedPod[];
  budgets: BudgetView[];
  workloads: WorkloadView[];
  /** The same as it was read. */
  lists: ReadLists;
}

interface ReadLists {
  nodes: WholeList<V1Node>;
  pods: WholeList<PlannedPod>;
  budgets: WholeList<BudgetView>;
  deployments: WholeList<WorkloadView>;
  statefulSets: WholeList<WorkloadView>;
}

/** Reads what a plan needs to know of a cluster. Throws `kubernetes-…` errors. */
export async function readCluster(connect: () => Promise<KubernetesApis>, cluster: string): Promise<ClusterReading> {
  const read = <Item>(kind: Kind<Item>): Promise<WholeList<Item>> => readList(kind, cluster, connect);
  const [nodes, pods, budgets, deployments, statefulSets] = await Promise.all([
    read(kinds.nodes),
    read(plannedPodKind),
    read(budgetKind),
    read(deploymentKind),
    read(statefulSetKind),
  ]);
  return {
    nodes: itemsOf(nodes),
    pods: itemsOf(pods),
    budgets: itemsOf(budgets),
    workloads: [...itemsOf(deployments), ...itemsOf(statefulSets)],
    lists: { nodes, pods, budgets, deployments, statefulSets },
  };
}

/**
 * Has the drain that follows begin with what its plan has read, and hear from its watches what has come since: in a large cluster it would
 * spend seconds on reading it again. What has changed meanwhile costs nothing: evictions and patches say what they are meant for.
 */
export function beginWith({ lists }: ClusterReading, apis: KubernetesApis, cluster: string): void {
  const begin = <Read, Item>(kind: Kind<Item>, list: WholeList<Read>, view: (read: Read) => Item): void => {
    const items = [...list.byKey].map(([key, { item, version }]) => [key, { item: view(item), version }] as const);
    sharedList(apis, kind, cluster, () => Promise.resolve(apis)).begin({ ...list, byKey: new Map(items) });
  };
  begin(nodeKind, lists.nodes, nodeOfWatch);
  begin(podKind, lists.pods, ({ view }) => view);
  begin(budgetKind, lists.budgets, (budget) => budget);
  begin(deploymentKind, lists.deployments, (workload) => workload);
  begin(statefulSetKind, lists.statefulSets, (workload) => workload);
}

const nodeKind = viewedAs(kinds.nodes, nodeOfWatch);
const podKind = viewedAs(kinds.pods, podView);
const attachmentKind = viewedAs(kinds.attachments, attachmentView);
const volumeKind = viewedAs(kinds.volumes, claimedVolume);

/** Whether a change is worth another look. */
type Matters<Item> = (before: Item | undefined, after: Item | undefined) => boolean;

/** What a drain looks at. */
export interface ClusterWatch {
  cluster: string;
  /** Cordons are seen from this run. */
  run: string;
  /** Names of the nodes that are drained. */
  nodes: readonly string[];
  /** Whether persistent volumes are looked at. */
  volumes: boolean;
  /** Whether everything is kept as it is by watches, or read once. */
  follow: boolean;
  /** Told of every pod of these nodes that has come, changed or gone. */
  seePod?: (before: PodView | undefined, after: PodView | undefined) => void;
}

/** What a drain needs to know of a cluster. The watches are those of all drains in this process that reach it in the same way. */
export class ClusterState {
  private readonly watch: ClusterWatch;
  private readonly drained: ReadonlySet<string>;
  private readonly lists: WatchedList<unknown>[] = [];
  private readonly leaves: (() => Promise<void>)[] = [];
  private readonly nodeList: WatchedList<V1Node>;
  private readonly podList: WatchedList<PodView>;
  private readonly budgetList: WatchedList<BudgetView>;
  private readonly deploymentList: WatchedList<WorkloadView>;
  private readonly statefulSetList: WatchedList<WorkloadView>;
  private readonly attachmentList: WatchedList<AttachmentView> | undefined;
  private readonly volumeList: WatchedList<ClaimedVolume> | undefined;
  /** Nodes as they are seen from the run. */
  private readonly nodeViews = new WeakMap<V1Node, NodeView>();
  private matter: PodsThatMatter | undefined;
  private isChanged = false;
  private wake: (() => void) | undefined;
  private lookedAtMs = 0;
  private lookTookMs = 0;

  private constructor(access: object, connect: () => Promise<KubernetesApis>, watch: ClusterWatch) {
    this.watch = watch;
    this.drained = new Set(watch.nodes);
    const list = <Item>(kind: Kind<Item>, matters: Matters<Item>): WatchedList<Item> =>
      this.followed(sharedList({ access }, kind, watch.cluster, connect), matters);
    this.nodeList = list(nodeKind, (before, after) => this.nodeMatters(before, after));
    this.podList = list(podKind, (before, after) => {
      if (this.drained.has((before ?? after)?.node ?? '')) watch.seePod?.(before, after);
      return this.matter?.see(before, after) ?? true;
    });
    this.budgetList = list(budgetKind, (before, after) => this.matter?.seeBudget(before, after) ?? true);
    this.deploymentList = list(deploymentKind, isOther);
    this.statefulSetList = list(statefulSetKind, isOther);
    if (!watch.volumes) return;
    const isHere = (attachment?: AttachmentView): boolean => attachment !== undefined && this.drained.has(attachment.node);
    this.attachmentList = list(attachmentKind, (before, after) => isHere(before) || isHere(after));
    this.volumeList = list(volumeKind, isOther);
  }

  /** Reads everything once, and keeps it as it is from then on where it is followed. Throws `kubernetes-…` errors. */
  static async open(connect: () => Promise<KubernetesApis>, watch: ClusterWatch): Promise<ClusterState> {
    const { access } = await connect();
    const state = new ClusterState(watch.follow ? access : {}, connect, watch);
    try {
      await Promise.all(state.lists.map((list) => list.load()));
    } catch (error) {
      await state.stop();
      throw error;
    }
    if (watch.follow) for (const list of state.lists) list.follow();
    return state;
  }

  /** Reads anew what decides whether a drain is over. Throws `kubernetes-…` errors. */
  async confirm(): Promise<void> {
    await Promise.all([this.refreshNodes(), this.refreshPods(this.watch.nodes), this.attachmentList?.refresh()]);
  }

  private async refreshNodes(): Promise<void> {
    const selectors = this.watch.nodes.map((name) => `metadata.name=${name}`);
    await this.nodeList.refreshPart(selectors, ({ metadata }) => this.drained.has(metadata?.name ?? ''));
  }

  /** Reads anew which pods some of the nodes have. Throws `kubernetes-…` errors. */
  async refreshPods(nodes: readonly string[]): Promise<void> {
    const names = new Set(nodes);
    const selectors = [...names].map((name) => `spec.nodeName=${name}`);
    await this.podList.refreshPart(selectors, ({ node }) => names.has(node));
  }

  /** Everything as far as it is known. Throws the last error where the server has not answered for a while. */
  look(): ClusterLook {
    this.isChanged = false;
    this.lookedAtMs = performance.now();
    for (const list of this.lists) list.check();
    const budgets = this.budgetList.items();
    if (!this.matter || this.matter.isOutdated) this.matter = new PodsThatMatter(this.drained, this.podList.items(), budgets);
    const { matter } = this;
    return {
      nodes: this.nodeList.items().map((node) => this.seen(node)),
      pods: matter.singlePods(),
      budgets: matter.budgets(budgets),
      under: (budget) => matter.under(budget),
      workloads: this.workloadsOf(matter.podsOnNodes()),
      attachments: this.attachmentList?.items() ?? [],
      volumes: this.volumeList?.items() ?? [],
    };
  }

  /** All that a look brings about has been worked out: what is waited for after that is no reason to look less often. */
  endLook(): void {
    this.lookTookMs = performance.now() - this.lookedAtMs;
  }

  /** UIDs of the pods that a node is known to have now. */
  podsOn(node: string): Set<string> {
    return new Set((this.matter?.podsOnNodes() ?? this.podList.items()).filter((pod) => pod.node === node).map(({ uid }) => uid));
  }

  /** Something has happened that is worth another look. */
  note(): void {
    this.isChanged = true;
    this.wake?.();
  }

  /** Resolves when something has changed since the last look, when the time is over, or when the signal is aborted. */
  async changed(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (!this.isChanged && !signal.aborted) await this.sleep(timeoutMs, signal, true);
    const restMs = this.lookedAtMs + Math.min(lookGapMaxMs, Math.max(lookGapMs, 2 * this.lookTookMs)) - performance.now();
    if (restMs > 0 && !signal.aborted) await this.sleep(restMs, signal, false);
  }

  /** Ends the watches that nobody else follows. */
  async stop(): Promise<void> {
    await Promise.all(this.leaves.map((leave) => leave()));
  }

  private followed<Item>(list: WatchedList<Item>, matters: Matters<Item>): WatchedList<Item> {
    const follower: ListFollower<Item> = {
      onChange: (before, after) => void (matters(before, after) && this.note()),
      onFailure: () => this.note(),
    };
    list.join(follower);
    this.lists.push(list as WatchedList<unknown>);
    this.leaves.push(() => list.leave(follower));
    return list;
  }

  private seen(node: V1Node): NodeView {
    const known = this.nodeViews.get(node) ?? nodeView(node, this.watch.run);
    this.nodeViews.set(node, known);
    return known;
  }

  /** Of the other nodes it matters only whether pods can go there. */
  private nodeMatters(before: V1Node | undefined, after: V1Node | undefined): boolean {
    if (this.drained.has((after ?? before)?.metadata?.name ?? '')) return true;
    const isOpen = (node: V1Node | undefined): boolean => {
      const view = node && this.seen(node);
      return view?.ready === true && view.cordon === 'none';
    };
    return isOpen(before) !== isOpen(after);
  }

  private workloadsOf(pods: readonly PodView[]): WorkloadView[] {
    const found = new Set<WorkloadView>();
    for (const { namespace, owner } of pods) {
      if (!owner) continue;
      const list = { Deployment: this.deploymentList, StatefulSet: this.statefulSetList }[owner.kind];
      const workload = list?.get(`${namespace}/${owner.name}`);
      if (workload) found.add(workload);
    }
    return [...found];
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
}

/** Whether anything has changed of what is kept. */
function isOther(before: object | undefined, after: object | undefined): boolean {
  return JSON.stringify(before) !== JSON.stringify(after);
}

/** As much of a node as is looked at, and as marks are made of. */
function nodeOfWatch({ metadata, spec, status }: V1Node): V1Node {
  const conditions = status?.conditions?.filter(({ type }) => type === 'Ready');
  return { metadata, spec: { unschedulable: spec?.unschedulable }, status: { conditions } };
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

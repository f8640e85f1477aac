import { setTimeout as wait } from 'node:timers/promises';
import {
  DescribeNodegroupCommand,
  ListCertificateAuthoritiesCommand,
  ListNodegroupsCommand,
  ListUpdatesCommand,
  type EKSClient,
  type Nodegroup,
} from '@aws-sdk/client-eks';
import { isReady, type KubernetesObject, type Node, type Pod } from '../../sandbox/kubernetes/objects.ts';
import type { Store } from '../../sandbox/kubernetes/store.ts';
import type { DatabaseCluster } from '../../sandbox/rds/cluster.ts';
import type { Sandbox } from '../../sandbox/server.ts';

const restLimitMs = 60_000;
const restPauseMs = 100;
/** Marks of the product on objects and node groups. */
const markPrefix = 'holdpoint.dev/';
const nodegroupLabel = 'eks.amazonaws.com/nodegroup';
/** Labels that tell a node from another one of its group. */
const labelsOfOneNode = ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'];
const movingStatuses = ['CREATING', 'UPDATING', 'DELETING'];

/** What there is in the one cluster of a world, in words that can be compared. Where a pod runs and what it is called is left out. */
export interface WorldView {
  /** Node groups and workloads by name: `Nodegroup blue`, `ReplicaSet shop/web-5d7c9`. */
  objects: Record<string, string>;
  nodes: { name: string; group: string; is: string }[];
  /** How often EKS has replaced the nodes of a group, which then have other names. */
  replacements: Record<string, number>;
  /** Whether nothing is under way: all that is there is Ready, and nothing comes or goes. */
  atRest: boolean;
}

/** One object that is not as it was. */
export interface Difference {
  object: string;
  /** Name of the node group, for a node group and its nodes. */
  group?: string;
  before: string;
  after: string;
}

const nothing = 'not there';

/** The one cluster of a world. */
export interface Site {
  sandbox: Sandbox;
  cluster: string;
  /** A client of its EKS. */
  eks: EKSClient;
}

/** Looks at the cluster of a world, over the wire at its node groups. */
export async function lookAt({ sandbox: { world }, cluster, eks }: Site): Promise<WorldView> {
  const groups = await nodegroupsOf(eks, cluster);
  const { store } = world.cluster(cluster) ?? {};
  if (!store) throw new Error(`the world has no cluster ${cluster}`);
  const replacements: WorldView['replacements'] = {};
  const objects: WorldView['objects'] = {};
  for (const group of groups) {
    const name = group.nodegroupName ?? '';
    objects[`Nodegroup ${name}`] = describeNodegroup(group);
    const updates = await unlessGone(eks.send(new ListUpdatesCommand({ name: cluster, nodegroupName: name })));
    replacements[name] = updates?.updateIds?.length ?? 0;
  }
  const { certificateAuthorities = [] } = await eks.send(new ListCertificateAuthoritiesCommand({ clusterName: cluster }));
  for (const { id, signingStatus, distributionStatus } of certificateAuthorities) {
    objects[`CertificateAuthority ${id ?? ''}`] = `${signingStatus ?? ''} ${distributionStatus ?? ''}`;
  }
  for (const pool of store.list('nodepools')) {
    objects[nameOf(pool)] = JSON.stringify({ spec: pool.spec, annotations: marksAmong(pool.metadata.annotations) });
  }
  const databases = world.databases.flatMap((database) => database.all());
  for (const { name, status, engineVersion, writer, instances } of databases) {
    const members = instances.map(
      (one) => `${one.name} ${one.instanceClass} ${one.promotionTier} ${one.status} ${one.engineVersion} ${one.certificateAuthority}`,
    );
    objects[`Database ${name}`] = `${status} ${engineVersion}, writer ${writer}, ${members.join(', ')}`;
  }
  const owners = [...store.list('replicasets'), ...store.list('statefulsets'), ...store.list('daemonsets')];
  for (const owner of owners) objects[nameOf(owner)] = describeWorkload(store, owner);
  const selfManaged = world.autoScalingGroups();
  for (const { name, minSize, maxSize, desiredSize, templateVersion, suspendedProcesses, tags } of selfManaged) {
    const suspended = suspendedProcesses.toSorted().join(' ');
    const sizes = `${minSize} to ${maxSize}, ${desiredSize} of version ${templateVersion}`;
    objects[`AutoScalingGroup ${name}`] = `${sizes}; suspended: ${suspended}; ${JSON.stringify(marksAmong(tags))}`;
  }
  const nodes = store.list('nodes').map((node) => {
    const [{ name: own = '' } = {}] = selfManaged;
    return { name: node.metadata.name, group: node.metadata.labels?.[nodegroupLabel] ?? own, is: describeNode(node) };
  });
  const atRest = isAtRest(groups, store) && databases.every(isDatabaseAtRest) && selfManaged.every((group) => group.atRest);
  return { objects, nodes, replacements, atRest };
}

/** The same once nothing is under way any more, or as it is when that does not come about in time. */
export async function lookAtRest(site: Site): Promise<WorldView> {
  const giveUpAtMs = performance.now() + restLimitMs;
  for (;;) {
    const view = await lookAt(site);
    if (view.atRest || performance.now() > giveUpAtMs) return view;
    await wait(restPauseMs);
  }
}

/** What is not as it was, object by object. Nodes that EKS has replaced within their group count by number, not by name. */
export function differencesOf(before: WorldView, after: WorldView): Difference[] {
  const isSelfManaged = (group: string): boolean => Object.hasOwn(after.objects, `AutoScalingGroup ${group}`);
  const replaced = (group: string): boolean => isSelfManaged(group) || (after.replacements[group] ?? 0) > (before.replacements[group] ?? 0);
  const [was, is] = [entriesOf(before, replaced), entriesOf(after, replaced)];
  return [...new Set([...was.keys(), ...is.keys()])].sort().flatMap((object) => {
    const [old, fresh] = [was.get(object), is.get(object)];
    if (old?.text === fresh?.text) return [];
    return [{ object, group: old?.group ?? fresh?.group, before: old?.text ?? nothing, after: fresh?.text ?? nothing }];
  });
}

/** A difference in one line. */
export function inWords({ object, before, after }: Difference): string {
  return `${object}: before: ${before}; after: ${after}`;
}

function entriesOf({ objects, nodes }: WorldView, replaced: (group: string) => boolean): Map<string, { text: string; group?: string }> {
  const entries = new Map<string, { text: string; group?: string }>();
  for (const [object, text] of Object.entries(objects)) {
    const [kind, name] = object.split(' ');
    entries.set(object, { text, group: kind === 'Nodegroup' ? name : undefined });
  }
  const counts = new Map<string, number>();
  // In the order of what they are like, so that numbers stand for equal nodes.
  for (const { name, group, is } of [...nodes].sort((one, other) => one.is.localeCompare(other.is, 'en'))) {
    const number = (counts.get(group) ?? 0) + 1;
    counts.set(group, number);
    entries.set(replaced(group) ? `Node ${number} of ${group}` : `Node ${name} of ${group}`, { text: is, group });
  }
  return entries;
}

async function nodegroupsOf(eks: EKSClient, clusterName: string): Promise<Nodegroup[]> {
  const { nodegroups = [] } = await eks.send(new ListNodegroupsCommand({ clusterName }));
  const found = await Promise.all(
    nodegroups.map(async (nodegroupName) => {
      const answer = await unlessGone(eks.send(new DescribeNodegroupCommand({ clusterName, nodegroupName })));
      return answer?.nodegroup ?? [];
    }),
  );
  return found.flat();
}

/** Undefined where a node group has gone between the look at the list and the one at itself. */
async function unlessGone<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  return answer.catch((error: unknown) => {
    if ((error as Error).name === 'ResourceNotFoundException') return undefined;
    throw error;
  });
}

function describeNodegroup({ status, version, releaseVersion, scalingConfig, labels, taints, tags }: Nodegroup): string {
  const settings = { labels: labels ?? {}, taints: taints ?? [], tags: marksAmong(tags), scaling: scalingConfig };
  return `${status ?? 'UNKNOWN'} ${version ?? ''} ${releaseVersion ?? ''} ${JSON.stringify(settings)}`;
}

function describeWorkload(store: Store, owner: KubernetesObject): string {
  const pods = store.ownedBy('pods', owner.metadata.uid);
  const ready = pods.filter(isInPlace).length;
  const { replicas } = owner.spec as { replicas?: number };
  // A daemon has as many pods as there are nodes, which are compared themselves.
  if (replicas === undefined) return ready === store.list('nodes').length ? 'Ready on every node' : `Ready on ${ready} nodes`;
  return `${ready} of ${replicas} Ready${pods.length > ready ? `, ${pods.length - ready} more` : ''}`;
}

function describeNode(node: Node): string {
  const { metadata, spec, status } = node;
  const labels = Object.entries(metadata.labels ?? {}).filter(([key]) => !labelsOfOneNode.includes(key));
  const parts = [
    isReady(node) ? 'Ready' : 'not Ready',
    status.nodeInfo?.kubeletVersion ?? 'no kubelet',
    spec.unschedulable === true ? 'cordoned' : 'schedulable',
    JSON.stringify({ labels: Object.fromEntries(labels.sort()), taints: spec.taints ?? [], annotations: marksAmong(metadata.annotations) }),
  ];
  return parts.join(' ');
}

function marksAmong(entries: Record<string, string> | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(entries ?? {}).filter(([key]) => key.startsWith(markPrefix)));
}

function isDatabaseAtRest({ status, instances }: DatabaseCluster): boolean {
  return status === 'available' && instances.every((instance) => instance.status === 'available');
}

function isInPlace(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && pod.status.phase === 'Running' && isReady(pod);
}

function isAtRest(groups: readonly Nodegroup[], store: Store): boolean {
  if (groups.some(({ status }) => movingStatuses.includes(status ?? ''))) return false;
  if (!store.list('nodes').every((node) => isReady(node))) return false;
  if (!store.list('pods').every(isInPlace)) return false;
  const owners = [...store.list('replicasets'), ...store.list('statefulsets')];
  return owners.every((owner) => store.ownedBy('pods', owner.metadata.uid).length === owner.spec.replicas);
}

function nameOf({ kind, metadata: { namespace, name } }: KubernetesObject): string {
  return `${kind} ${namespace ?? ''}/${name}`;
}

import type { KubernetesObject, Node, Pod, ReplicaSet, StatefulSet } from './kubernetes/objects.ts';
import { resources } from './kubernetes/resources.ts';
import type { Store } from './kubernetes/store.ts';

/** A node group as far as it can be left behind. */
export interface NodegroupView {
  clusterName: string;
  name: string;
  labels: Record<string, string>;
  tags: Record<string, string>;
}

/** An Auto Scaling group as far as something can be left behind at it. */
export interface AutoScalingGroupMarks {
  name: string;
  tags: Record<string, string>;
  suspendedProcesses: string[];
  minSize: number;
  maxSize: number;
  desiredSize: number;
  /** As the group names it: a number, `$Latest` or `$Default`. */
  templateVersion: string;
  /** Whether nothing is being started or ended. */
  atRest: boolean;
}

/** What can hold leftovers: the objects of each cluster by its name, and the node groups of the cloud. */
export interface Premises {
  stores: ReadonlyMap<string, Store>;
  nodegroups: readonly NodegroupView[];
  autoScalingGroups?: readonly AutoScalingGroupMarks[];
}

/** Something that a maintenance run has left behind. */
export interface Leftover {
  kind: 'cordon' | 'mark' | 'nodegroup' | 'auto-scaling-group' | 'pod-pending' | 'pod-gone';
  /** e.g. `demo: Node ip-10-0-0-4.eu-central-1.compute.internal`. */
  object: string;
  sentence: string;
}

/** Leftovers, and how many more there are than a report holds. */
export interface LeftoverReport {
  leftovers: Leftover[];
  leftOut: number;
}

const leftoversMax = 1000;

/** Marks of the product; those of the sandbox itself begin otherwise. */
const markPrefix = 'holdpoint.dev/';

/** Something found, with the key by which it is known again and how much of it there is. */
interface Finding extends Leftover {
  key: string;
  count: number;
}

/** What was there already when the baseline was taken. */
export class Baseline {
  private readonly known: ReadonlyMap<string, number>;
  /** UIDs of the pods that no workload would bring back, with their names. */
  private readonly barePods: ReadonlyMap<string, string>;

  constructor(premises: Premises) {
    this.known = new Map(findingsIn(premises).map(({ key, count }) => [key, count]));
    this.barePods = new Map([...premises.stores].flatMap(([cluster, store]) => barePodsIn(cluster, store)));
  }

  /** What is there now and was not when the baseline was taken. */
  leftovers(premises: Premises): LeftoverReport {
    const fresh = findingsIn(premises).filter(({ key, count }) => count > (this.known.get(key) ?? 0));
    const left = new Map([...premises.stores].flatMap(([cluster, store]) => barePodsIn(cluster, store)));
    const gone = [...this.barePods]
      .filter(([uid]) => !left.has(uid))
      .map(([, object]): Leftover => ({ kind: 'pod-gone', object, sentence: 'This pod had no owner to bring it back, and is gone.' }));
    const all = [...fresh.map(({ kind, object, sentence }) => ({ kind, object, sentence })), ...gone];
    return { leftovers: all.slice(0, leftoversMax), leftOut: Math.max(0, all.length - leftoversMax) };
  }
}

function barePodsIn(cluster: string, store: Store): [string, string][] {
  const bare = store.list('pods').filter((pod) => (pod.metadata.ownerReferences ?? []).length === 0 && pod.status.phase !== 'Succeeded');
  return bare.map((pod) => [pod.metadata.uid, nameOf(cluster, pod)]);
}

function findingsIn({ stores, nodegroups, autoScalingGroups = [] }: Premises): Finding[] {
  const ofClusters = [...stores].flatMap(([cluster, store]) => [
    ...store.list('nodes').flatMap((node) => cordonOf(cluster, node)),
    ...resources.flatMap(({ resource }) => store.list(resource).flatMap((object: KubernetesObject) => marksOf(cluster, object))),
    ...store.list('pods').flatMap((pod) => pendingOf(cluster, pod)),
    ...[...store.list('replicasets'), ...store.list('statefulsets')].flatMap((owner) => missingOf(cluster, store, owner)),
  ]);
  return [...ofClusters, ...nodegroups.flatMap(nodegroupFindings), ...autoScalingGroups.flatMap(autoScalingFindings)];
}

function cordonOf(cluster: string, node: Node): Finding[] {
  if (node.spec.unschedulable !== true) return [];
  const object = nameOf(cluster, node);
  return [{ kind: 'cordon', key: `cordon ${node.metadata.uid}`, count: 1, object, sentence: 'This node is cordoned.' }];
}

function marksOf(cluster: string, object: KubernetesObject): Finding[] {
  const { uid, labels, annotations } = object.metadata;
  return marksAmong(uid, nameOf(cluster, object), { label: labels, annotation: annotations });
}

function marksAmong(id: string, object: string, places: Record<string, Record<string, string> | undefined>): Finding[] {
  return Object.entries(places).flatMap(([place, entries]) => {
    const marks = Object.entries(entries ?? {}).filter(([key]) => key.startsWith(markPrefix));
    return marks.map(([key, value]): Finding => {
      const mark = `${place} ${key}=${value}`;
      return { kind: 'mark', key: `mark ${id} ${mark}`, count: 1, object, sentence: `It carries the ${mark}.` };
    });
  });
}

function pendingOf(cluster: string, pod: Pod): Finding[] {
  if (pod.status.phase !== 'Pending' || pod.metadata.deletionTimestamp !== undefined) return [];
  const where = pod.spec.nodeName === undefined ? 'has no node' : `has not started on ${pod.spec.nodeName}`;
  const sentence = `This pod is Pending: it ${where}.`;
  return [{ kind: 'pod-pending', key: `pending ${pod.metadata.uid}`, count: 1, object: nameOf(cluster, pod), sentence }];
}

/** The pods that an owner asks for and does not have. */
function missingOf(cluster: string, store: Store, owner: ReplicaSet | StatefulSet): Finding[] {
  const pods = store
    .ownedBy('pods', owner.metadata.uid)
    .filter(
      ({ metadata, status }) => metadata.deletionTimestamp === undefined && status.phase !== 'Succeeded' && status.phase !== 'Failed',
    );
  const count = owner.spec.replicas - pods.length;
  if (count <= 0) return [];
  const sentence = `It asks for ${owner.spec.replicas} pods and has ${pods.length}.`;
  return [{ kind: 'pod-gone', key: `gone ${owner.metadata.uid}`, count, object: nameOf(cluster, owner), sentence }];
}

function nodegroupFindings({ clusterName, name, labels, tags }: NodegroupView): Finding[] {
  const object = `${clusterName}: node group ${name}`;
  const sentence = 'This node group was not there.';
  return [
    { kind: 'nodegroup', key: `nodegroup ${clusterName}/${name}`, count: 1, object, sentence },
    ...marksAmong(`${clusterName}/${name}`, object, { label: labels, tag: tags }),
  ];
}

function autoScalingFindings({ name, tags, suspendedProcesses, minSize, maxSize, desiredSize }: AutoScalingGroupMarks): Finding[] {
  const object = `Auto Scaling group ${name}`;
  const finding = (what: string, sentence: string): Finding => {
    return { kind: 'auto-scaling-group', key: `auto-scaling ${name} ${what}`, count: 1, object, sentence };
  };
  const sizes = `${minSize} to ${maxSize}, ${desiredSize} desired`;
  return [
    ...suspendedProcesses.map((process) => finding(`suspended ${process}`, `Its process ${process} is suspended.`)),
    finding(`sizes ${sizes}`, `Its sizes are ${sizes}, which they were not.`),
    ...marksAmong(`auto-scaling ${name}`, object, { tag: tags }),
  ];
}

function nameOf(cluster: string, { kind, metadata: { namespace, name } }: KubernetesObject): string {
  return `${cluster}: ${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

import type { Controller, ControllerContext } from '../controller.ts';
import { deleteObject } from '../deletion.ts';
import { sameJson } from '../json.ts';
import { controllerOf, hasEnded, isReady, keyOf } from '../objects.ts';
import type { DaemonSet, Node, Pod, PodSpec, Toleration } from '../objects.ts';
import type { Actor, Change } from '../store.ts';
import { boundTarget, isWanted, repellingTaint } from './placement.ts';
import { freePodName, newPod, reportCreated, templateHash } from './pods.ts';

const revisionLabel = 'controller-revision-hash';
const actor: Actor = { part: 'controller', name: 'daemonset-controller', verb: 'update' };

/** What every daemon pod puts up with: it belongs to the node, whatever state that is in. */
const daemonTolerations: Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
];

/** Keeps one pod of each DaemonSet on every node that it is meant for. */
export function createDaemonSetController(context: ControllerContext): Controller {
  return {
    name: 'daemonset',
    onChange: (change: Change) => {
      const { resource, object } = change;
      if (resource === 'daemonsets') return [keyOf(object)];
      if (resource === 'nodes') return matters(change) ? context.store.list('daemonsets').map(keyOf) : [];
      const owner = resource === 'pods' ? controllerOf(object) : undefined;
      return owner?.kind === 'DaemonSet' ? [`${object.metadata.namespace ?? ''}/${owner.name}`] : [];
    },
    reconcile: (key) => {
      const set = context.store.getByKey('daemonsets', key);
      if (!set) return;
      const nodes = context.store.list('nodes').filter((node) => isMeantFor(node, set));
      if (set.metadata.deletionTimestamp === undefined) step(context, set, nodes);
      writeStatus(context, key, set, nodes.length);
    },
  };
}

/** Whether a change of a node can change what runs on it. */
function matters({ type, object, previous }: Change): boolean {
  if (type !== 'MODIFIED') return true;
  return !sameJson(object.metadata.labels, previous?.metadata.labels) || !sameJson(object.spec, previous?.spec);
}

function isMeantFor(node: Node, { spec }: DaemonSet): boolean {
  const { tolerations, ...pod } = spec.template.spec;
  return isWanted(node, pod) && !repellingTaint(node, [...(tolerations ?? []), ...daemonTolerations]);
}

function revisionOf(set: DaemonSet): string {
  return templateHash(set.spec.template);
}

function nodeOf(pod: Pod): string {
  return pod.spec.nodeName ?? boundTarget(pod.spec) ?? '';
}

function step(context: ControllerContext, set: DaemonSet, nodes: Node[]): void {
  const pods = context.store.ownedBy('pods', set.metadata.uid);
  const occupied = new Map(pods.map((pod) => [nodeOf(pod), pod]));
  for (const { metadata } of nodes) {
    const pod = occupied.get(metadata.name);
    if (!pod) createPod(context, set, metadata.name);
    else if (hasEnded(pod)) remove(context, pod);
  }
  const wanted = new Set(nodes.map(({ metadata }) => metadata.name));
  for (const pod of pods) if (!wanted.has(nodeOf(pod)) && pod.metadata.deletionTimestamp === undefined) remove(context, pod);
  const revision = revisionOf(set);
  const outdated = pods.find((pod) => pod.metadata.labels?.[revisionLabel] !== revision && pod.metadata.deletionTimestamp === undefined);
  const settled = pods.length === nodes.length && pods.every((pod) => isReady(pod) && pod.metadata.deletionTimestamp === undefined);
  if (outdated && settled) remove(context, outdated);
}

function createPod(context: ControllerContext, set: DaemonSet, node: string): void {
  const affinity: PodSpec['affinity'] = {
    ...set.spec.template.spec.affinity,
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }],
      },
    },
  };
  const labels = { [revisionLabel]: revisionOf(set), 'pod-template-generation': String(set.metadata.generation ?? 1) };
  const pod = newPod(set, set.spec.template, freePodName(context, set), { labels, tolerations: daemonTolerations, spec: { affinity } });
  context.store.create('pods', pod, { ...actor, verb: 'create' });
  reportCreated(context, set, pod.metadata.name, actor.name);
}

function remove(context: ControllerContext, pod: Pod): void {
  deleteObject(context, 'pods', keyOf(pod), {}, { ...actor, verb: 'delete' });
}

function writeStatus({ store }: ControllerContext, key: string, set: DaemonSet, desired: number): void {
  const pods = store.ownedBy('pods', set.metadata.uid).filter((pod) => pod.spec.nodeName !== undefined && !hasEnded(pod));
  const ready = pods.filter(isReady).length;
  const revision = revisionOf(set);
  store.update('daemonsets', key, actor, (draft) => {
    draft.status = {
      currentNumberScheduled: pods.length,
      desiredNumberScheduled: desired,
      numberMisscheduled: 0,
      numberReady: ready,
      ...(ready > 0 ? { numberAvailable: ready } : {}),
      ...(desired > ready ? { numberUnavailable: desired - ready } : {}),
      updatedNumberScheduled: pods.filter((pod) => pod.metadata.labels?.[revisionLabel] === revision).length,
      observedGeneration: set.metadata.generation,
    };
  });
}

import type { V1Container, V1LabelSelector, V1Node, V1PersistentVolume, V1Pod } from '@kubernetes/client-node';
import type { NodeRequirement, NodeSelectorTerm } from '../../../domain/drain/node-selection.ts';
import {
  apartResource,
  hostPortResource,
  type PodToPlace,
  type RemainingNode,
  type VolumeToPlace,
} from '../../../domain/drain/placement.ts';
import { selectorMatches } from '../../../domain/drain/selector.ts';
import { addResources, parseResources, podRequests, type Resources } from '../../../domain/drain/resources.ts';
import type { ExpectedNode } from '../../../domain/plan/expected.ts';
import { compareText } from '../../../domain/text.ts';
import { nodeIsReady } from '../client/read.ts';

/** The labels by which older volumes say where they are, beside or in place of their node affinity. */
const volumeTopologyLabels = [
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
];
/** Between the zones of a volume that spans several. */
const zoneSeparator = '__';
const hostnameLabel = 'kubernetes.io/hostname';

/** The PersistentVolumes of a cluster by the claim that they are bound to, `namespace/name`. */
export type BoundVolumes = ReadonlyMap<string, V1PersistentVolume>;

/** The claims of a pod, `namespace/name`, those of its ephemeral volumes included. */
function claimsOf(pod: V1Pod): string[] {
  const { namespace = '', name: podName = '' } = pod.metadata ?? {};
  return (pod.spec?.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }) => {
    if (persistentVolumeClaim) return [`${namespace}/${persistentVolumeClaim.claimName}`];
    return ephemeral ? [`${namespace}/${podName}-${name}`] : [];
  });
}

/** What a pod asks of a node that takes it. */
export interface PlacementNeeds extends Pick<PodToPlace, 'requests' | 'nodeSelector' | 'affinity' | 'tolerations'> {
  /** Its claims, `namespace/name`. */
  claims: readonly string[];
}

/** What is kept of a pod for the search for a place. */
export function placementNeeds(pod: V1Pod): PlacementNeeds {
  const { nodeSelector, affinity, tolerations, os } = pod.spec ?? {};
  return {
    requests: { ...requestsOf(pod), ...apartFromItsKind(pod) },
    // A kubelet of Linux takes no pod of Windows, whatever the scheduler does.
    nodeSelector: { ...nodeSelector, ...(os?.name === 'windows' && { 'kubernetes.io/os': 'windows' }) },
    affinity: affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms,
    tolerations: tolerations ?? [],
    claims: claimsOf(pod),
  };
}

/** A pod as the search for a place sees it; claims that are bound to no known volume bind it to no place. */
export function podToPlace(
  { namespace, name }: { namespace: string; name: string },
  { claims, ...needs }: PlacementNeeds,
  workload: string,
  volumes: BoundVolumes,
): PodToPlace {
  return {
    namespace,
    name,
    workload,
    ...needs,
    volumes: claims.flatMap((claim) => {
      const volume = volumes.get(claim);
      return volume ? [volumeToPlace(claim, volume)] : [];
    }),
  };
}

function volumeToPlace(claim: string, volume: V1PersistentVolume): VolumeToPlace {
  const { local, hostPath, nodeAffinity } = volume.spec ?? {};
  const own = nodeAffinity?.required?.nodeSelectorTerms;
  const onOneNode = (own ?? []).some(({ matchExpressions }) => matchExpressions?.some(({ key }) => key === hostnameLabel));
  return { claim, terms: withLabels(own, volume), local: local !== undefined || hostPath !== undefined || onOneNode };
}

/** The labels must match besides, whatever the terms are. */
function withLabels(terms: readonly NodeSelectorTerm[] | undefined, { metadata }: V1PersistentVolume): VolumeToPlace['terms'] {
  const labels: NodeRequirement[] = volumeTopologyLabels.flatMap((key) => {
    const value = metadata?.labels?.[key];
    return value === undefined ? [] : [{ key, operator: 'In', values: value.split(zoneSeparator) }];
  });
  if (labels.length === 0) return terms;
  return (terms ?? [{}]).map(({ matchExpressions = [], matchFields }) => {
    const added = labels.filter(({ key, values }) => !matchExpressions.some((own) => isSame(own, key, values ?? [])));
    return { matchExpressions: [...matchExpressions, ...added], matchFields };
  });
}

function isSame(own: NodeRequirement, key: string, values: readonly string[]): boolean {
  return own.key === key && own.operator === 'In' && own.values?.join() === values.join();
}

/** A node that stays, with what the pods that are on it take of it. */
export function remainingNode(node: V1Node, requests: readonly Resources[]): RemainingNode {
  return {
    name: node.metadata?.name ?? '',
    labels: node.metadata?.labels ?? {},
    taints: node.spec?.taints ?? [],
    schedulable: node.spec?.unschedulable !== true,
    ready: nodeIsReady(node),
    allocatable: parseResources(node.status?.allocatable),
    requested: addResources(requests),
  };
}

/** A node that is still to come, with what the pods of DaemonSets will take of it. */
export function comingNode({ name, labels, taints, allocatable }: ExpectedNode, requests: readonly Resources[]): RemainingNode {
  return {
    name,
    labels,
    taints,
    schedulable: true,
    ready: true,
    allocatable: parseResources(allocatable),
    requested: addResources(requests),
  };
}

/** Pods that are to share their node with no other of their own kind take the one place that a node has for these. */
function apartFromItsKind({ metadata, spec }: V1Pod): Resources {
  const terms = spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  const own = terms.filter(({ topologyKey, labelSelector, namespaces, namespaceSelector }) => {
    const isOwn = labelSelector !== undefined && selectorMatches(labelSelector, metadata?.labels ?? {});
    return topologyKey === hostnameLabel && namespaces === undefined && namespaceSelector === undefined && isOwn;
  });
  return Object.fromEntries(
    own.map(({ labelSelector = {} }) => [apartResource(metadata?.namespace ?? '', selectorText(labelSelector)), 1]),
  );
}

function selectorText({ matchLabels = {}, matchExpressions = [] }: V1LabelSelector): string {
  const equal = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const others = matchExpressions.map(({ key, operator, values = [] }) => `${key} ${operator} ${values.join('|')}`.trim());
  return [...equal, ...others].sort(compareText).join(', ');
}

/** What a pod takes of its node, its host ports included. */
function requestsOf({ spec }: V1Pod): Resources {
  if (!spec) return { pods: 1 };
  const ports: Record<string, number> = {};
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  for (const { hostPort, protocol = 'TCP' } of [...spec.containers, ...sidecars].flatMap(portsOf)) {
    if (hostPort !== undefined && hostPort > 0) ports[hostPortResource(hostPort, protocol)] = 1;
  }
  return { ...podRequests(spec), ...ports };
}

function portsOf({ ports }: V1Container): NonNullable<V1Container['ports']> {
  return ports ?? [];
}

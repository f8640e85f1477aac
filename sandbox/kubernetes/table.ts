import { conditionOf } from './objects.ts';
import type {
  DaemonSet,
  Deployment,
  EndpointSlice,
  Event,
  Job,
  KubernetesObject,
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  ReplicaSet,
  ResourceName,
  Service,
  StatefulSet,
  VolumeAttachment,
} from './objects.ts';

type Cell = string | number;

interface Column<T> {
  name: string;
  /** 0 is always shown, 1 only with `-o wide`. */
  priority: 0 | 1;
  type: 'string' | 'integer';
  cell: (object: T, now: Date) => Cell;
}

/** Which part of an object goes along with its row. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

function column<T>(name: string, cell: Column<T>['cell'], traits: { wide?: boolean; type?: 'integer' } = {}): Column<T> {
  return { name, priority: traits.wide === true ? 1 : 0, type: traits.type ?? 'string', cell };
}

/** A span of time in two units at most, as kubectl shows it: `5s`, `3m20s`, `4d2h`. */
function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 0) return '0s';
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return withRest(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return withRest(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (days < 8) return withRest(days, 'd', hours % 24, 'h');
  return `${days}d`;
}

function withRest(value: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${value}${unit}` : `${value}${unit}${rest}${restUnit}`;
}

function ageOf(since: string | undefined, now: Date): string {
  return since === undefined ? '<unknown>' : humanDuration(now.getTime() - new Date(since).getTime());
}

const nameColumn = column<KubernetesObject>('Name', ({ metadata }) => metadata.name);
const ageColumn = column<KubernetesObject>('Age', ({ metadata }, now) => ageOf(metadata.creationTimestamp, now));

function nodeStatus(node: Node): string {
  const ready = conditionOf(node, 'Ready')?.status;
  const state = ready === 'True' ? 'Ready' : ready === undefined ? 'Unknown' : 'NotReady';
  return node.spec.unschedulable === true ? `${state},SchedulingDisabled` : state;
}

function address(node: Node, type: string): string {
  return node.status.addresses?.find((one) => one.type === type)?.address ?? '<none>';
}

const nodeColumns: Column<Node>[] = [
  nameColumn,
  column('Status', nodeStatus),
  column('Roles', () => '<none>'),
  ageColumn,
  column('Version', ({ status }) => status.nodeInfo?.kubeletVersion ?? ''),
  column('Internal-IP', (node) => address(node, 'InternalIP'), { wide: true }),
  column('External-IP', (node) => address(node, 'ExternalIP'), { wide: true }),
  column('OS-Image', ({ status }) => status.nodeInfo?.osImage ?? '', { wide: true }),
  column('Kernel-Version', ({ status }) => status.nodeInfo?.kernelVersion ?? '', { wide: true }),
  column('Container-Runtime', ({ status }) => status.nodeInfo?.containerRuntimeVersion ?? '', { wide: true }),
];

function podStatus(pod: Pod): string {
  if (pod.metadata.deletionTimestamp !== undefined) return 'Terminating';
  if (pod.status.phase === 'Succeeded') return 'Completed';
  if (pod.status.phase === 'Failed') return pod.status.reason ?? 'Error';
  const waiting = pod.status.phase === 'Pending' && pod.spec.nodeName !== undefined;
  return waiting ? 'ContainerCreating' : pod.status.phase;
}

function readyContainers(pod: Pod): string {
  return `${(pod.status.containerStatuses ?? []).filter(({ ready }) => ready).length}/${pod.spec.containers.length}`;
}

const podColumns: Column<Pod>[] = [
  nameColumn,
  column('Ready', readyContainers),
  column('Status', podStatus),
  column('Restarts', () => '0'),
  ageColumn,
  column('IP', ({ status }) => status.podIP ?? '<none>', { wide: true }),
  column('Node', ({ spec }) => spec.nodeName ?? '<none>', { wide: true }),
  column('Nominated Node', () => '<none>', { wide: true }),
  column('Readiness Gates', () => '<none>', { wide: true }),
];

function count(object: KubernetesObject, field: string): number {
  return (object.status as Record<string, number> | undefined)?.[field] ?? 0;
}

const deploymentColumns: Column<Deployment>[] = [
  nameColumn,
  column('Ready', (object) => `${count(object, 'readyReplicas')}/${object.spec.replicas}`),
  column('Up-to-date', (object) => count(object, 'updatedReplicas'), { type: 'integer' }),
  column('Available', (object) => count(object, 'availableReplicas'), { type: 'integer' }),
  ageColumn,
];

const replicaSetColumns: Column<ReplicaSet>[] = [
  nameColumn,
  column('Desired', ({ spec }) => spec.replicas, { type: 'integer' }),
  column('Current', (object) => count(object, 'replicas'), { type: 'integer' }),
  column('Ready', (object) => count(object, 'readyReplicas'), { type: 'integer' }),
  ageColumn,
];

const statefulSetColumns: Column<StatefulSet>[] = [
  nameColumn,
  column('Ready', (object) => `${count(object, 'readyReplicas')}/${object.spec.replicas}`),
  ageColumn,
];

const daemonSetColumns: Column<DaemonSet>[] = [
  nameColumn,
  column('Desired', (object) => count(object, 'desiredNumberScheduled'), { type: 'integer' }),
  column('Current', (object) => count(object, 'currentNumberScheduled'), { type: 'integer' }),
  column('Ready', (object) => count(object, 'numberReady'), { type: 'integer' }),
  column('Up-to-date', (object) => count(object, 'updatedNumberScheduled'), { type: 'integer' }),
  column('Available', (object) => count(object, 'numberAvailable'), { type: 'integer' }),
  column('Node Selector', ({ spec }) => selectorText(spec.template.spec.nodeSelector)),
  ageColumn,
];

const budgetColumns: Column<PodDisruptionBudget>[] = [
  nameColumn,
  column('Min Available', ({ spec }) => String(spec.minAvailable ?? 'N/A')),
  column('Max Unavailable', ({ spec }) => String(spec.maxUnavailable ?? 'N/A')),
  column('Allowed Disruptions', ({ status }) => status.disruptionsAllowed, { type: 'integer' }),
  ageColumn,
];

const namespaceColumns: Column<Namespace>[] = [nameColumn, column('Status', ({ status }) => status.phase), ageColumn];

const eventColumns: Column<Event>[] = [
  column('Last Seen', ({ lastTimestamp }, now) => ageOf(lastTimestamp, now)),
  column('Type', ({ type }) => type),
  column('Reason', ({ reason }) => reason),
  column('Object', ({ involvedObject }) => `${involvedObject.kind.toLowerCase()}/${involvedObject.name}`),
  column('Message', ({ message }) => message),
  column('Name', ({ metadata }) => metadata.name, { wide: true }),
];

const jobColumns: Column<Job>[] = [
  nameColumn,
  column('Status', ({ status }) => conditionOf({ status }, 'Complete')?.type ?? conditionOf({ status }, 'Failed')?.type ?? 'Running'),
  column('Completions', ({ spec, status }) => `${status.succeeded ?? 0}/${spec.completions}`),
  column('Duration', ({ status }, now) =>
    ageOf(status.startTime, status.completionTime === undefined ? now : new Date(status.completionTime)),
  ),
  ageColumn,
];

const volumeColumns: Column<PersistentVolume>[] = [
  nameColumn,
  column('Capacity', ({ spec }) => spec.capacity?.storage ?? ''),
  column('Status', ({ status }) => status.phase),
  column('Claim', ({ spec }) => (spec.claimRef ? `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}` : '')),
  ageColumn,
];

const claimColumns: Column<PersistentVolumeClaim>[] = [
  nameColumn,
  column('Status', ({ status }) => status.phase),
  column('Volume', ({ spec }) => spec.volumeName ?? ''),
  ageColumn,
];

const attachmentColumns: Column<VolumeAttachment>[] = [
  nameColumn,
  column('Attacher', ({ spec }) => spec.attacher),
  column('PV', ({ spec }) => spec.source.persistentVolumeName ?? ''),
  column('Node', ({ spec }) => spec.nodeName),
  column('Attached', ({ status }) => String(status.attached)),
  ageColumn,
];

const serviceColumns: Column<Service>[] = [
  nameColumn,
  column('Type', ({ spec }) => spec.type ?? 'ClusterIP'),
  column('Cluster-IP', ({ spec }) => spec.clusterIP ?? '<none>'),
  column('External-IP', () => '<none>'),
  column('Port(s)', ({ spec }) => (spec.ports ?? []).map(({ port, protocol }) => `${port}/${protocol ?? 'TCP'}`).join(',') || '<none>'),
  ageColumn,
  column('Selector', ({ spec }) => selectorText(spec.selector), { wide: true }),
];

const endpointSliceColumns: Column<EndpointSlice>[] = [
  nameColumn,
  column('AddressType', ({ addressType }) => addressType),
  column('Ports', ({ ports }) => firstOf(ports.map(({ port }) => String(port)))),
  column('Endpoints', ({ endpoints }) => firstOf(endpoints.flatMap(({ addresses }) => addresses))),
  ageColumn,
];

/** The first three, as the API server tells them. */
function firstOf(texts: readonly string[]): string {
  const rest = texts.length > 3 ? ` + ${texts.length - 3} more...` : '';
  return texts.length === 0 ? '<unset>' : `${texts.slice(0, 3).join(',')}${rest}`;
}

function selectorText(selector: Record<string, string> | undefined): string {
  const pairs = Object.entries(selector ?? {}).map(([key, value]) => `${key}=${value}`);
  return pairs.join(',') || '<none>';
}

/** Of kinds that are only kept. */
const plainColumns: Column<KubernetesObject>[] = [nameColumn, ageColumn];

const columnsOf: Record<ResourceName, Column<never>[]> = {
  apiservices: plainColumns,
  configmaps: plainColumns,
  cronjobs: plainColumns,
  customresourcedefinitions: plainColumns,
  ingresses: plainColumns,
  mutatingwebhookconfigurations: plainColumns,
  nodepools: plainColumns,
  secrets: plainColumns,
  services: serviceColumns,
  endpointslices: endpointSliceColumns,
  validatingadmissionpolicies: plainColumns,
  validatingadmissionpolicybindings: plainColumns,
  storageclasses: plainColumns,
  validatingwebhookconfigurations: plainColumns,
  daemonsets: daemonSetColumns,
  deployments: deploymentColumns,
  events: eventColumns,
  jobs: jobColumns,
  namespaces: namespaceColumns,
  nodes: nodeColumns,
  persistentvolumeclaims: claimColumns,
  persistentvolumes: volumeColumns,
  poddisruptionbudgets: budgetColumns,
  pods: podColumns,
  replicasets: replicaSetColumns,
  statefulsets: statefulSetColumns,
  volumeattachments: attachmentColumns,
};

/** The metadata of an object as a thing of its own. */
export function partialMetadata({ metadata }: KubernetesObject): object {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata };
}

/** The Table that `kubectl get` prints: a row of cells for each object. */
export function toTable(
  resource: ResourceName,
  objects: KubernetesObject[],
  { now, include, metadata, headers = true }: { now: Date; include: IncludeObject; metadata: object; headers?: boolean },
): object {
  const columns = columnsOf[resource] as unknown as Column<KubernetesObject>[];
  const rows = objects.map((object) => ({
    cells: columns.map(({ cell }) => cell(object, now)),
    ...(include === 'None' ? {} : { object: include === 'Object' ? object : partialMetadata(object) }),
  }));
  const columnDefinitions = columns.map(({ name, type, priority }) => ({
    name,
    type,
    priority,
    format: name === 'Name' ? 'name' : '',
    description: '',
  }));
  return { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata, columnDefinitions: headers ? columnDefinitions : null, rows };
}

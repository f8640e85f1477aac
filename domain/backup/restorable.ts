import { isObject, type Json, type JsonObject } from '../json.ts';
import { typeNameOf, type ServedType } from './export.ts';

/** What is restored first: what others need to be there. Types that are not named come with the custom resources. */
const waves: readonly (readonly string[])[] = [
  ['customresourcedefinitions.apiextensions.k8s.io'],
  ['namespaces'],
  [
    'priorityclasses.scheduling.k8s.io',
    'storageclasses.storage.k8s.io',
    'volumeattributesclasses.storage.k8s.io',
    'csidrivers.storage.k8s.io',
    'runtimeclasses.node.k8s.io',
    'ingressclasses.networking.k8s.io',
    'deviceclasses.resource.k8s.io',
    'serviceaccounts',
  ],
  [
    'clusterroles.rbac.authorization.k8s.io',
    'roles.rbac.authorization.k8s.io',
    'clusterrolebindings.rbac.authorization.k8s.io',
    'rolebindings.rbac.authorization.k8s.io',
  ],
  ['secrets', 'configmaps', 'limitranges', 'resourcequotas', 'persistentvolumes'],
  ['persistentvolumeclaims', 'services', 'networkpolicies.networking.k8s.io', 'poddisruptionbudgets.policy'],
  [
    'deployments.apps',
    'statefulsets.apps',
    'daemonsets.apps',
    'replicasets.apps',
    'cronjobs.batch',
    'replicationcontrollers',
    'podtemplates',
    'endpoints',
    'endpointslices.discovery.k8s.io',
  ],
];
const lastWaves: readonly (readonly string[])[] = [
  ['horizontalpodautoscalers.autoscaling', 'ingresses.networking.k8s.io'],
  // What admits or serves others comes last: before its workloads run, it would refuse what is restored after it.
  [
    'validatingadmissionpolicies.admissionregistration.k8s.io',
    'validatingadmissionpolicybindings.admissionregistration.k8s.io',
    'mutatingadmissionpolicies.admissionregistration.k8s.io',
    'mutatingadmissionpolicybindings.admissionregistration.k8s.io',
    'validatingwebhookconfigurations.admissionregistration.k8s.io',
    'mutatingwebhookconfigurations.admissionregistration.k8s.io',
    'apiservices.apiregistration.k8s.io',
  ],
];

/** The place of a type in the order of a restore; lower ones come first. */
export function waveOf(type: Pick<ServedType, 'group' | 'resource'>): number {
  const name = typeNameOf(type);
  const first = waves.findIndex((wave) => wave.includes(name));
  if (first >= 0) return first;
  const last = lastWaves.findIndex((wave) => wave.includes(name));
  return last >= 0 ? waves.length + 1 + last : waves.length;
}

/** Types that are never restored, and why: half a sentence behind the name of the type. */
const neverRestored: Readonly<Record<string, string>> = {
  events: 'tell of what has happened',
  'events.events.k8s.io': 'tell of what has happened',
  'leases.coordination.k8s.io': 'are held by programs that run',
  nodes: 'are registered by their kubelets',
  'csinodes.storage.k8s.io': 'are registered by their kubelets',
  'csistoragecapacities.storage.k8s.io': 'are written by storage drivers',
  'volumeattachments.storage.k8s.io': 'are made as pods are placed',
  'resourceslices.resource.k8s.io': 'are written by drivers',
  'certificatesigningrequests.certificates.k8s.io': 'have been answered',
  'ipaddresses.networking.k8s.io': 'are given out by the API server',
  'servicecidrs.networking.k8s.io': 'belong to the network of one cluster',
  'controllerrevisions.apps': 'are written by controllers',
  pods: 'are made by their controllers; one without a controller may have been meant to run once',
  'jobs.batch': 'would run a second time',
};

const controllersOfTheirOwn = ['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob', 'Service', 'Node'];
const ownNamespaces = ['kube-node-lease', 'kube-public'];

/**
 * Why an object of a backup is not restored: half a sentence without a full stop; undefined where it is. What the cluster makes by
 * itself, what stands for something that runs, and what would do something a second time, is left to the cluster.
 */
export function whyNotRestored(object: JsonObject, type: ServedType & { isAggregated?: boolean }): string | undefined {
  const name = typeNameOf(type);
  const never = neverRestored[name];
  if (never !== undefined) return never;
  const metadata = isObject(object.metadata) ? object.metadata : {};
  if (metadata.deletionTimestamp !== undefined) return 'was being deleted';
  const owner = controllerOf(metadata);
  if (owner !== undefined && controllersOfTheirOwn.includes(owner)) return `is made by its ${owner}`;
  return whyLeftToServer(name, object, metadata) ?? (hasHugeNumber(object) ? 'has a number that cannot be carried exactly' : undefined);
}

function controllerOf(metadata: JsonObject): string | undefined {
  const owners = Array.isArray(metadata.ownerReferences) ? metadata.ownerReferences : [];
  const controller = owners.find((owner) => isObject(owner) && owner.controller === true);
  return isObject(controller) && typeof controller.kind === 'string' ? controller.kind : undefined;
}

function whyLeftToServer(type: string, object: JsonObject, metadata: JsonObject): string | undefined {
  const labels = isObject(metadata.labels) ? metadata.labels : {};
  const annotations = isObject(metadata.annotations) ? metadata.annotations : {};
  const { name, namespace } = metadata;
  const own = 'is kept by the API server';
  if (labels['kubernetes.io/bootstrapping'] === 'rbac-defaults') return own;
  if (annotations['apf.kubernetes.io/autoupdate-spec'] === 'true') return own;
  if (labels['kube-aggregator.kubernetes.io/automanaged'] !== undefined) return own;
  if (type === 'priorityclasses.scheduling.k8s.io' && typeof name === 'string' && name.startsWith('system-')) return own;
  if (type === 'configmaps' && name === 'kube-root-ca.crt') return 'holds the authority of one cluster';
  if (type === 'configmaps' && namespace === 'kube-system' && isOneOf(name, ['extension-apiserver-authentication'])) return own;
  if (type === 'secrets' && object.type === 'kubernetes.io/service-account-token') return 'is a token of one cluster';
  if (type === 'secrets' && object.type === 'bootstrap.kubernetes.io/token') return 'is a token of one cluster';
  if (type === 'services' && namespace === 'default' && name === 'kubernetes') return own;
  if (['endpoints', 'endpointslices.discovery.k8s.io'].includes(type) && namespace === 'default' && name === 'kubernetes') return own;
  if (type === 'endpoints') return 'is written by the controller of its Service';
  if (type === 'namespaces' && isOneOf(name, ownNamespaces)) return own;
  return undefined;
}

function isOneOf(value: Json | undefined, names: readonly string[]): boolean {
  return typeof value === 'string' && names.includes(value);
}

/** Numbers beyond 2^53 are rounded when they are read; none may be put back changed. */
function hasHugeNumber(value: Json): boolean {
  if (typeof value === 'number') return !Number.isSafeInteger(value) && Math.abs(value) > Number.MAX_SAFE_INTEGER;
  if (Array.isArray(value)) return value.some(hasHugeNumber);
  return isObject(value) && Object.values(value).some(hasHugeNumber);
}

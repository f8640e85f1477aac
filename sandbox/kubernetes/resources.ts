import type { GroupResource } from './errors.ts';
import type { ResourceName } from './objects.ts';

/** How a kind is served. */
export interface ResourceDefinition {
  group: string;
  version: string;
  resource: ResourceName;
  kind: string;
  singular: string;
  shortNames: string[];
  categories: string[];
  namespaced: boolean;
  /** Whether it has a status that is written apart from the rest. */
  status: boolean;
  /** Whether it has a scale. */
  scale: boolean;
  /** Whether the server counts the changes of its spec in `metadata.generation`. */
  generation: boolean;
  /** The CustomResourceDefinition without which the server does not know the kind. */
  definedBy?: string;
}

function define(
  group: string,
  resource: ResourceName,
  kind: string,
  shortNames: string[],
  traits: Partial<ResourceDefinition> = {},
): ResourceDefinition {
  const defaults = { categories: [], namespaced: true, status: true, scale: false, generation: false };
  return { group, version: 'v1', resource, kind, singular: kind.toLowerCase(), shortNames, ...defaults, ...traits };
}

export const resources: readonly ResourceDefinition[] = [
  define('', 'namespaces', 'Namespace', ['ns'], { namespaced: false }),
  define('', 'nodes', 'Node', ['no'], { namespaced: false }),
  define('', 'pods', 'Pod', ['po'], { categories: ['all'] }),
  define('', 'events', 'Event', ['ev'], { status: false }),
  define('', 'persistentvolumes', 'PersistentVolume', ['pv'], { namespaced: false }),
  define('', 'persistentvolumeclaims', 'PersistentVolumeClaim', ['pvc']),
  define('apps', 'deployments', 'Deployment', ['deploy'], { categories: ['all'], scale: true, generation: true }),
  define('apps', 'replicasets', 'ReplicaSet', ['rs'], { categories: ['all'], scale: true, generation: true }),
  define('apps', 'statefulsets', 'StatefulSet', ['sts'], { categories: ['all'], scale: true, generation: true }),
  define('apps', 'daemonsets', 'DaemonSet', ['ds'], { categories: ['all'], generation: true }),
  define('batch', 'jobs', 'Job', [], { categories: ['all'], generation: true }),
  define('storage.k8s.io', 'volumeattachments', 'VolumeAttachment', [], { namespaced: false }),
  define('admissionregistration.k8s.io', 'validatingwebhookconfigurations', 'ValidatingWebhookConfiguration', [], {
    namespaced: false,
    status: false,
    generation: true,
  }),
  define('admissionregistration.k8s.io', 'mutatingwebhookconfigurations', 'MutatingWebhookConfiguration', [], {
    namespaced: false,
    status: false,
    generation: true,
  }),
  define('apiregistration.k8s.io', 'apiservices', 'APIService', [], { namespaced: false }),
  define('policy', 'poddisruptionbudgets', 'PodDisruptionBudget', ['pdb'], { generation: true }),
  define('', 'services', 'Service', ['svc'], { categories: ['all'] }),
  define('discovery.k8s.io', 'endpointslices', 'EndpointSlice', [], { status: false, generation: true }),
  define('admissionregistration.k8s.io', 'validatingadmissionpolicies', 'ValidatingAdmissionPolicy', [], {
    namespaced: false,
    generation: true,
  }),
  define('admissionregistration.k8s.io', 'validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding', [], {
    namespaced: false,
    status: false,
    generation: true,
  }),
  // Kept and served as they were applied; nothing in the sandbox acts on them.
  define('', 'configmaps', 'ConfigMap', ['cm'], { status: false }),
  define('', 'secrets', 'Secret', [], { status: false }),
  define('batch', 'cronjobs', 'CronJob', ['cj'], { categories: ['all'] }),
  define('networking.k8s.io', 'ingresses', 'Ingress', ['ing']),
  define('storage.k8s.io', 'storageclasses', 'StorageClass', ['sc'], { namespaced: false, status: false }),
  define('apiextensions.k8s.io', 'customresourcedefinitions', 'CustomResourceDefinition', ['crd'], { namespaced: false }),
  define('karpenter.sh', 'nodepools', 'NodePool', [], { namespaced: false, generation: true, definedBy: 'nodepools.karpenter.sh' }),
];

const byName = new Map(resources.map((definition) => [definition.resource, definition]));

/** The definition of a resource that the sandbox keeps. */
export function definitionOf(resource: ResourceName): ResourceDefinition {
  const definition = byName.get(resource);
  if (!definition) throw new Error(`the sandbox keeps no resource called ${resource}`);
  return definition;
}

/** The definition of what is served under a plural of a group and version. */
export function findDefinition(group: string, version: string, plural: string): ResourceDefinition | undefined {
  return resources.find((definition) => definition.group === group && definition.version === version && definition.resource === plural);
}

/** The definition of a kind, for objects that are given as manifests. */
export function definitionOfKind(apiVersion: string, kind: string): ResourceDefinition | undefined {
  return resources.find((definition) => definition.kind === kind && apiVersionOf(definition) === apiVersion);
}

export function apiVersionOf(definition: ResourceDefinition): string {
  return definition.group === '' ? definition.version : `${definition.group}/${definition.version}`;
}

export function groupResourceOf(resource: ResourceName): GroupResource {
  return { group: definitionOf(resource).group, resource };
}

import type { V1Container, V1Node, V1PodSpec, V1PodTemplateSpec, V1StorageClass, V1PersistentVolume } from '@kubernetes/client-node';
import type {
  AddressingView,
  ContainerView,
  CustomKindView,
  NodeView,
  ServiceView,
  StorageView,
  VolumeView,
  WebhookView,
  WorkloadView,
  WrittenVersion,
} from '../../domain/preflight/snapshot.ts';
import { nodeIsReady } from '../kubernetes/client/read.ts';

const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';
/** An annotation is 256 KB at most; the API version stands at its beginning, as kubectl writes keys in their order. */
const writtenCharactersMax = 300 * 1024;
/** Of a script, more is not looked at. */
const commandCharactersMax = 4 * 1024;
/** Volume drivers inside Kubernetes, by the field of a volume. */
const inTreeFields = [
  'awsElasticBlockStore',
  'gcePersistentDisk',
  'azureDisk',
  'azureFile',
  'cinder',
  'vsphereVolume',
  'portworxVolume',
  'glusterfs',
  'cephfs',
  'rbd',
  'flocker',
  'quobyte',
  'storageos',
  'scaleIO',
] as const;
const inTreeProvisioners = /^kubernetes\.io\/(aws-ebs|gce-pd|azure-disk|azure-file|cinder|vsphere-volume|portworx-volume|glusterfs|rbd)$/;

/** An object of a list, with what workloads have in common. */
export interface ListedWorkload {
  metadata?: {
    namespace?: string;
    name?: string;
    annotations?: Record<string, string>;
    ownerReferences?: { apiVersion: string; kind: string; controller?: boolean }[];
  };
  spec?: object;
}

interface WorkloadSpec {
  replicas?: number;
  minReadySeconds?: number;
  template?: V1PodTemplateSpec;
  jobTemplate?: { spec?: { template?: V1PodTemplateSpec } };
}

/** What checks need of what makes pods; undefined where another controller of Kubernetes has made it, which is looked at itself. */
export function workloadView(kind: string, { metadata, spec }: ListedWorkload): WorkloadView | undefined {
  const owner = metadata?.ownerReferences?.find(({ controller }) => controller === true);
  if (owner && isOfKubernetes(owner.apiVersion)) return undefined;
  const { replicas, minReadySeconds = 0, template, jobTemplate } = (spec ?? {}) as WorkloadSpec;
  const pods = template ?? jobTemplate?.spec?.template;
  // The API server fills in 1 where nothing is said.
  const count = ['DaemonSet', 'Job', 'CronJob'].includes(kind) ? undefined : (replicas ?? 1);
  return {
    ...nameOf(kind, metadata),
    isOwned: owner !== undefined,
    replicas: count,
    minReadySeconds,
    ...podsOf(pods?.metadata?.labels, pods?.spec),
    ...(isVpcCni(kind, metadata) && { addressing: addressingView(pods?.spec) }),
  };
}

function isVpcCni(kind: string, metadata: ListedWorkload['metadata']): boolean {
  return kind === 'DaemonSet' && metadata?.namespace === 'kube-system' && metadata.name === 'aws-node';
}

/** What it sets by its environment, with its own defaults where it sets nothing. */
function addressingView(spec?: V1PodSpec): AddressingView {
  const settings = new Map((spec?.containers ?? []).flatMap(({ env = [] }) => env.map(({ name, value }) => [name, value])));
  const numberOf = (name: string, standard: number): number => {
    const number = Number(settings.get(name) ?? standard);
    return Number.isInteger(number) && number >= 0 ? number : standard;
  };
  return {
    inPrefixes: settings.get('ENABLE_PREFIX_DELEGATION') === 'true',
    inOwnSubnets: settings.get('AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG') === 'true',
    warmInterfaces: numberOf('WARM_ENI_TARGET', 1),
    warmPrefixes: numberOf('WARM_PREFIX_TARGET', 1),
    warmAddresses: numberOf('WARM_IP_TARGET', 0),
    addressesMin: numberOf('MINIMUM_IP_TARGET', 0),
  };
}

/** The same of a pod that no controller of Kubernetes has made; undefined of other pods, of which their controllers tell. */
export function barePodView({
  metadata,
  spec,
}: ListedWorkload & { metadata?: { labels?: Record<string, string> } }): WorkloadView | undefined {
  const owner = metadata?.ownerReferences?.find(({ controller }) => controller === true);
  const isMirror = metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined;
  if (isMirror || (owner && isOfKubernetes(owner.apiVersion))) return undefined;
  return { ...nameOf('Pod', metadata), isOwned: owner !== undefined, minReadySeconds: 0, ...podsOf(metadata?.labels, spec as V1PodSpec) };
}

/** What a node tells of itself. */
export function nodeView(node: V1Node): NodeView {
  const { kubeletVersion = '', containerRuntimeVersion: runtimeVersion = '' } = node.status?.nodeInfo ?? {};
  const { name = '', labels = {} } = node.metadata ?? {};
  return { name, labels, kubeletVersion, runtimeVersion, ready: nodeIsReady(node) };
}

/** The API version that an object was last applied in, if one is kept with it. Nothing else of the annotation is kept. */
export function writtenView({ metadata }: ListedWorkload): WrittenVersion | undefined {
  const text = metadata?.annotations?.[lastAppliedAnnotation];
  if (text === undefined || text.length > writtenCharactersMax) return undefined;
  try {
    const { apiVersion, kind } = JSON.parse(text) as { apiVersion?: unknown; kind?: unknown };
    if (typeof apiVersion !== 'string' || typeof kind !== 'string') return undefined;
    return { ...nameOf(kind, metadata), apiVersion, where: 'Its last-applied annotation' };
  } catch {
    return undefined;
  }
}

/** The webhooks of an admission configuration. */
export function webhookViews(kind: string, object: object): WebhookView[] {
  const { metadata, webhooks = [] } = object as {
    metadata?: ListedWorkload['metadata'];
    webhooks?: {
      name: string;
      failurePolicy?: string;
      clientConfig?: { service?: { namespace: string; name: string } };
      rules?: { apiGroups?: string[]; apiVersions?: string[]; resources?: string[] }[];
    }[];
  };
  return webhooks.map(({ name, failurePolicy = 'Fail', clientConfig, rules = [] }) => ({
    configuration: nameOf(kind, metadata),
    name,
    failsClosed: failurePolicy === 'Fail',
    service: clientConfig?.service && { namespace: clientConfig.service.namespace, name: clientConfig.service.name },
    rules: rules.map(({ apiGroups = [], apiVersions = [], resources = [] }) => ({
      apiVersions: apiGroups.flatMap((group) => apiVersions.map((version) => (group === '' ? version : `${group}/${version}`))),
      resources,
    })),
  }));
}

/** A Service with its selector. */
export function serviceView(object: object): ServiceView {
  const { metadata, spec } = object as { metadata?: ListedWorkload['metadata']; spec?: { selector?: Record<string, string> } };
  return { namespace: metadata?.namespace ?? '', name: metadata?.name ?? '', selector: spec?.selector ?? {} };
}

/** The versions of a custom kind. */
export function customKindView(object: object): CustomKindView {
  const { metadata, spec, status } = object as {
    metadata?: ListedWorkload['metadata'];
    spec?: { versions?: { name: string; served: boolean }[] };
    status?: { storedVersions?: string[] };
  };
  const served = (spec?.versions ?? []).filter((version) => version.served).map(({ name }) => name);
  return { name: metadata?.name ?? '', stored: status?.storedVersions ?? [], served };
}

/** A persistent volume that names a driver inside Kubernetes. */
export function volumeView({ metadata, spec }: V1PersistentVolume): StorageView | undefined {
  const driver = inTreeFields.find((field) => (spec as Record<string, unknown> | undefined)?.[field] !== undefined);
  return driver && { ...nameOf('PersistentVolume', metadata), driver };
}

/** A storage class that names a driver inside Kubernetes. */
export function storageClassView({ metadata, provisioner }: V1StorageClass): StorageView | undefined {
  return inTreeProvisioners.test(provisioner) ? { ...nameOf('StorageClass', metadata), driver: provisioner } : undefined;
}

function podsOf(
  labels: Record<string, string> = {},
  spec?: V1PodSpec,
): Pick<WorkloadView, 'labels' | 'containers' | 'volumes' | 'graceSeconds' | 'isSpread'> {
  const spreads = (spec?.topologySpreadConstraints ?? []).length > 0;
  return {
    labels,
    containers: (spec?.containers ?? []).map(containerView),
    volumes: (spec?.volumes ?? []).flatMap((volume): VolumeView[] => {
      if (volume.hostPath) return [{ hostPath: volume.hostPath.path }];
      const inTree = inTreeFields.find((field) => (volume as unknown as Record<string, unknown>)[field] !== undefined);
      return inTree ? [{ inTree }] : [];
    }),
    graceSeconds: spec?.terminationGracePeriodSeconds,
    isSpread: spreads || spec?.affinity?.podAntiAffinity !== undefined,
  };
}

function containerView({ name, image = '', command = [], args = [], readinessProbe, ports = [] }: V1Container): ContainerView {
  return {
    name,
    image,
    command: [...command, ...args].map((word) => word.slice(0, commandCharactersMax)),
    hasReadinessProbe: readinessProbe !== undefined,
    hasPorts: ports.length > 0,
  };
}

function isOfKubernetes(apiVersion: string): boolean {
  return ['v1', 'apps/v1', 'batch/v1'].includes(apiVersion);
}

function nameOf(
  kind: string,
  metadata: { namespace?: string; name?: string } | undefined,
): { kind: string; namespace: string; name: string } {
  return { kind, namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' };
}

import type { V1ConfigMap, V1PersistentVolume, V1StorageClass } from '@kubernetes/client-node';
import type { PodView } from '../../domain/drain/pod.ts';
import type { Snapshot, WorkloadView, WrittenVersion } from '../../domain/preflight/snapshot.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { kubernetesCode, kubernetesError } from '../failure.ts';
import { apiPath, type KubernetesApis } from '../kubernetes/client/connect.ts';
import { kinds, viewedAs } from '../kubernetes/client/kinds.ts';
import { readPatiently, type Kind, type ListOptions } from '../kubernetes/client/list.ts';
import { listAll, listBudgets } from '../kubernetes/client/read.ts';
import { podView } from '../kubernetes/drain/view.ts';
import { releaseVersions } from './helm-release.ts';
import { reading } from './reading.ts';
import {
  barePodView,
  customKindView,
  nodeView,
  serviceView,
  storageClassView,
  volumeView,
  webhookViews,
  workloadView,
  writtenView,
  type ListedWorkload,
} from './views.ts';

/** Kinds that make pods. */
const workloadKinds: readonly { kind: string; path: string }[] = [
  { kind: 'Deployment', path: '/apis/apps/v1/deployments' },
  { kind: 'StatefulSet', path: '/apis/apps/v1/statefulsets' },
  { kind: 'DaemonSet', path: '/apis/apps/v1/daemonsets' },
  { kind: 'ReplicaSet', path: '/apis/apps/v1/replicasets' },
  { kind: 'ReplicationController', path: '/api/v1/replicationcontrollers' },
  { kind: 'Job', path: '/apis/batch/v1/jobs' },
  { kind: 'CronJob', path: '/apis/batch/v1/cronjobs' },
];
/** Kinds beside those, and beside budgets, that API versions have gone of. */
const otherWrittenKinds: readonly { title: string; path: string }[] = [
  { title: 'ingresses', path: '/apis/networking.k8s.io/v1/ingresses' },
  { title: 'network policies', path: '/apis/networking.k8s.io/v1/networkpolicies' },
  { title: 'horizontal pod autoscalers', path: '/apis/autoscaling/v2/horizontalpodautoscalers' },
  { title: 'flow schemas', path: '/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas' },
  { title: 'cluster roles', path: '/apis/rbac.authorization.k8s.io/v1/clusterroles' },
  { title: 'priority classes', path: '/apis/scheduling.k8s.io/v1/priorityclasses' },
];

/** The version of the control plane, as its API says it. Throws `kubernetes-…` errors. */
export async function serverVersion(apis: KubernetesApis, cluster: string): Promise<string> {
  const { gitVersion = '' } = await readPatiently(() => apis.request<{ gitVersion?: string }>('GET', '/version')).catch((error: unknown) =>
    Promise.reject(kubernetesError(error, 'read the version', cluster)),
  );
  return gitVersion;
}

type List = <Item>(kind: Kind<Item>, options?: ListOptions) => Promise<Item[]>;

/** What the Kubernetes API tells of a cluster, each list read once, page by page; of each object only what checks need is kept. */
export async function readKubernetesParts(apis: KubernetesApis, cluster: string): Promise<Snapshot> {
  const list: List = (kind, options) => listAll(apis, cluster, kind, options);
  const controllers = await reading(() => readControllers(list));
  const pods = await reading(async () =>
    list(viewedAs(kinds.pods, (pod) => ({ pod: podView(pod), bare: barePodView(pod as ListedWorkload) }))),
  );
  const bare = 'value' in pods ? pods.value.flatMap(({ pod, bare: own }) => (own && !hasEnded(pod) ? own : [])) : [];
  const unread = 'unread' in controllers ? controllers : 'unread' in pods ? pods : undefined;
  const found = 'value' in controllers ? controllers.value : [];
  return {
    pods: 'value' in pods ? { value: pods.value.map(({ pod }) => pod) } : pods,
    workloads: unread ?? { value: [...found.flatMap(({ workload }) => workload ?? []), ...bare] },
    written: unread ?? (await reading(async () => [...found.flatMap(({ written }) => written ?? []), ...(await readOtherWritten(list))])),
    nodes: await reading(async () => list(viewedAs(kinds.nodes, nodeView))),
    budgets: await reading(async () => listBudgets(apis, cluster)),
    ...(await readMoreParts(apis, list)),
  };
}

async function readControllers(list: List): Promise<{ workload?: WorkloadView; written?: WrittenVersion }[]> {
  const found: { workload?: WorkloadView; written?: WrittenVersion }[] = [];
  for (const { kind, path } of workloadKinds) {
    const view = (object: object): (typeof found)[number] => {
      return { workload: workloadView(kind, object), written: writtenView(object) };
    };
    for (const one of await ifServed(list({ title: `${kind}s`, path, view }))) if (one.workload || one.written) found.push(one);
  }
  return found;
}

/** What was applied of kinds that make no pods. */
async function readOtherWritten(list: List): Promise<WrittenVersion[]> {
  const found: WrittenVersion[] = [];
  for (const { title, path } of [...otherWrittenKinds, kinds.budgets]) {
    const view = (object: object): WrittenVersion | undefined => writtenView(object);
    found.push(...(await ifServed(list({ title, path, view }))).flatMap((one) => one ?? []));
  }
  return found;
}

function hasEnded({ phase }: PodView): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}

async function readMoreParts(apis: KubernetesApis, list: List): Promise<Snapshot> {
  return {
    storage: await reading(async () => {
      const volumes = await list({ ...kinds.volumes, view: (object) => volumeView(object as V1PersistentVolume) });
      const path = '/apis/storage.k8s.io/v1/storageclasses';
      const classes = ifServed(list({ title: 'storage classes', path, view: (object) => storageClassView(object as V1StorageClass) }));
      return [...volumes, ...(await classes)].flatMap((one) => one ?? []);
    }),
    helmReleases: await reading(async () => {
      const kind = { title: 'Secrets of Helm releases', path: '/api/v1/secrets', view: releaseVersions };
      return (await list(kind, { fieldSelector: 'type=helm.sh/release.v1', labelSelector: 'owner=helm,status=deployed' })).flat();
    }),
    webhooks: await reading(async () => {
      const validating = await list(viewedAs(kinds.validatingWebhooks, (object) => webhookViews('ValidatingWebhookConfiguration', object)));
      const mutating = await list(viewedAs(kinds.mutatingWebhooks, (object) => webhookViews('MutatingWebhookConfiguration', object)));
      return [...validating, ...mutating].flat();
    }),
    services: await reading(async () => list({ title: 'services', path: '/api/v1/services', view: serviceView })),
    customKinds: await reading(async () => {
      return list({ title: 'custom kinds', path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', view: customKindView });
    }),
    kubeProxyMode: await reading(() => kubeProxyMode(apis)),
  };
}

/** The subnets that custom networking of the VPC CNI gives to pods; none where it is not used. */
export async function podSubnets(apis: KubernetesApis, cluster: string): Promise<string[]> {
  const view = (object: object): string => (object as { spec?: { subnet?: string } }).spec?.subnet ?? '';
  const path = '/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs';
  return (await ifServed(listAll(apis, cluster, { title: 'ENIConfigs', path, view }))).filter((id) => id !== '');
}

async function kubeProxyMode(apis: KubernetesApis): Promise<string> {
  try {
    const path = apiPath`/api/v1/namespaces/kube-system/configmaps/${'kube-proxy-config'}`;
    const { data = {} } = await readPatiently(() => apis.request<V1ConfigMap>('GET', path));
    return /^mode:[ \t]*["']?(\w+)/m.exec(data.config ?? '')?.[1] ?? '';
  } catch (error) {
    if (kubernetesCode(error) === 404) return '';
    throw kubernetesError(error, 'read the configuration of kube-proxy', '');
  }
}

/** A list of a kind that a cluster need not serve: there are none of it then. */
async function ifServed<Item>(list: Promise<Item[]>): Promise<Item[]> {
  return list.catch((error: unknown) => {
    if (error instanceof HoldpointError && kubernetesCode(error.cause) === 404) return [];
    throw error;
  });
}

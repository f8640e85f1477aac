import { gzipSync } from 'node:zlib';
import type { ClusterSeed, InsightSeed, Manifest } from '../../sandbox/seed.ts';

const region = 'eu-central-1';
const shop = 'shop';
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

function insight(name: string, status: InsightSeed['status']): InsightSeed {
  return {
    name,
    category: 'UPGRADE_READINESS',
    kubernetesVersion: '1.34',
    status,
    reason: `${name} is ${status}.`,
    description: name,
    recommendation: 'Update the clients.',
    resources: [],
    deprecations: [],
  };
}

interface Flaw {
  kind?: string;
  namespace?: string;
  replicas?: number;
  minReadySeconds?: number;
  labels?: Record<string, string>;
  container?: object;
  pod?: object;
}

/** A workload that no check has anything against, but for its flaw. */
function workload(name: string, flaw: Flaw = {}): Manifest {
  const { kind = 'Deployment', namespace = shop, replicas = 2, minReadySeconds = 5, labels = { covered: 'yes' }, container, pod } = flaw;
  const selector = { matchLabels: { app: name } };
  const main = {
    name: 'main',
    image: 'registry.example.com/main:1',
    ports: [{ containerPort: 8080 }],
    readinessProbe: { httpGet: { path: '/', port: 8080 } },
    resources: { requests: { cpu: '10m', memory: '16Mi' } },
    ...container,
  };
  const topologySpreadConstraints = [
    { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway', labelSelector: selector },
  ];
  const spec = { topologySpreadConstraints, containers: [main], ...pod };
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, namespace },
    spec: { replicas, minReadySeconds, selector, template: { metadata: { labels: { app: name, ...labels } }, spec } },
  };
}

function budget(name: string, matchLabels: Record<string, string>, spec: object): Manifest {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name, namespace: shop },
    spec: { selector: { matchLabels }, ...spec },
  };
}

function release(manifest: string): Manifest {
  const packed = gzipSync(JSON.stringify({ name: 'old-chart', manifest, config: { password: 'hunter2' } })).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: 'sh.helm.release.v1.old-chart.v3',
      namespace: shop,
      labels: { owner: 'helm', status: 'deployed', name: 'old-chart', version: '3' },
    },
    type: 'helm.sh/release.v1',
    data: { release: Buffer.from(packed).toString('base64') },
  };
}

function webhook(name: string, service: string, rules: object[]): Manifest {
  const clientConfig = { service: { namespace: shop, name: service } };
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name },
    webhooks: [
      { name: `${name}.example.com`, failurePolicy: 'Fail', clientConfig, rules, sideEffects: 'None', admissionReviewVersions: ['v1'] },
    ],
  };
}

function service(name: string): Manifest {
  const spec = { selector: { app: name }, ports: [{ port: 443 }] };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: shop }, spec };
}

const zones = [`${region}a`, `${region}b`, `${region}c`];
const blue = {
  name: 'blue',
  size: 3,
  minSize: 0,
  maxSize: 10,
  instanceType: 'm6i.2xlarge',
  amiType: 'AL2023_x86_64_STANDARD',
  version: '1.33',
  releaseVersion: '1.33.3-20260415',
  zones,
  labels: {},
};
const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: shop } };
const podRules = [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }];
/** Two interfaces and a warm one, of 15 addresses each, for each node. */
const cni = workload('aws-node', { kind: 'DaemonSet', namespace: 'kube-system', container: { image: 'amazon-k8s-cni:v1.21.1' } });
/** What no check has anything against. */
export const sound: Manifest[] = [
  namespace,
  cni,
  workload('sound'),
  budget('covered', { covered: 'yes' }, { maxUnavailable: 1 }),
  service('sound'),
];
/** It fails closed, and is served by two pods. */
export const soundWebhook = webhook('sound', 'sound', podRules);

/** A cluster that no check has anything against. */
export const cleanCluster: ClusterSeed = {
  name: 'clean',
  region,
  version: '1.33',
  nodegroups: [blue],
  insights: [insight('Kubelet version skew', 'PASSING')],
  manifests: [...sound, soundWebhook],
};

const hostPath = (path: string): object => ({ volumes: [{ name: 'v', hostPath: { path } }] });
const written = (kind: string, apiVersion: string): Record<string, string> => ({
  [lastApplied]: JSON.stringify({ apiVersion, kind, metadata: {}, spec: { secret: 'hunter2' } }),
});

/** An object with one problem each; what has versions is of `other` or `newer` ones than those of the cluster. */
export function plantedManifests({ other, newer }: { other: string; newer: string }): Manifest[] {
  return [
    workload('kept', { labels: {} }),
    budget('kept', { app: 'kept' }, { minAvailable: 2 }),
    workload('twice', { labels: {} }),
    budget('twice-a', { app: 'twice' }, { maxUnavailable: 1 }),
    budget('twice-b', { app: 'twice' }, { maxUnavailable: 1 }),
    workload('unkept', { labels: {} }),
    workload('alone', { replicas: 1 }),
    workload('unprobed', { container: { readinessProbe: undefined } }),
    workload('together', { pod: { topologySpreadConstraints: [] } }),
    workload('hasty', { minReadySeconds: 0 }),
    workload('killed', { kind: 'StatefulSet', pod: { terminationGracePeriodSeconds: 0 } }),
    workload('docker', { pod: hostPath('/var/run/docker.sock') }),
    workload('on-node', { pod: hostPath('/data/orders') }),
    workload('inline', { pod: { volumes: [{ name: 'v', awsElasticBlockStore: { volumeID: 'vol-1' } }] } }),
    workload('shell', { container: { command: ['/bin/sh', '-c', 'prepare --token hunter2; serve'] } }),
    workload('nginx', { container: { image: 'registry.k8s.io/ingress-nginx/controller:v1.11.2' } }),
    workload('autoscaler', { container: { image: `registry.k8s.io/autoscaling/cluster-autoscaler:v${other}.1` } }),
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'by-hand', namespace: shop },
      spec: { containers: [{ name: 'main', image: 'a:1' }] },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: 'old-volume' },
      spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], awsElasticBlockStore: { volumeID: 'vol-2' } },
    },
    { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'gp2' }, provisioner: 'kubernetes.io/aws-ebs' },
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: { name: 'door', namespace: shop, annotations: written('Ingress', 'extensions/v1beta1') },
      spec: { defaultBackend: { service: { name: 'sound', port: { number: 443 } } } },
    },
    {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name: 'nightly', namespace: shop, annotations: written('CronJob', 'batch/v1beta1') },
      spec: {
        schedule: '0 0 1 1 *',
        jobTemplate: { spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'a:1' }] } } } },
      },
    },
    release('---\napiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata:\n  name: charted\n---\napiVersion: v1\nkind: Service\n'),
    service('unprobed'),
    workload('admission', { replicas: 2 }),
    service('admission'),
    service('alone'),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kube-proxy-config', namespace: 'kube-system' },
      data: { config: 'kind: KubeProxyConfiguration\nmode: "ipvs"\n' },
    },
    workload('kube-proxy', { kind: 'DaemonSet', namespace: 'kube-system', container: { image: `eks/kube-proxy:v${newer}.0-eksbuild.1` } }),
  ];
}

/** The same, of webhooks; where they are heeded, nobody makes a pod any more. */
export const plantedWebhooks: readonly Manifest[] = [
  webhook('old-rule', 'admission', [{ apiGroups: ['batch'], apiVersions: ['v1beta1'], operations: ['CREATE'], resources: ['cronjobs'] }]),
  webhook('single', 'alone', podRules),
];

/** A cluster with one problem in each of its objects, beside what is sound. */
export const plantedCluster: ClusterSeed = {
  name: 'planted',
  region,
  version: '1.33',
  nodegroups: [
    blue,
    {
      ...blue,
      name: 'old',
      amiType: 'AL2_x86_64',
      version: '1.32',
      releaseVersion: '1.32.3-20250415',
      size: 2,
      launchTemplate: { id: 'lt-0old', version: 2, default: 3, latest: 4, imageId: 'ami-0old' },
    },
    { ...blue, name: 'pool', size: 1, labels: { 'karpenter.sh/nodepool': 'spot' } },
  ],
  insights: [insight('Deprecated APIs', 'ERROR'), insight('Add-on versions', 'WARNING')],
  manifests: [
    ...sound,
    soundWebhook,
    ...plantedManifests({ other: '1.32', newer: '1.34' }),
    ...plantedWebhooks,
    {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'widgets.example.com' },
      spec: {
        versions: [
          { name: 'v1', served: true },
          { name: 'v1alpha1', served: false },
        ],
      },
      status: { storedVersions: ['v1alpha1', 'v1'] },
    },
  ],
};

/** What checks must find there, by name: no more and no less. The health of `old` and two subnets with 4 free addresses are set beside. */
export const plantedFindings: readonly string[] = [
  'amazon-linux-2:Nodegroup/old',
  'bare-pod:Pod/shop/by-hand',
  'budget-blocks:PodDisruptionBudget/shop/kept',
  'cluster-autoscaler-version:Deployment/shop/autoscaler',
  'control-plane-addresses:Cluster/planted',
  'custom-kind-versions:CustomResourceDefinition/widgets.example.com',
  'docker-socket:Deployment/shop/docker',
  'grace-period-0:StatefulSet/shop/killed',
  'helm-release-api:PodDisruptionBudget/shop/charted',
  'host-path-data:Deployment/shop/on-node',
  'in-tree-volume:Deployment/shop/inline',
  'in-tree-volume:PersistentVolume/old-volume',
  'in-tree-volume:StorageClass/gp2',
  'ingress-nginx:Deployment/shop/nginx',
  'insight:Insight/Add-on versions',
  'insight:Insight/Deprecated APIs',
  'kube-proxy-ipvs:ConfigMap/kube-system/kube-proxy-config',
  'kube-proxy-skew:DaemonSet/kube-system/kube-proxy',
  'launch-template-drift:Nodegroup/old',
  'launch-template-image:Nodegroup/old',
  'min-ready-seconds:Deployment/shop/hasty',
  'no-budget:Deployment/shop/unkept',
  'node-kind:Nodes/karpenter',
  'nodegroup-behind:Nodegroup/old',
  'nodegroup-health:Nodegroup/old',
  'readiness-probe:Deployment/shop/unprobed',
  'removed-api:CronJob/shop/nightly',
  'removed-api:Ingress/shop/door',
  'shell-main-process:Deployment/shop/shell',
  'single-replica:Deployment/shop/alone',
  'spread:Deployment/shop/together',
  'two-budgets:PodDisruptionBudgets/shop/twice-a+shop/twice-b',
  'webhook-api:ValidatingWebhookConfiguration/old-rule',
  'webhook-fails-closed:ValidatingWebhookConfiguration/single',
];

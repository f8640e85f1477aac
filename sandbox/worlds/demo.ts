import type { Manifest, WorldSeed } from '../seed.ts';

export const demoRegion = 'eu-central-1';
export const demoClusterName = 'demo';

interface Workload {
  namespace: string;
  name: string;
  replicas: number;
  /** CPU and memory that each pod requests. */
  requests: { cpu: string; memory: string };
  /** What its budget says; without one it has no budget. */
  budget?: { minAvailable: number | string } | { maxUnavailable: number | string };
  annotations?: Record<string, string>;
  /** Version of its image, where that says something to whoever reads it. */
  tag?: string;
}

const deployments: Workload[] = [
  { namespace: 'shop', name: 'storefront', replicas: 8, requests: { cpu: '250m', memory: '512Mi' }, budget: { maxUnavailable: 1 } },
  { namespace: 'shop', name: 'catalog', replicas: 6, requests: { cpu: '200m', memory: '512Mi' }, budget: { minAvailable: '80%' } },
  { namespace: 'shop', name: 'cart', replicas: 4, requests: { cpu: '200m', memory: '256Mi' }, budget: { maxUnavailable: 1 } },
  { namespace: 'shop', name: 'search', replicas: 3, requests: { cpu: '500m', memory: '1Gi' }, budget: { minAvailable: 2 } },
  { namespace: 'payments', name: 'gateway', replicas: 4, requests: { cpu: '250m', memory: '512Mi' }, budget: { minAvailable: '75%' } },
  { namespace: 'payments', name: 'ledger', replicas: 3, requests: { cpu: '250m', memory: '512Mi' }, budget: { maxUnavailable: 1 } },
  { namespace: 'payments', name: 'fraud', replicas: 2, requests: { cpu: '500m', memory: '1Gi' }, budget: { minAvailable: 1 } },
  { namespace: 'platform', name: 'ingress', replicas: 3, requests: { cpu: '250m', memory: '256Mi' }, budget: { maxUnavailable: 1 } },
  { namespace: 'platform', name: 'auth', replicas: 4, requests: { cpu: '100m', memory: '256Mi' }, budget: { maxUnavailable: '25%' } },
  { namespace: 'platform', name: 'jobs', replicas: 5, requests: { cpu: '100m', memory: '256Mi' } },
  {
    namespace: 'kube-system',
    name: 'coredns',
    replicas: 2,
    requests: { cpu: '100m', memory: '70Mi' },
    budget: { maxUnavailable: 1 },
    tag: 'v1.12.4-eksbuild.1',
  },
];

const statefulSets: Workload[] = [
  {
    namespace: 'payments',
    name: 'ledger-db',
    replicas: 3,
    requests: { cpu: '500m', memory: '2Gi' },
    budget: { maxUnavailable: 1 },
    annotations: { 'sandbox.holdpoint.dev/readiness-seconds': '20', 'sandbox.holdpoint.dev/shutdown-seconds': '8' },
  },
];

const daemonSets: Workload[] = [
  { namespace: 'kube-system', name: 'aws-node', replicas: 0, requests: { cpu: '50m', memory: '64Mi' }, tag: 'v1.20.4-eksbuild.1' },
  { namespace: 'platform', name: 'log-agent', replicas: 0, requests: { cpu: '50m', memory: '128Mi' } },
];

function template({ name, requests, annotations, tag = '1.4.2' }: Workload): object {
  const container = { name, image: `registry.example.com/${name}:${tag}`, resources: { requests } };
  return { metadata: { labels: { app: name }, ...(annotations ? { annotations } : {}) }, spec: { containers: [container] } };
}

function workload(kind: 'Deployment' | 'StatefulSet' | 'DaemonSet', item: Workload): Manifest[] {
  const { namespace, name, replicas, budget } = item;
  const selector = { matchLabels: { app: name } };
  const metadata = { name, namespace, labels: { app: name } };
  const size = kind === 'DaemonSet' ? {} : { replicas };
  const service = kind === 'StatefulSet' ? { serviceName: name } : {};
  const owner: Manifest = { apiVersion: 'apps/v1', kind, metadata, spec: { ...size, ...service, selector, template: template(item) } };
  if (!budget) return [owner];
  return [owner, { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec: { ...budget, selector } }];
}

function manifests(): Manifest[] {
  const namespaces = ['shop', 'payments', 'platform'];
  return [
    ...namespaces.map((name): Manifest => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })),
    ...deployments.flatMap((item) => workload('Deployment', item)),
    ...statefulSets.flatMap((item) => workload('StatefulSet', item)),
    ...daemonSets.flatMap((item) => workload('DaemonSet', item)),
  ];
}

/** The world of the first demonstration: one cluster, one node group of six nodes, some sixty pods under tight budgets. */
export const demoWorld: WorldSeed = {
  clusters: [
    {
      name: demoClusterName,
      region: demoRegion,
      version: '1.33',
      nodegroups: [
        {
          name: 'blue',
          size: 6,
          minSize: 3,
          maxSize: 12,
          instanceType: 'm6i.xlarge',
          amiType: 'AL2023_x86_64_STANDARD',
          version: '1.33',
          releaseVersion: '1.33.3-20260415',
          zones: ['eu-central-1a', 'eu-central-1b', 'eu-central-1c'],
          labels: { pool: 'general' },
        },
      ],
      manifests: manifests(),
    },
  ],
};

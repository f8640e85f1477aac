import { AppsV1Api, CoreV1Api, KubeConfig, PolicyV1Api } from '@kubernetes/client-node';
import type { Sandbox } from '../../sandbox/server.ts';
import { startSandbox } from '../../sandbox/server.ts';
import type { Manifest, WorldSeed } from '../../sandbox/seed.ts';

/** A workload of pods that ask for little and are ready soon. */
export function deployment(name: string, replicas: number, spec: object = {}): Manifest {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'shop' },
    spec: { replicas, selector: { matchLabels: { app: name } }, template: template(name), ...spec },
  };
}

export function statefulSet(name: string, replicas: number, spec: object = {}): Manifest {
  return { ...deployment(name, replicas, spec), kind: 'StatefulSet' };
}

export function template(name: string, { cpu = '100m' } = {}): object {
  const container = { name: 'main', image: 'registry.example.com/main:1', resources: { requests: { cpu, memory: '64Mi' } } };
  return { metadata: { labels: { app: name } }, spec: { containers: [container] } };
}

export function budget(name: string, spec: object, app = name): Manifest {
  const selector = { matchLabels: { app } };
  return { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name, namespace: 'shop' }, spec: { selector, ...spec } };
}

/** A volume of a CSI driver in a zone, kept for a claim in the namespace `shop`; how long it takes to be detached, if told. */
export function zonalVolume(name: string, claim: string, zone: string, detachSeconds?: number): Manifest {
  const matchExpressions = [{ key: 'topology.kubernetes.io/zone', operator: 'In', values: [zone] }];
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name,
      ...(detachSeconds === undefined ? {} : { annotations: { 'sandbox.holdpoint.dev/detach-seconds': String(detachSeconds) } }),
    },
    spec: {
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '1Gi' },
      claimRef: { namespace: 'shop', name: claim },
      csi: { driver: 'ebs.csi.aws.com', volumeHandle: `vol-${name}` },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions }] } },
    },
  };
}

/** A volume on the disk of a node, bound to a claim. */
export function localVolume(name: string, claim: string, node: string): Manifest {
  const matchExpressions = [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }];
  const zonal = zonalVolume(name, claim, '');
  const { csi: _csi, ...spec } = zonal.spec as Record<string, unknown>;
  const nodeAffinity = { required: { nodeSelectorTerms: [{ matchExpressions }] } };
  return { ...zonal, spec: { ...spec, local: { path: '/mnt/disk' }, nodeAffinity } };
}

/** What a StatefulSet needs besides for each pod to have a volume: the claims are called `data-NAME-0` and so on. */
export const dataClaims = {
  volumeClaimTemplates: [
    { metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
  ],
};

/** A world of one cluster called `test` with a namespace `shop` and as many nodes as told, dealt to three zones. */
export function worldOf(manifests: Manifest[], nodes = 3): WorldSeed {
  return {
    clusters: [
      {
        name: 'test',
        region: 'eu-central-1',
        version: '1.33',
        nodegroups: [
          {
            name: 'blue',
            size: nodes,
            minSize: 0,
            maxSize: 100,
            instanceType: 'm6i.large',
            amiType: 'AL2023_x86_64_STANDARD',
            version: '1.33',
            releaseVersion: '1.33.3-20260415',
            zones: ['eu-central-1a', 'eu-central-1b', 'eu-central-1c'],
            labels: {},
          },
        ],
        manifests: [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }, ...manifests],
      },
    ],
  };
}

export interface KubernetesFixture {
  sandbox: Sandbox;
  /** Base URL of the cluster's API. */
  url: string;
  config: KubeConfig;
  core: CoreV1Api;
  apps: AppsV1Api;
  policy: PolicyV1Api;
  /** A raw request: status, headers and JSON body. */
  send(method: string, path: string, body?: object, headers?: Record<string, string>): Promise<Reply>;
  stop(): Promise<void>;
}

export interface Reply {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

/** Starts a sandbox with one cluster and the real client for it. */
export async function startKubernetes(manifests: Manifest[], { nodes = 3, speed = 100 } = {}): Promise<KubernetesFixture> {
  const sandbox = await startSandbox({ seed: worldOf(manifests, nodes), speed, randomSeed: 7 });
  const url = `${sandbox.url}/kubernetes/test`;
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: 'test', server: url, skipTLSVerify: true }],
    users: [{ name: 'tester' }],
    contexts: [{ name: 'test', cluster: 'test', user: 'tester' }],
    currentContext: 'test',
  });
  return {
    sandbox,
    url,
    config,
    core: config.makeApiClient(CoreV1Api),
    apps: config.makeApiClient(AppsV1Api),
    policy: config.makeApiClient(PolicyV1Api),
    send: async (method, path, body, headers = {}) => {
      const init = { method, headers: { 'content-type': 'application/json', ...headers } };
      const response = await fetch(`${url}${path}`, body === undefined ? init : { ...init, body: JSON.stringify(body) });
      return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> };
    },
    stop: () => sandbox.stop(),
  };
}

/** Asks until there is an answer; fails after the limit with what it waited for. */
export async function eventually<Answer>(
  what: string,
  ask: () => Promise<Answer | undefined> | Answer | undefined,
  limitMs = 10_000,
): Promise<Answer> {
  const deadline = Date.now() + limitMs;
  while (Date.now() < deadline) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`waited ${limitMs} ms in vain for: ${what}`);
}

/** Waits until something holds. */
export function until(what: string, holds: () => Promise<boolean> | boolean): Promise<true> {
  return eventually(what, async () => ((await holds()) ? true : undefined));
}

/** What makes the API server of a cluster know Karpenter. */
export const karpenter: Manifest[] = [
  {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'nodepools.karpenter.sh' },
    spec: { group: 'karpenter.sh', names: { kind: 'NodePool', plural: 'nodepools' }, scope: 'Cluster' },
  },
];

/** A NodePool of Karpenter; without budgets it gets those that its definition fills in. */
export function nodePool(name: string, budgets?: object[]): Manifest {
  return { apiVersion: 'karpenter.sh/v1', kind: 'NodePool', metadata: { name }, spec: budgets && { disruption: { budgets } } };
}

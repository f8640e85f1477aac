import type { Manifest } from '../../lab/workloads.ts';
import { send, watch, type Answer, type Door, type RawWatch } from './raw.ts';

/** A Kubernetes API with three nodes behind it that can run pods: simulated or real. */
export interface KubernetesWorld {
  door: Door;
  /** From here on the server no longer knows the versions of before. */
  forgetVersions(): Promise<void>;
  stop(): Promise<void>;
}

export const jsonPatch = 'application/json-patch+json';
export const mergePatch = 'application/merge-patch+json';
export const strategicPatch = 'application/strategic-merge-patch+json';

const waitLimitDefaultMs = 30_000;
const pauseMs = 25;

/** Asks until there is an answer; fails after the limit with what it waited for. */
export async function eventually<Result>(
  what: string,
  ask: () => Promise<Result | undefined>,
  waitLimitMs = waitLimitDefaultMs,
): Promise<Result> {
  const deadline = performance.now() + waitLimitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error(`waited ${waitLimitMs} ms in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Waits until something holds. */
export function until(what: string, holds: () => Promise<boolean>, waitLimitMs?: number): Promise<true> {
  return eventually(what, async () => ((await holds()) ? true : undefined), waitLimitMs);
}

export interface PodSeen {
  metadata: { name: string; uid: string; resourceVersion: string; deletionTimestamp?: string; labels?: Record<string, string> };
  spec: { nodeName?: string };
  status: { phase?: string; conditions?: { type: string; status: string; reason?: string; message?: string }[] };
}

export interface BudgetStatus {
  expectedPods: number;
  desiredHealthy: number;
  currentHealthy: number;
  disruptionsAllowed: number;
  observedGeneration?: number;
  disruptedPods?: Record<string, string>;
  conditions?: { type: string; status: string; reason: string; message: string }[];
}

/** How the pods of a test behave. */
export interface PodTimes {
  /** From start to Ready; soon where left out. */
  readinessSeconds?: number;
  /** From deletion to the end; soon where left out. */
  shutdownSeconds?: number;
  /** Can be placed on no node. */
  huge?: boolean;
}

/** So long that no test sees its end, in either world. */
export const never = 36_000;

const pods = (namespace: string): string => `/api/v1/namespaces/${namespace}/pods`;
const budgets = (namespace: string): string => `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`;
const workloads = (namespace: string, kind: string): string => `/apis/apps/v1/namespaces/${namespace}/${kind.toLowerCase()}s`;

export function podTemplate(name: string, { readinessSeconds = 0.1, shutdownSeconds = 0.1, huge = false }: PodTimes = {}) {
  return {
    metadata: {
      labels: { app: name },
      annotations: {
        'sandbox.holdpoint.dev/readiness-seconds': String(readinessSeconds),
        'sandbox.holdpoint.dev/shutdown-seconds': String(shutdownSeconds),
      },
    },
    spec: {
      terminationGracePeriodSeconds: shutdownSeconds === never ? never : 30,
      containers: [{ name: 'main', image: 'registry.example.com/main:1', resources: { requests: { cpu: huge ? '999' : '1m' } } }],
    },
  };
}

/** Binds the pods of workloads to the nodes with these labels. */
export function inPool(manifests: readonly Manifest[], labels: Readonly<Record<string, string>>): Manifest[] {
  return manifests.map((manifest) => {
    const { template } = (manifest.spec ?? {}) as { template?: { spec: object } };
    if (template) Object.assign(template.spec, { nodeSelector: labels });
    return manifest;
  });
}

/** A namespace of a test's own, and what tests do in it. */
export class Place {
  readonly namespace: string;
  readonly door: Door;

  private constructor(door: Door, namespace: string) {
    this.door = door;
    this.namespace = namespace;
  }

  static async create(door: Door): Promise<Place> {
    const name = `place-${crypto.randomUUID().slice(0, 8)}`;
    const { status } = await send(door, 'POST', '/api/v1/namespaces', { metadata: { name } });
    if (status !== 201) throw new Error(`the namespace ${name} was not created: ${status}`);
    return new Place(door, name);
  }

  send(method: string, path: string, body?: unknown, contentType?: string): Promise<Answer> {
    return send(this.door, method, path, body, contentType);
  }

  watchPods(query: string): Promise<RawWatch> {
    return watch(this.door, `${this.podsPath}?watch=true&${query}`);
  }

  get podsPath(): string {
    return pods(this.namespace);
  }

  budgetPath(name: string): string {
    return `${budgets(this.namespace)}/${name}`;
  }

  workloadPath(name: string, kind = 'Deployment'): string {
    return `${workloads(this.namespace, kind)}/${name}`;
  }

  async create(path: string, body: object): Promise<Answer['body']> {
    const answer = await this.send('POST', path, body);
    if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** Creates a workload and waits for its pods; those that are never to be Ready only need to run. */
  async workload(name: string, replicas: number, times: PodTimes & { kind?: 'Deployment' | 'StatefulSet' } = {}): Promise<PodSeen[]> {
    const { kind = 'Deployment' } = times;
    const spec = { replicas, selector: { matchLabels: { app: name } }, template: podTemplate(name, times), ...kindSpec(kind, name) };
    await this.create(workloads(this.namespace, kind), { apiVersion: 'apps/v1', kind, metadata: { name }, spec });
    const arrived = times.huge === true ? () => true : times.readinessSeconds === never ? isRunning : isReady;
    return this.podsWhen(`the pods of ${name}`, name, (seen) => seen.length === replicas && seen.every(arrived));
  }

  async barePod(name: string, times: PodTimes = {}): Promise<PodSeen> {
    await this.create(this.podsPath, {
      apiVersion: 'v1',
      kind: 'Pod',
      ...podTemplate(name, times),
      metadata: { ...podTemplate(name, times).metadata, name },
    });
    const [pod] = await this.podsWhen(`the pod ${name}`, name, (seen) => seen.length === 1 && seen.every(isReady));
    if (!pod) throw new Error(`the pod ${name} is gone`);
    return pod;
  }

  /** Creates a budget and waits until it has been counted. */
  async budget(name: string, rules: object, app = name): Promise<BudgetStatus> {
    const spec = { selector: { matchLabels: { app } }, ...rules };
    await this.create(budgets(this.namespace), { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name }, spec });
    return this.budgetWhen(name, () => true);
  }

  async budgetStatus(name: string): Promise<BudgetStatus> {
    const { body } = await this.send('GET', this.budgetPath(name));
    return (body.status ?? {}) as BudgetStatus;
  }

  /** The status of a budget once its controller has seen it and it is as wanted. */
  budgetWhen(name: string, wanted: (status: BudgetStatus) => boolean): Promise<BudgetStatus> {
    return eventually(`the budget ${name}`, async () => {
      const { body } = await this.send('GET', this.budgetPath(name));
      const status = (body.status ?? {}) as BudgetStatus;
      const { generation = 0 } = body.metadata as { generation?: number };
      return (status.conditions?.length ?? 0) > 0 && (status.observedGeneration ?? generation) >= generation && wanted(status)
        ? status
        : undefined;
    });
  }

  async pods(app: string): Promise<PodSeen[]> {
    const { body } = await this.send('GET', `${this.podsPath}?labelSelector=app%3D${app}`);
    return body.items as PodSeen[];
  }

  podsWhen(what: string, app: string, wanted: (pods: PodSeen[]) => boolean): Promise<PodSeen[]> {
    return eventually(what, async () => {
      const seen = await this.pods(app);
      return wanted(seen) ? seen : undefined;
    });
  }

  async pod(name: string): Promise<PodSeen | undefined> {
    const { status, body } = await this.send('GET', `${this.podsPath}/${name}`);
    return status === 200 ? (body as unknown as PodSeen) : undefined;
  }

  evict(name: string, extra: object = {}, query = ''): Promise<Answer> {
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: this.namespace }, ...extra };
    return this.send('POST', `${this.podsPath}/${name}/eviction${query}`, body);
  }

  /** Takes away what the test has made, without waiting for it. */
  async leave(): Promise<void> {
    await this.send('DELETE', `/api/v1/namespaces/${this.namespace}`);
  }
}

function kindSpec(kind: string, name: string): object {
  return kind === 'StatefulSet' ? { serviceName: name, podManagementPolicy: 'Parallel' } : {};
}

export function isReady({ status }: PodSeen): boolean {
  return status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

export function isRunning({ status }: PodSeen): boolean {
  return status.phase === 'Running';
}

export async function nodeNames(door: Door): Promise<string[]> {
  const { body } = await send(door, 'GET', '/api/v1/nodes');
  return (body.items as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name).sort();
}

/** Takes a namespace and nodes away, and waits until they and all pods on these nodes are gone. */
export async function leaveNothing(door: Door, namespace: string, nodes: readonly string[]): Promise<void> {
  await send(door, 'DELETE', `/api/v1/namespaces/${namespace}`);
  await until(`the namespace ${namespace} to go`, async () => (await send(door, 'GET', `/api/v1/namespaces/${namespace}`)).status === 404);
  for (const node of nodes) await send(door, 'DELETE', `/api/v1/nodes/${node}`);
  await until('the nodes to go', async () => (await nodeNames(door)).every((name) => !nodes.includes(name)));
}

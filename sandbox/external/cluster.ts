import type { IncomingMessage, ServerResponse } from 'node:http';
import { request as secureRequest } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import type { NodeSpec, NodeTaint, SandboxCluster } from '../cluster.ts';
import { initialNodes, type ClusterSeed, type Manifest } from '../seed.ts';
import { messageOf, sendTo, type ExternalAccess, type ExternalAnswer } from './access.ts';
import { Mirror, type MirroredObject } from './mirror.ts';

/** The simulated time from the start of an instance until its node is Ready; kwok plays it from the annotation. */
const bootMs = 50_000;
const bootAnnotation = 'sandbox.holdpoint.dev/boot-seconds';
const attemptsMax = 5;
const attemptPauseMs = 200;
const settleTimeoutMs = 120_000;
const settlePauseMs = 100;
const mergePatch = 'application/merge-patch+json';

export interface ExternalOptions {
  access: ExternalAccess;
  seed: ClusterSeed;
  /** How many times as fast as the wall clock the sandbox's time runs; the real cluster knows only the wall clock. */
  speed: number;
  /** Where the sandbox is served. */
  baseUrl: () => string;
  /** Hears of what could not be done in the real cluster. */
  report: (trouble: string) => void;
}

/**
 * A real Kubernetes cluster as the cloud's cluster: instances that start and end are Node objects there, played by kwok.
 * What EKS reads comes from mirrors; what it changes is sent in order, per node, without waiting for it.
 */
export class ExternalCluster implements SandboxCluster {
  readonly name: string;
  version: string;
  private readonly options: ExternalOptions;
  private readonly nodes: Mirror;
  private readonly pods: Mirror;
  private readonly work = new Map<string, Promise<void>>();
  private readonly evictions = new Set<string>();

  private constructor(options: ExternalOptions, nodes: Mirror, pods: Mirror) {
    this.name = options.seed.name;
    this.version = options.seed.version;
    this.options = options;
    this.nodes = nodes;
    this.pods = pods;
  }

  /**
   * Registers the seed's nodes, applies its manifests and resolves when the nodes are Ready. What is there already stays as it is.
   * Throws an Error where the cluster does not answer, refuses an object, or its nodes are not Ready in time.
   */
  static async connect(options: ExternalOptions): Promise<ExternalCluster> {
    const { access, seed, report } = options;
    const [nodes, pods] = await Promise.all([Mirror.start(access, '/api/v1/nodes', report), Mirror.start(access, '/api/v1/pods', report)]);
    const cluster = new ExternalCluster(options, nodes, pods);
    try {
      const specs = seed.nodegroups.flatMap((group) => initialNodes(seed, group));
      for (const spec of specs) await cluster.create('/api/v1/nodes', nodeOf(spec, 0));
      for (const manifest of seed.manifests) await cluster.create(collectionOf(manifest), manifest);
      await untilAllReady(specs, cluster);
      return cluster;
    } catch (error) {
      cluster.stop();
      throw error;
    }
  }

  /** The sandbox passes requests on to the real server, so that clients need no other credentials than at the simulated one. */
  get url(): string {
    return `${this.options.baseUrl()}/kubernetes/${this.name}`;
  }

  joinNode(spec: NodeSpec): void {
    const bootSeconds = bootMs / 1000 / this.options.speed;
    this.enqueue(spec.name, () => this.create('/api/v1/nodes', nodeOf(spec, bootSeconds)));
  }

  removeNode(name: string): void {
    this.enqueue(name, async () => {
      await this.expect([200, 404], 'DELETE', `/api/v1/nodes/${name}`);
      // The pods went down with the machine; nobody is there to end them.
      for (const { metadata } of this.podsAt(name)) {
        const path = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`;
        await this.expect([200, 404, 409], 'DELETE', path, { gracePeriodSeconds: 0, preconditions: { uid: metadata.uid } });
      }
    });
  }

  nodeReady(name: string): boolean {
    return this.nodes.get(name)?.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
  }

  setUnschedulable(name: string, unschedulable: boolean): void {
    this.patchNode(name, { spec: { unschedulable: unschedulable ? true : null } });
  }

  setNodeLabel(name: string, key: string, value: string | undefined): void {
    this.patchNode(name, { metadata: { labels: { [key]: value ?? null } } });
  }

  changeNodeTaints(name: string, { add, remove }: { add: NodeTaint[]; remove: NodeTaint[] }): void {
    const isChanged = (taint: { key: string; effect: string }): boolean =>
      [...add, ...remove].some(({ key, effect }) => key === taint.key && effect === taint.effect);
    this.enqueue(name, async () => {
      const { body } = await this.expect([200], 'GET', `/api/v1/nodes/${name}`);
      const { spec, metadata } = body as MirroredObject;
      const taints = [...(spec.taints ?? []).filter((taint) => !isChanged(taint)), ...add];
      const { resourceVersion } = metadata;
      await this.expect([200], 'PATCH', `/api/v1/nodes/${name}`, { metadata: { resourceVersion }, spec: { taints } });
    });
  }

  /** EKS shows it from now on; the real server stays what it is. */
  setVersion(version: string): void {
    this.version = version;
  }

  podsOn(name: string): { namespace: string; name: string; daemon: boolean }[] {
    return this.podsAt(name).map(({ metadata }) => ({
      namespace: metadata.namespace ?? '',
      name: metadata.name,
      daemon: metadata.ownerReferences?.some(({ kind, controller }) => kind === 'DaemonSet' && controller === true) ?? false,
    }));
  }

  /** The answer of the real server comes too late for this one: a pod counts as evicted once it is seen to be going. */
  evictPod(namespace: string, name: string): 'evicted' | 'blocked' | 'gone' {
    const pod = this.pods.get(name, namespace);
    if (pod === undefined) return 'gone';
    if (pod.metadata.deletionTimestamp !== undefined) return 'evicted';
    const { uid } = pod.metadata;
    if (!this.evictions.has(uid)) {
      this.evictions.add(uid);
      void this.evict(namespace, name, uid).finally(() => this.evictions.delete(uid));
    }
    return 'blocked';
  }

  /** Passes a request to the cluster's API on to the real server, and its answer back as it comes. */
  forward(incoming: IncomingMessage, response: ServerResponse, path: string): void {
    const { access } = this.options;
    const { host: _host, authorization: _authorization, connection: _connection, ...others } = incoming.headers;
    const headers = { ...others, ...access.headers };
    const sent = secureRequest(`${access.server}${path}`, { method: incoming.method, agent: access.agent, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    sent.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
    response.on('close', () => sent.destroy());
    incoming.pipe(sent);
  }

  /** Ends the watches; the real cluster is left as it is. */
  stop(): void {
    this.nodes.stop();
    this.pods.stop();
    this.options.access.agent.destroy();
  }

  private podsAt(node: string): MirroredObject[] {
    const hasEnded = ({ status }: MirroredObject): boolean => status.phase === 'Succeeded' || status.phase === 'Failed';
    return this.pods.all().filter((pod) => pod.spec.nodeName === node && !hasEnded(pod));
  }

  private patchNode(name: string, patch: object): void {
    this.enqueue(name, async () => {
      await this.expect([200, 404], 'PATCH', `/api/v1/nodes/${name}`, patch);
    });
  }

  /** What is done to one node is done in the order it was asked for, each again a few times where it fails. */
  private enqueue(node: string, step: () => Promise<void>): void {
    const before = this.work.get(node) ?? Promise.resolve();
    const after = before.then(() => this.insist(node, step));
    this.work.set(node, after);
    void after.finally(() => {
      if (this.work.get(node) === after) this.work.delete(node);
    });
  }

  private async insist(node: string, step: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await step();
      } catch (error) {
        if (attempt >= attemptsMax) {
          this.options.report(`node ${node}: ${error instanceof Error ? error.message : String(error)}`);
          return;
        }
        await wait(attemptPauseMs * attempt);
      }
    }
  }

  private async evict(namespace: string, name: string, uid: string): Promise<void> {
    const eviction = {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { namespace, name },
      deleteOptions: { preconditions: { uid } },
    };
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
    // A refusal is what budgets are for; EKS asks again.
    await sendTo(this.options.access, 'POST', path, eviction).catch(() => undefined);
  }

  private async create(path: string, object: object): Promise<void> {
    await this.expect([201, 409], 'POST', path, object);
  }

  private async expect(statuses: readonly number[], method: string, path: string, body?: object): Promise<ExternalAnswer> {
    const contentType = method === 'PATCH' ? mergePatch : 'application/json';
    const answer = await sendTo(this.options.access, method, path, body, contentType);
    if (!statuses.includes(answer.status)) throw new Error(`${method} ${path}: ${messageOf(answer)}`);
    return answer;
  }
}

async function untilAllReady(specs: readonly NodeSpec[], cluster: ExternalCluster): Promise<void> {
  const giveUpAt = performance.now() + settleTimeoutMs;
  for (;;) {
    const missing = specs.filter(({ name }) => !cluster.nodeReady(name));
    const [first] = missing;
    if (first === undefined) return;
    if (performance.now() > giveUpAt) {
      throw new Error(
        `${missing.length} nodes are not Ready after ${settleTimeoutMs / 1000} s, ${first.name} among them; does kwok manage them?`,
      );
    }
    await wait(settlePauseMs);
  }
}

function nodeOf(spec: NodeSpec, bootSeconds: number): object {
  const { cpuMillis, memoryMiB, pods } = spec.capacity;
  const room = { cpu: `${cpuMillis}m`, memory: `${memoryMiB}Mi`, pods: String(pods) };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: spec.name, labels: spec.labels, annotations: { [bootAnnotation]: String(bootSeconds) } },
    spec: { providerID: spec.providerID, ...(spec.taints.length > 0 ? { taints: spec.taints } : {}) },
    status: { capacity: room, allocatable: room, nodeInfo: { kubeletVersion: spec.kubeletVersion, osImage: 'Amazon Linux 2023' } },
  };
}

function collectionOf({ apiVersion, kind, metadata: { namespace } }: Manifest): string {
  const base = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
  const plural = `${kind.toLowerCase()}s`;
  return kind === 'Namespace' ? `${base}/${plural}` : `${base}/namespaces/${namespace ?? 'default'}/${plural}`;
}

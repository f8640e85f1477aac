import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EKSClient } from '@aws-sdk/client-eks';
import { Clock } from '../../sandbox/clock.ts';
import type { NodeSpec, NodeTaint, SandboxCluster } from '../../sandbox/cluster.ts';
import { createEksHandler, type EksHandler } from '../../sandbox/eks/handler.ts';
import { Faults } from '../../sandbox/faults.ts';
import { Observer } from '../../sandbox/observer.ts';
import { Random } from '../../sandbox/random.ts';
import { initialNodes, type ClusterSeed } from '../../sandbox/seed.ts';

interface FakeNode {
  spec: NodeSpec;
  readyAt: number;
  unschedulable: boolean;
}

interface FakePod {
  namespace: string;
  name: string;
  daemon: boolean;
  node: string;
}

const bootMs = 40_000;
const shutdownMs = 12_000;

/** Nodes and pods without Kubernetes: pods end some time after they are evicted, unless their name is in `blocked`. */
export class FakeCluster implements SandboxCluster {
  readonly name: string;
  readonly url: string;
  readonly nodes = new Map<string, FakeNode>();
  readonly blocked = new Set<string>();
  /** What EKS did, in order, e.g. `cordon ip-10-0-0-4.…`. */
  readonly journal: string[] = [];
  pods: FakePod[] = [];
  version: string;
  private readonly clock: Clock;

  constructor(seed: ClusterSeed, clock: Clock) {
    this.name = seed.name;
    this.version = seed.version;
    this.url = `http://127.0.0.1:1/kubernetes/${seed.name}`;
    this.clock = clock;
    for (const spec of seed.nodegroups.flatMap((nodegroup) => initialNodes(seed, nodegroup))) {
      this.nodes.set(spec.name, { spec, readyAt: 0, unschedulable: false });
      this.pods.push({ namespace: 'shop', name: `web-${this.pods.length}`, daemon: false, node: spec.name });
      this.pods.push({ namespace: 'kube-system', name: `aws-node-${this.pods.length}`, daemon: true, node: spec.name });
    }
  }

  joinNode(spec: NodeSpec): void {
    this.journal.push(`join ${spec.name}`);
    this.nodes.set(spec.name, { spec, readyAt: this.clock.now().getTime() + bootMs, unschedulable: false });
  }

  removeNode(name: string): void {
    this.journal.push(`remove ${name}`);
    this.nodes.delete(name);
    this.pods = this.pods.filter((pod) => pod.node !== name);
  }

  nodeReady(name: string): boolean {
    return (this.nodes.get(name)?.readyAt ?? Infinity) <= this.clock.now().getTime();
  }

  setUnschedulable(name: string, unschedulable: boolean): void {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    if (node.unschedulable !== unschedulable) this.journal.push(`${unschedulable ? 'cordon' : 'uncordon'} ${name}`);
    node.unschedulable = unschedulable;
  }

  setNodeLabel(name: string, key: string, value: string | undefined): void {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    if (value === undefined) delete node.spec.labels[key];
    else node.spec.labels[key] = value;
  }

  changeNodeTaints(name: string, { add, remove }: { add: NodeTaint[]; remove: NodeTaint[] }): void {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    const changed = [...add, ...remove].map(({ key }) => key);
    node.spec.taints = [...node.spec.taints.filter(({ key }) => !changed.includes(key)), ...add];
  }

  setVersion(version: string): void {
    this.version = version;
  }

  podsOn(name: string): FakePod[] {
    return this.pods.filter((pod) => pod.node === name);
  }

  evictPod(namespace: string, name: string): 'evicted' | 'blocked' | 'gone' {
    if (this.blocked.has(name)) return 'blocked';
    const pod = this.pods.find((candidate) => candidate.namespace === namespace && candidate.name === name);
    if (pod === undefined) return 'gone';
    this.journal.push(`evict ${name}`);
    this.clock.after(shutdownMs, () => {
      this.pods = this.pods.filter((other) => other !== pod);
    });
    return 'evicted';
  }
}

export function clusterSeed(name = 'demo'): ClusterSeed {
  const blue = {
    name: 'blue',
    size: 3,
    minSize: 1,
    maxSize: 6,
    instanceType: 'm6i.xlarge',
    amiType: 'AL2023_x86_64_STANDARD',
    version: '1.33',
    releaseVersion: '1.33.3-20260415',
    zones: ['eu-central-1a', 'eu-central-1b', 'eu-central-1c'],
    labels: { tier: 'general' },
  };
  return { name, region: 'eu-central-1', version: '1.33', nodegroups: [blue], manifests: [] };
}

export interface EksFixture {
  url: string;
  client: EKSClient;
  eks: EksHandler;
  clock: Clock;
  clusters: Map<string, FakeCluster>;
  demo: FakeCluster;
  faults: Faults;
  observer: Observer;
  newClient(settings?: { region?: string }): EKSClient;
  stop(): Promise<void>;
}

/** Serves EKS over HTTP for clusters without Kubernetes, a thousand times as fast as in the cloud. */
export async function startEks({
  seeds = [clusterSeed()],
  speed = 1000,
  seed = 7,
}: {
  seeds?: ClusterSeed[];
  speed?: number;
  seed?: number;
} = {}): Promise<EksFixture> {
  const clock = new Clock(speed);
  const clusters = new Map(seeds.map((clusterOfSeed) => [clusterOfSeed.name, new FakeCluster(clusterOfSeed, clock)]));
  const observer = new Observer(clock);
  const faults = new Faults(seed, (kind) => observer.countFault(kind));
  const eks = createEksHandler({
    clock,
    observer,
    faults,
    random: new Random(seed),
    seed: { clusters: seeds },
    cluster: (name) => clusters.get(name),
    showNodegroups: () => undefined,
  });
  const server = createServer((request, response) => eks.handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const newClient: EksFixture['newClient'] = ({ region = 'eu-central-1' } = {}) =>
    new EKSClient({ endpoint: url, region, maxAttempts: 1, credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'example' } });
  const demo = clusters.get(seeds[0]?.name ?? '');
  if (demo === undefined) throw new Error('a fixture needs one cluster at least');
  return {
    url,
    eks,
    clock,
    clusters,
    demo,
    newClient,
    faults,
    observer,
    client: newClient(),
    stop: async () => {
      clock.stop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Asks every few milliseconds until the answer is defined; fails when the limit has passed. */
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

import { AppsV1Api, CoreV1Api, KubeConfig, PolicyV1Api, type V1Node, type V1Pod } from '@kubernetes/client-node';
import type { Target } from '../../domain/target.ts';
import { createSystems } from '../../activities/catalogue.ts';
import { contextOfLook, type AnyAction } from '../../activities/action.ts';
import { createClients, type Clients } from '../../activities/clients.ts';
import { actionsOf, type System } from '../../activities/system.ts';
import { perform, type Performance, type PerformanceSurroundings } from '../../activities/perform.ts';
import type { ActionContext, Observation, Undo } from '../../domain/action.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import { createCloud, type Cloud } from '../../sandbox/cloud.ts';
import type { EksHandler } from '../../sandbox/eks/handler.ts';
import type { ObserverReport } from '../../sandbox/observer.ts';
import { nodeSpecOf, type Manifest, type WorldSeed } from '../../sandbox/seed.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import type { KubernetesCluster } from '../../sandbox/kubernetes/cluster.ts';
import { startProxy, type Proxy } from './proxy.ts';

export const region = 'eu-central-1';
/** Looks come this close together at most: the world runs much faster than the clock. */
const waitMaxMs = 10;

/** A sandbox with one cluster, the real clients for it, and every action. */
export interface TestCluster {
  sandbox: Sandbox;
  cluster: KubernetesCluster;
  eks: EksHandler;
  /** The self-managed Auto Scaling groups of the world. */
  groups: Cloud['selfManagedGroups'];
  /** Between the actions and the sandbox. */
  proxy: Proxy;
  clients: Clients;
  systems: System[];
  target: Target;
  /** Kubernetes as somebody else who works on the cluster reaches it. */
  others: { core: CoreV1Api; policy: PolicyV1Api; apps: AppsV1Api };
  context(differences?: Partial<ActionContext>): ActionContext;
  action(name: string): AnyAction;
  plan(action: string, input: JsonObject, context?: Partial<ActionContext>): Promise<ActionPlan>;
  observe(action: string, plan: ActionPlan, context?: Partial<ActionContext>): Promise<Observation>;
  act(action: string, plan: ActionPlan, context?: Partial<ActionContext>): Promise<void>;
  undo(action: string, plan: ActionPlan): Promise<Undo>;
  perform(action: string, plan: ActionPlan, options?: PerformOptions): Promise<Performance>;
  nodes(): Promise<V1Node[]>;
  nodeNames(): Promise<string[]>;
  /** The UIDs of nodes by name, as they are now. */
  uidsOf(names: readonly string[]): Promise<{ [node: string]: string }>;
  pods(): Promise<V1Pod[]>;
  report(): ObserverReport;
  /** From here on, actions are those of a worker that was just started: with new clients, and nothing that is remembered. */
  renew(): void;
  stop(): Promise<void>;
}

export type PerformOptions = Partial<PerformanceSurroundings> & { context?: Partial<ActionContext> };

/** A world of one cluster `demo` with a node group `blue` and the namespace `shop`. */
export function worldWith(manifests: Manifest[], { nodes = 3, version = '1.33', releaseVersion = '1.33.3-20260415' } = {}): WorldSeed {
  const zones = [`${region}a`, `${region}b`, `${region}c`];
  const blue = {
    name: 'blue',
    size: nodes,
    minSize: 0,
    maxSize: 100,
    instanceType: 'm6i.large',
    amiType: 'AL2023_x86_64_STANDARD',
    version,
    releaseVersion,
    zones,
    labels: { pool: 'general' },
  };
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };
  return { clusters: [{ name: 'demo', region, version: '1.33', nodegroups: [blue], manifests: [namespace, ...manifests] }] };
}

/** Starts a sandbox and points the environment of the AWS SDK at it, so that the clients are made as a worker makes them. */
export async function startCluster(seed: WorldSeed, { speed = 200, kind = 'eks' } = {}): Promise<TestCluster> {
  let cloud: Cloud | undefined;
  const sandbox = await startSandbox({
    seed,
    speed,
    randomSeed: 7,
    cloud: (world) => {
      cloud = createCloud(world);
      return cloud.handle;
    },
  });
  const proxy = await startProxy(sandbox.url);
  // The endpoint that EKS names for the Kubernetes API leads through the proxy too.
  sandbox.world.baseUrl = proxy.url;
  useEnvironment(proxy.url);
  const makeClients = (): Clients =>
    createClients({ endpoints: async () => ({ sandbox: { url: proxy.url }, metrics: { url: `${proxy.url}/prometheus` } }) });
  const clients = makeClients();
  const systems = createSystems(clients);
  let actions = actionsOf(systems);
  const name = seed.clusters[0]?.name ?? '';
  const cluster = sandbox.world.cluster(name);
  if (!cluster || !cloud) throw new Error('the world of a test needs one cluster');
  const target: Target = { kind, region, name };
  const action = (wanted: string): AnyAction => {
    const found = actions.get(wanted);
    if (!found) throw new Error(`there is no action ${wanted}`);
    return found;
  };
  const others = connect(`${sandbox.url}/kubernetes/${name}`);
  const context: TestCluster['context'] = (differences) => ({
    ...contextOfLook({ run: 'r-1', step: 's', target, retry: 0 }),
    wait: waitShortly,
    ...differences,
  });
  const performOnce: TestCluster['perform'] = (wanted, plan, options = {}) =>
    performFast(action(wanted), plan, context(options.context), options);
  const nodes = async (): Promise<V1Node[]> => (await others.core.listNode()).items;
  return {
    sandbox,
    cluster,
    eks: cloud.eks,
    groups: cloud.selfManagedGroups,
    proxy,
    clients,
    systems,
    target,
    others,
    context,
    action,
    nodes,
    plan: (wanted, input, differences) => action(wanted).plan(input, context(differences)),
    observe: (wanted, plan, differences) => action(wanted).observe(plan, context(differences)),
    act: (wanted, plan, differences) => action(wanted).act(plan, context(differences)),
    undo: (wanted, plan) => action(wanted).undo(plan, context({ acted: true })),
    perform: performOnce,
    uidsOf: async (names) => {
      const named = (await nodes()).filter(({ metadata }) => names.includes(metadata?.name ?? ''));
      return Object.fromEntries(named.map(({ metadata }) => [metadata?.name ?? '', metadata?.uid ?? '']));
    },
    nodeNames: async () => (await nodes()).map(({ metadata }) => metadata?.name ?? ''),
    pods: async () => (await others.core.listPodForAllNamespaces()).items,
    report: () => sandbox.world.observer.summary(),
    renew: () => {
      actions = actionsOf(createSystems(makeClients()));
    },
    stop: async () => {
      await proxy.stop();
      await sandbox.stop();
    },
  };
}

/** What the AWS SDK finds where it looks for an endpoint and credentials. */
export function useEnvironment(endpoint: string): void {
  Object.assign(process.env, {
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'example-secret-key',
    AWS_EC2_METADATA_DISABLED: 'true',
  });
}

function connect(url: string): TestCluster['others'] {
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: 'demo', server: url, skipTLSVerify: true }],
    users: [{ name: 'somebody-else' }],
    contexts: [{ name: 'demo', cluster: 'demo', user: 'somebody-else' }],
    currentContext: 'demo',
  });
  return { core: config.makeApiClient(CoreV1Api), policy: config.makeApiClient(PolicyV1Api), apps: config.makeApiClient(AppsV1Api) };
}

function waitShortly(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.min(ms, waitMaxMs)));
}

function performFast(action: AnyAction, plan: ActionPlan, context: ActionContext, options: PerformOptions): Promise<Performance> {
  return perform(action, plan, context, {
    onProgress: options.onProgress ?? (() => undefined),
    signal: options.signal ?? AbortSignal.timeout(120_000),
    wait: options.wait ?? waitShortly,
    checkpoint: options.checkpoint,
  });
}

/** An instance is terminated and another one comes up under the name of its node. */
export function replaceNode({ sandbox, cluster }: TestCluster, name: string): void {
  const [seed] = sandbox.world.seed.clusters;
  const nodegroup = seed?.nodegroups[0];
  if (!seed || !nodegroup) throw new Error('the world of a test needs a node group');
  cluster.removeNode(name);
  cluster.joinNode(nodeSpecOf(seed, nodegroup, { name, zone: `${region}a`, instanceId: 'i-0123456789abcdef0' }));
}

/** The code, message and remedy of what a call throws; fails where it throws nothing, or something that is no error of ours. */
export async function failureOf(call: Promise<unknown>): Promise<{ code: string; message: string; remedy: string }> {
  const thrown = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof HoldpointError)) throw new Error(`expected an error of Holdpoint, not ${String(thrown)}`);
  return { code: thrown.code, message: thrown.message, remedy: thrown.remedy };
}

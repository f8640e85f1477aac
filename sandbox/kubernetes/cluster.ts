import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { Clock } from '../clock.ts';
import type { NodeSpec, NodeTaint, SandboxCluster } from '../cluster.ts';
import type { Random } from '../random.ts';
import type { Manifest } from '../seed.ts';
import { Access } from './access.ts';
import { applyDefaults, checkNamespace, validate } from './admission.ts';
import { ControllerQueue } from './controller.ts';
import type { ControllerContext } from './controller.ts';
import { createAttachDetachController } from './controllers/attach-detach.ts';
import { createDaemonSetController } from './controllers/daemonset.ts';
import { createDeploymentController } from './controllers/deployment.ts';
import { createDisruptionController } from './controllers/disruption.ts';
import { createEndpointSliceController } from './controllers/endpoint-slices.ts';
import { createGarbageCollector } from './controllers/garbage.ts';
import { createJobController } from './controllers/job.ts';
import { createKubelet } from './controllers/kubelet.ts';
import { createNodeController } from './controllers/node.ts';
import { createReplicaSetController } from './controllers/replicaset.ts';
import { createScheduler } from './controllers/scheduler.ts';
import { createStatefulSetController } from './controllers/statefulset.ts';
import { createVolumeBinder } from './controllers/volume-binder.ts';
import { deleteObject } from './deletion.ts';
import type { DeleteOptions } from './deletion.ts';
import { ApiError, badRequest } from './errors.ts';
import type { Status } from './errors.ts';
import { EventLog } from './event-log.ts';
import { evictPod } from './eviction.ts';
import { cloneJson } from './json.ts';
import { controllerOf, hasEnded, isReady, keyOf, setCondition, timestamp } from './objects.ts';
import type { Condition, KubernetesObject, Node, ResourceName } from './objects.ts';
import { definitionOfKind } from './resources.ts';
import { Store } from './store.ts';
import type { Actor, NewObject } from './store.ts';

/** How long an instance takes from its start until its node is ready, in simulated milliseconds. */
const nodeBootMs: [number, number] = [40_000, 60_000];

/** Who hears of what happens to the pods of a cluster. */
export interface ClusterWitness {
  watch(cluster: string, store: Store): void;
  noteEviction(cluster: string, pod: EvictedPod, answer: 'granted' | 'refused'): void;
}

/** A pod that somebody has asked to have evicted. */
export interface EvictedPod {
  /** `namespace/name` */
  key: string;
  uid: string | undefined;
  /** The name of whoever has asked. */
  by: string;
}

export interface ClusterOptions {
  name: string;
  /** Kubernetes minor version, e.g. `1.33`. */
  version: string;
  clock: Clock;
  random: Random;
  witness: ClusterWitness;
  url: () => string;
}

/** A Kubernetes cluster: its objects and the controllers that move them. */
export class KubernetesCluster implements SandboxCluster {
  readonly name: string;
  readonly store: Store;
  readonly clock: Clock;
  /** What its clients may do. */
  readonly access = new Access();
  /** Kubernetes minor version of the control plane. */
  version: string;
  private readonly random: Random;
  private readonly witness: ClusterWitness;
  private readonly queue = new ControllerQueue();
  private readonly baseUrl: () => string;
  private readonly watchCuts = new Set<() => void>();
  private settling = true;
  /** Reboots so far. */
  private boots = 0;

  constructor({ name, version, clock, random, witness, url }: ClusterOptions) {
    this.name = name;
    this.version = version;
    this.clock = clock;
    this.random = random;
    this.witness = witness;
    this.baseUrl = url;
    this.store = new Store(clock, random.stream('uid'));
    witness.watch(name, this.store);
    this.queue.run(this.store, controllers(this.controllerContext()));
    this.store.onChange(({ resource, type, object, actor }) => {
      if (resource === 'nodes' && type === 'DELETED') this.loseNode(object.metadata.name, actor);
    });
    for (const namespace of ['default', 'kube-node-lease', 'kube-public', 'kube-system']) {
      this.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    }
  }

  get url(): string {
    return `${this.baseUrl()}/kubernetes/${this.name}`;
  }

  /** Ends the setting up: whatever has been applied is running now, and time passes from here on. */
  settle(): void {
    this.queue.settle();
    this.settling = false;
    // Nobody may look back on how the world was made.
    this.store.compact();
  }

  /** Creates an object as a seed gives it. */
  apply(manifest: Manifest): void {
    const definition = definitionOfKind(manifest.apiVersion, manifest.kind);
    if (!definition) throw badRequest(`the sandbox does not know ${manifest.kind} of ${manifest.apiVersion}`);
    const object = cloneJson(manifest) as unknown as KubernetesObject;
    if (definition.namespaced) {
      object.metadata.namespace ??= 'default';
      checkNamespace(this.store, definition, object.metadata.namespace, object.metadata.name);
    }
    validate(definition, object);
    applyDefaults(definition, object);
    this.store.create<ResourceName>(definition.resource, object, { part: 'cloud', name: 'seed', verb: 'create' });
  }

  joinNode(spec: NodeSpec): void {
    const actor: Actor = { part: 'cloud', name: 'kubelet', verb: 'create' };
    this.store.create('nodes', newNode(spec, timestamp(this.clock.now())), actor);
    this.later(this.random.between(...nodeBootMs), () => {
      if (this.store.get('nodes', '', spec.name)) this.becomeReady(spec.name);
    });
  }

  removeNode(name: string, by: 'eks' | 'auto-scaling' = 'eks'): void {
    this.store.remove('nodes', `/${name}`, { part: 'cloud', name: by, verb: 'delete' });
  }

  /** A node's machine is rebooted, by whomever: it is NotReady until its kubelet reports again, of another boot. Its pods stay its own. */
  rebootNode(name: string): void {
    const actor: Actor = { part: 'cloud', name: 'reboot', verb: 'update' };
    const stopped: Condition = {
      type: 'Ready',
      status: 'Unknown',
      reason: 'NodeStatusUnknown',
      message: 'Kubelet stopped posting node status.',
    };
    this.store.update('nodes', `/${name}`, actor, ({ status }) => {
      status.conditions = setCondition(status.conditions, stopped, timestamp(this.clock.now()));
    });
    this.later(nodeBootMs[0], () => {
      if (!this.store.get('nodes', '', name)) return;
      this.boots += 1;
      this.store.update('nodes', `/${name}`, actor, ({ status }) => {
        status.nodeInfo = { ...status.nodeInfo, bootID: bootIdOf(name, this.boots) };
      });
      this.becomeReady(name);
    });
  }

  nodeReady(name: string): boolean {
    const node = this.store.get('nodes', '', name);
    return node !== undefined && isReady(node);
  }

  setUnschedulable(name: string, unschedulable: boolean): void {
    this.store.update('nodes', `/${name}`, { part: 'cloud', name: 'eks', verb: 'update' }, ({ spec }) => {
      if (unschedulable) spec.unschedulable = true;
      else delete spec.unschedulable;
    });
  }

  setNodeLabel(name: string, key: string, value: string | undefined): void {
    this.store.update('nodes', `/${name}`, { part: 'cloud', name: 'eks', verb: 'update' }, ({ metadata }) => {
      const { [key]: _before, ...others } = metadata.labels ?? {};
      metadata.labels = value === undefined ? others : { ...others, [key]: value };
    });
  }

  changeNodeTaints(name: string, { add, remove }: { add: NodeTaint[]; remove: NodeTaint[] }): void {
    const isChanged = (taint: NodeTaint): boolean =>
      [...add, ...remove].some(({ key, effect }) => key === taint.key && effect === taint.effect);
    this.store.update('nodes', `/${name}`, { part: 'cloud', name: 'eks', verb: 'update' }, ({ spec }) => {
      spec.taints = [...(spec.taints ?? []).filter((taint) => !isChanged(taint)), ...add];
      if (spec.taints.length === 0) delete spec.taints;
    });
  }

  setVersion(version: string): void {
    this.version = version;
  }

  podsOn(name: string): { namespace: string; name: string; daemon: boolean }[] {
    const pods = this.store.podsOnNode(name).filter((pod) => !hasEnded(pod));
    return pods.map((pod) => ({
      namespace: pod.metadata.namespace ?? '',
      name: pod.metadata.name,
      daemon: controllerOf(pod)?.kind === 'DaemonSet',
    }));
  }

  /** A pod that is on its way out already counts as evicted and is not evicted again. */
  evictPod(namespace: string, name: string): 'evicted' | 'blocked' | 'gone' {
    if (this.store.get('pods', namespace, name)?.metadata.deletionTimestamp !== undefined) return 'evicted';
    try {
      this.evict(`${namespace}/${name}`, {}, { part: 'cloud', name: 'eks', verb: 'evict' });
      return 'evicted';
    } catch (error) {
      if (error instanceof ApiError) return error.status.code === 404 ? 'gone' : 'blocked';
      throw error;
    }
  }

  /** Evicts a pod by the rules of the API, and lets the witness know. */
  evict(key: string, options: DeleteOptions, actor: Actor): Status {
    const uid = this.store.getByKey('pods', key)?.metadata.uid;
    const dryRun = options.dryRun?.includes('All') === true;
    try {
      const status = evictPod(this, key, options, actor);
      if (!dryRun) this.witness.noteEviction(this.name, { key, uid, by: actor.name }, 'granted');
      return status;
    } catch (error) {
      if (!dryRun) this.witness.noteEviction(this.name, { key, uid, by: actor.name }, 'refused');
      throw error;
    }
  }

  delete(resource: ResourceName, key: string, options: DeleteOptions, actor: Actor): KubernetesObject {
    return deleteObject(this, resource, key, options, actor);
  }

  /** Has a function called when all watches are to be cut; returns how to take that back. */
  onWatchCut(cut: () => void): () => void {
    this.watchCuts.add(cut);
    return () => this.watchCuts.delete(cut);
  }

  /** Breaks off every open watch, as a restarting API server does. */
  cutWatches(): void {
    for (const cut of this.watchCuts) cut();
  }

  stop(): void {
    this.queue.stop();
    this.cutWatches();
  }

  private later(delayMs: number, action: () => void): void {
    if (this.settling) action();
    else this.clock.after(delayMs, action);
  }

  private controllerContext(): ControllerContext {
    const { store, clock, random, queue } = this;
    const log = new EventLog(store, clock, random.stream('events'));
    return {
      store,
      clock,
      random: random.stream('controllers'),
      later: (delayMs, action) => this.later(delayMs, action),
      wake: (controller, key) => queue.wake(controller, key),
      wakeAfter: (controller, key, delayMs) => {
        clock.after(delayMs, () => queue.wake(controller, key));
      },
      recordEvent: (regarding, type, reason, message, component) => log.record(regarding, { type, reason, message, component }),
    };
  }

  private becomeReady(name: string): void {
    const now = timestamp(this.clock.now());
    const ready: Condition = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' };
    this.store.update('nodes', `/${name}`, { part: 'controller', name: 'kubelet', verb: 'update' }, ({ status }) => {
      status.conditions = setCondition(status.conditions, ready, now);
    });
  }

  /** The pods of a node that is gone go with it. */
  private loseNode(node: string, { part, name }: Actor): void {
    for (const pod of this.store.podsOnNode(node)) this.store.remove('pods', keyOf(pod), { part, name, verb: 'delete' });
  }
}

function controllers(context: ControllerContext) {
  return [
    createNodeController(context),
    createDeploymentController(context),
    createReplicaSetController(context),
    createStatefulSetController(context),
    createDaemonSetController(context),
    createJobController(context),
    createVolumeBinder(context),
    createScheduler(context),
    createAttachDetachController(context),
    createKubelet(context),
    createDisruptionController(context),
    createEndpointSliceController(context),
    createGarbageCollector(context),
  ];
}

/** Not from the world's chance, which other things depend on. */
function bootIdOf(node: string, boot: number): string {
  const digits = createHash('sha256').update(`${node} ${boot}`).digest('hex');
  return [0, 8, 12, 16, 20].map((from, index) => digits.slice(from, [8, 12, 16, 20, 32][index])).join('-');
}

function internalAddress(name: string): string {
  const address = /^ip-(\d+)-(\d+)-(\d+)-(\d+)/.exec(name)?.slice(1).join('.') ?? '';
  return isIPv4(address) ? address : '10.0.0.1';
}

function newNode(spec: NodeSpec, now: string): NewObject<Node> {
  const { cpuMillis, memoryMiB, pods } = spec.capacity;
  const condition = (type: string, status: Condition['status'], reason: string): Condition => ({
    type,
    status,
    reason,
    lastTransitionTime: now,
  });
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: spec.name, labels: spec.labels },
    spec: {
      providerID: spec.providerID,
      taints: [...spec.taints, { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule', timeAdded: now }],
    },
    status: {
      capacity: { cpu: `${cpuMillis}m`, memory: `${memoryMiB}Mi`, pods: String(pods) },
      // What the system and the kubelet keep for themselves, about as on an EKS node of this size.
      allocatable: { cpu: `${cpuMillis - 80}m`, memory: `${Math.floor(memoryMiB * 0.93)}Mi`, pods: String(pods) },
      conditions: [
        condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory'),
        condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure'),
        condition('PIDPressure', 'False', 'KubeletHasSufficientPID'),
        condition('Ready', 'False', 'KubeletNotReady'),
      ],
      addresses: [
        { type: 'InternalIP', address: internalAddress(spec.name) },
        { type: 'Hostname', address: spec.name },
        { type: 'InternalDNS', address: spec.name },
      ],
      nodeInfo: {
        architecture: 'amd64',
        bootID: bootIdOf(spec.name, 0),
        containerRuntimeVersion: 'containerd://1.7.27',
        kernelVersion: '6.1.144-170.251.amzn2023.x86_64',
        kubeletVersion: spec.kubeletVersion,
        operatingSystem: 'linux',
        osImage: 'Amazon Linux 2023',
      },
    },
  };
}

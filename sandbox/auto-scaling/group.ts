import type { Clock } from '../clock.ts';
import type { SandboxCluster } from '../cluster.ts';
import type { Random } from '../random.ts';
import { initialSelfManagedNodes, selfManagedNode, type AutoScalingGroupSeed, type ClusterSeed, type LifecycleHookSeed } from '../seed.ts';
import { AutoScalingFault } from './fault.ts';

/** Simulated times of an Auto Scaling group, in milliseconds. */
const times = {
  looksAfterMs: 2_000,
  joinsAfterMs: [20_000, 40_000],
  terminatesAfterMs: [20_000, 40_000],
  triesAgainAfterMs: 20_000,
} as const;
const activitiesMax = 100;
/** A zone may have this many more instances than another one until the group is balanced anew. */
const imbalanceMax = 1;

/** What a group does by itself, by the names of the API. */
export const processNames = [
  'Launch',
  'Terminate',
  'AddToLoadBalancer',
  'AlarmNotification',
  'AZRebalance',
  'HealthCheck',
  'InstanceRefresh',
  'ReplaceUnhealthy',
  'ScheduledActions',
];

export interface ScaledInstance {
  id: string;
  nodeName: string;
  zone: string;
  /** Version of the launch template that it was started with. */
  version: number;
  state: 'Pending' | 'Pending:Wait' | 'InService' | 'Terminating' | 'Terminating:Wait';
}

export interface ScalingActivity {
  id: string;
  description: string;
  cause: string;
  startedAt: Date;
  endedAt?: Date;
  status: 'InProgress' | 'Successful' | 'Failed';
  message?: string;
}

/** What a group is part of. */
export interface GroupSurroundings {
  clock: Clock;
  random: Random;
  cluster: ClusterSeed;
  nodes: SandboxCluster;
  /** Hears of what was done although it was done already. */
  report: (kind: 'done-twice' | 'updated-needlessly', object: string, sentence: string) => void;
}

/** A self-managed Auto Scaling group: keeps as many instances as are desired, which join the cluster as nodes. */
export class AutoScalingGroup {
  readonly seed: AutoScalingGroupSeed;
  readonly clusterName: string;
  readonly region: string;
  readonly arn: string;
  readonly createdAt: Date;
  minSize: number;
  maxSize: number;
  desiredSize: number;
  template: { id: string; version: string };
  readonly suspended = new Set<string>();
  readonly tags = new Map<string, string>();
  instances: ScaledInstance[];
  /** The newest comes first. */
  readonly activities: ScalingActivity[] = [];
  /** Status of an instance refresh, where there is one. */
  refresh: { id: string; status: string } | undefined;
  /** How many changes it has taken on from outside. */
  changesAccepted = 0;
  /** Why no instance can be had; all can if undefined. */
  shortage: string | undefined;
  private readonly around: GroupSurroundings;
  private isLookSet = false;

  constructor(seed: AutoScalingGroupSeed, around: GroupSurroundings) {
    const { cluster, clock, random } = around;
    this.seed = seed;
    this.around = around;
    this.clusterName = cluster.name;
    this.region = cluster.region;
    this.arn = `arn:aws:autoscaling:${cluster.region}:111122223333:autoScalingGroup:${random.uuid()}:autoScalingGroupName/${seed.name}`;
    this.createdAt = clock.now();
    this.minSize = seed.minSize;
    this.maxSize = seed.maxSize;
    this.desiredSize = seed.size;
    this.template = { id: seed.launchTemplate.id, version: seed.launchTemplate.version };
    this.tags.set(`kubernetes.io/cluster/${cluster.name}`, 'owned');
    for (const [key, value] of Object.entries(seed.tags ?? {})) this.tags.set(key, value);
    this.instances = initialSelfManagedNodes(cluster, seed).map(({ name, zone, providerID }) => {
      return { id: providerID.split('/').at(-1) ?? '', nodeName: name, zone, version: 1, state: 'InService' };
    });
  }

  get hooks(): readonly LifecycleHookSeed[] {
    return this.seed.hooks ?? [];
  }

  /** The newest version of its launch template. */
  get latestVersion(): number {
    return this.seed.launchTemplate.releases.length;
  }

  update(change: { minSize?: number; maxSize?: number; desiredSize?: number; template?: { id: string; version: string } }): void {
    const minSize = change.minSize ?? this.minSize;
    const maxSize = change.maxSize ?? this.maxSize;
    const desiredSize = change.desiredSize ?? Math.min(maxSize, Math.max(minSize, this.desiredSize));
    if (minSize > maxSize)
      throw new AutoScalingFault('ValidationError', `Max bound, ${maxSize}, must be greater than or equal to min bound, ${minSize}`);
    if (desiredSize > maxSize || desiredSize < minSize) {
      const message = `Desired capacity:${desiredSize} must be between the specified min size:${minSize} and max size:${maxSize}`;
      throw new AutoScalingFault('ValidationError', message);
    }
    const template = change.template ?? this.template;
    if (template.id !== this.seed.launchTemplate.id || this.resolved(template.version) > this.latestVersion) {
      throw new AutoScalingFault('ValidationError', 'You must use a valid fully-formed launch template. The version does not exist.');
    }
    const isSame = minSize === this.minSize && maxSize === this.maxSize && desiredSize === this.desiredSize;
    if (isSame && template.version === this.template.version) {
      this.around.report('updated-needlessly', this.seed.name, `UpdateAutoScalingGroup of ${this.seed.name} changed nothing.`);
    }
    this.changesAccepted += 1;
    Object.assign(this, { minSize, maxSize, desiredSize, template });
    this.lookSoon();
  }

  setTag(key: string, value: string | undefined): void {
    this.changesAccepted += 1;
    if (value === undefined) this.tags.delete(key);
    else this.tags.set(key, value);
  }

  suspend(processes: readonly string[]): void {
    this.changesAccepted += 1;
    for (const process of processes) this.suspended.add(process);
  }

  resume(processes: readonly string[]): void {
    this.changesAccepted += 1;
    for (const process of processes) this.suspended.delete(process);
    this.lookSoon();
  }

  /** Ends an instance, whatever runs on its node. One that is ending already is counted a second time, as the caller asks for it. */
  terminate(id: string, decrement: boolean): ScalingActivity {
    const instance = this.instances.find((one) => one.id === id);
    if (!instance)
      throw new AutoScalingFault('ValidationError', `Instance Id not found - No managed instance found for instance ID: ${id}`);
    if (decrement && this.desiredSize - 1 < this.minSize) {
      const message =
        `Currently, desiredSize equals minSize (${this.minSize}). Terminating instance without replacement will violate group's min ` +
        "size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.";
      throw new AutoScalingFault('ValidationError', message);
    }
    this.changesAccepted += 1;
    if (decrement) this.desiredSize -= 1;
    if (instance.state.startsWith('Terminating')) {
      this.around.report('done-twice', this.seed.name, `The end of instance ${id} was asked for a second time.`);
      return this.note('Terminating EC2 instance', 'a user request', 'InProgress');
    }
    return this.end(instance, 'at the request of a user');
  }

  private resolved(version: string): number {
    if (version === '$Latest') return this.latestVersion;
    return version === '$Default' ? 1 : Number(version);
  }

  private lookSoon(delayMs: number = times.looksAfterMs): void {
    if (this.isLookSet) return;
    this.isLookSet = true;
    this.around.clock.after(delayMs, () => {
      this.isLookSet = false;
      this.look();
    });
  }

  private look(): void {
    const present = this.instances.filter(({ state }) => !state.startsWith('Terminating'));
    if (present.length < this.desiredSize && !this.suspended.has('Launch')) {
      const missing = this.desiredSize - present.length;
      for (let count = 0; count < missing; count += 1) if (!this.launch()) return this.lookSoon(times.triesAgainAfterMs);
    }
    const isSettled = present.every(({ state }) => state === 'InService');
    if (present.length > this.desiredSize && !this.suspended.has('Terminate')) {
      for (const instance of this.surplus(present, present.length - this.desiredSize)) this.end(instance, 'to get to the desired capacity');
    } else if (isSettled && present.length === this.desiredSize && !this.suspended.has('AZRebalance')) this.rebalance(present);
  }

  /** A new instance in the emptiest zone comes before one goes from the fullest (Auto Scaling user guide, "Rebalancing activities"). */
  private rebalance(present: readonly ScaledInstance[]): void {
    const counts = this.seed.zones.map((zone) => present.filter((one) => one.zone === zone).length);
    if (Math.max(...counts) - Math.min(...counts) <= imbalanceMax) return;
    if (!this.launch()) this.lookSoon(times.triesAgainAfterMs);
  }

  private surplus(present: readonly ScaledInstance[], count: number): ScaledInstance[] {
    const left = [...present];
    return Array.from({ length: count }, () => {
      const inZone = (zone: string): number => left.filter((one) => one.zone === zone).length;
      const [next] = left.toSorted((one, other) => inZone(other.zone) - inZone(one.zone) || one.version - other.version);
      if (next) left.splice(left.indexOf(next), 1);
      return next;
    }).flatMap((instance) => instance ?? []);
  }

  private launch(): boolean {
    const { clock, random, nodes, cluster } = this.around;
    const cause = `an instance was started in response to a difference between desired and actual capacity`;
    if (this.shortage !== undefined) {
      this.note('Launching a new EC2 instance.  Status Reason: ' + this.shortage, cause, 'Failed', this.shortage);
      return false;
    }
    const count = (zone: string): number => this.instances.filter((one) => one.zone === zone && !one.state.startsWith('Term')).length;
    const [zone = ''] = this.seed.zones.toSorted((one, other) => count(one) - count(other));
    const version = this.resolved(this.template.version);
    const id = `i-0${random.text(16)}`;
    const address = `10-${100 + this.seed.zones.indexOf(zone)}-${128 + random.below(128)}-${1 + random.below(254)}`;
    const instance: ScaledInstance = { id, nodeName: `ip-${address}.${this.region}.compute.internal`, zone, version, state: 'Pending' };
    this.instances.push(instance);
    const activity = this.note(`Launching a new EC2 instance: ${id}`, cause, 'InProgress');
    clock.after(random.between(...times.joinsAfterMs), () => {
      if (!this.instances.includes(instance) || instance.state !== 'Pending') return;
      const releaseVersion = this.seed.launchTemplate.releases[version - 1] ?? '';
      nodes.joinNode(selfManagedNode(cluster, this.seed, { name: instance.nodeName, zone, instanceId: id, releaseVersion }));
      this.afterHook(instance, 'Pending:Wait', () => {
        instance.state = 'InService';
        Object.assign(activity, { status: 'Successful', endedAt: clock.now() });
        this.lookSoon();
      });
    });
    return true;
  }

  private end(instance: ScaledInstance, why: string): ScalingActivity {
    const { clock, random, nodes } = this.around;
    instance.state = 'Terminating';
    const activity = this.note(`Terminating EC2 instance: ${instance.id}`, `an instance was taken out of service ${why}`, 'InProgress');
    this.afterHook(instance, 'Terminating:Wait', () => {
      nodes.removeNode(instance.nodeName, 'auto-scaling');
      clock.after(random.between(...times.terminatesAfterMs), () => {
        this.instances = this.instances.filter((other) => other !== instance);
        Object.assign(activity, { status: 'Successful', endedAt: clock.now() });
        this.lookSoon();
      });
    });
    this.lookSoon();
    return activity;
  }

  /** Goes on at once without a hook, else when its time is over; an instance whose start is abandoned is ended. */
  private afterHook(instance: ScaledInstance, waiting: 'Pending:Wait' | 'Terminating:Wait', goOn: () => void): void {
    const transition = `autoscaling:EC2_INSTANCE_${waiting === 'Pending:Wait' ? 'LAUNCHING' : 'TERMINATING'}`;
    const hook = this.hooks.find((one) => one.transition === transition);
    if (!hook) return goOn();
    instance.state = waiting;
    this.around.clock.after(hook.heartbeatTimeoutSeconds * 1_000, () => {
      if (!this.instances.includes(instance) || instance.state !== waiting) return;
      if (waiting === 'Pending:Wait' && hook.defaultResult === 'ABANDON') this.end(instance, 'as its lifecycle hook was abandoned');
      else goOn();
    });
  }

  private note(description: string, cause: string, status: ScalingActivity['status'], message?: string): ScalingActivity {
    const at = this.around.clock.now();
    const id = this.around.random.uuid();
    const activity: ScalingActivity = { id, description, cause: `At ${at.toISOString()} ${cause}.`, startedAt: at, status, message };
    if (status === 'Failed') activity.endedAt = at;
    this.activities.unshift(activity);
    this.activities.length = Math.min(this.activities.length, activitiesMax);
    return activity;
  }
}

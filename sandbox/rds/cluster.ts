import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import { BlueGreenDeployment } from './blue-green.ts';
import { certificateAuthorities, isOffered, minorTargets, upgradeTargets } from './catalogue.ts';
import {
  DatabaseFault,
  type AcceptedFailover,
  type DatabaseEvent,
  type DatabaseInstance,
  type DatabaseSeed,
  type DatabaseServers,
  type DatabaseSnapshot,
  type FailoverTwist,
  type PendingMaintenance,
} from './model.ts';

/** RDS answers before the status changes: right after a call it still says `available`. */
const statusLagMs = 1_000;
/** Aurora is back within a minute, most often within half of one. */
const promotionMs = { least: 8_000, most: 20_000 };
/** The old writer restarts as a reader. */
const restartMs = 6_000;
const settleMs = 2_000;
/** A change of the class takes an instance away for minutes; other settings are changed as it runs. */
const classChangeMs = 5 * 60_000;
const settingChangeMs = 5_000;
/** All instances restart with the new version, and are back within a minute or two. */
const upgradeMs = 90_000;
const snapshotMs = 3 * 60_000;
/** A clone shares the pages of its source: it is there in minutes, whatever it holds. */
const cloneMs = 4 * 60_000;
const instanceMs = 5 * 60_000;
const deletionMs = 2 * 60_000;
const snapshotsMax = 100;
const eventsMax = 1_000;
const acceptedMax = 1_000;
const resourceIdAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** What can be changed of an instance; what is left out stays. */
export interface InstanceChange {
  instanceClass?: string;
  promotionTier?: number;
  certificateAuthority?: string;
  applyImmediately: boolean;
}

/** One Aurora cluster: its members, its state machine, and what it tells in events. */
export class DatabaseCluster {
  /** A switchover exchanges names. */
  name: string;
  readonly region: string;
  readonly engine: string;
  engineVersion: string;
  readonly resourceId: string;
  readonly createdAt: Date;
  readonly instances: DatabaseInstance[];
  readonly events: DatabaseEvent[] = [];
  readonly pendingMaintenance: PendingMaintenance[] = [];
  readonly snapshots: DatabaseSnapshot[] = [];
  /** What of the cluster itself waits, by the names of the API. */
  readonly pendingModifiedValues: Record<string, string> = {};
  /** Every failover that was accepted: there is never a reason for a second one. */
  readonly failovers: AcceptedFailover[] = [];
  /** How many requests have been accepted that change something. */
  changesAccepted = 0;
  status = 'available';
  writer: string;
  /** How the next failover goes; as it was asked for unless set. */
  twist: FailoverTwist | undefined;
  /** Whether RDS gives up the next upgrade, or the next snapshot, after it has begun. */
  upgradeFails = false;
  snapshotFails = false;
  /** Real servers behind the instances, where there are any. */
  servers: DatabaseServers | undefined;
  /** What a real server has refused to do: nothing that is seen here is to be trusted then. */
  serverTrouble: unknown;
  readonly clock: Clock;
  readonly random: Random;
  private atWork = Promise.resolve();

  /** Clones of it that are there, and what it is a clone of itself. */
  readonly clones: DatabaseCluster[] = [];
  readonly deployments: BlueGreenDeployment[] = [];
  /** How many switchovers to a green cluster have been accepted. */
  switchovers = 0;
  /** Whether RDS refuses to delete it. */
  isProtected: boolean;
  /** Whether it has been deleted. */
  isGone = false;
  /** Whether a switchover has put another one in its place. */
  private isRetired = false;
  readonly source: DatabaseCluster | undefined;
  readonly tags: Record<string, string>;

  constructor(
    seed: DatabaseSeed,
    { clock, random, source, tags = {} }: { clock: Clock; random: Random; source?: DatabaseCluster; tags?: Record<string, string> },
  ) {
    const [first] = seed.instances;
    this.source = source;
    this.isProtected = source === undefined && (seed.isProtected ?? true);
    this.tags = tags;
    if (!first && !source) throw new RangeError(`the database cluster ${seed.name} needs an instance`);
    this.clock = clock;
    this.random = random;
    this.name = seed.name;
    this.region = seed.region;
    this.engine = seed.engine;
    this.engineVersion = seed.engineVersion;
    this.resourceId = `cluster-${random.text(26, resourceIdAlphabet)}`;
    this.createdAt = clock.now();
    this.writer = first?.name ?? '';
    this.instances = seed.instances.map(({ lagMs = 15, promotionTier = 1, ...instance }) => ({
      ...instance,
      promotionTier,
      lagMs,
      resourceId: `db-${random.text(26, resourceIdAlphabet)}`,
      status: 'available',
      engineVersion: seed.engineVersion,
      parameterGroupStatus: 'in-sync',
      certificateAuthority: certificateAuthorities[0] ?? '',
      pendingModifiedValues: {},
    }));
  }

  /** The cluster itself with the others that came of it, without those that are gone. */
  all(): DatabaseCluster[] {
    return [this, ...this.clones].filter(({ isGone }) => !isGone);
  }

  instance(name: string): DatabaseInstance | undefined {
    return this.instances.find((one) => one.name === name);
  }

  /** What CloudWatch has measured last of a reader; nothing of the writer. */
  lagOf(name: string): { lagMs: number; at: Date } | undefined {
    const lagMs = name === this.writer ? undefined : this.instance(name)?.lagMs;
    return lagMs === undefined ? undefined : { lagMs, at: this.clock.now() };
  }

  /** FailoverDBCluster. Accepts a second one whenever the cluster says `available`, also right after the first: RDS knows no token. */
  failOver(asked: string | undefined): void {
    if (this.status !== 'available') {
      throw new DatabaseFault('InvalidDBClusterStateFault', `DB cluster ${this.name} is not in available state`);
    }
    const wanted = asked === undefined ? this.chosenByRds() : this.instance(asked);
    if (!wanted || wanted.name === this.writer) {
      const told = asked === undefined ? 'has no reader to promote' : `cannot be failed over to ${asked}`;
      throw new DatabaseFault('InvalidDBInstanceState', `DB cluster ${this.name} ${told}`);
    }
    if (wanted.status !== 'available') {
      throw new DatabaseFault('InvalidDBInstanceState', `DB instance ${wanted.name} is not in available state`);
    }
    const { twist } = this;
    this.twist = undefined;
    const to = twist?.kind === 'promotes' ? (this.instance(twist.instance) ?? wanted) : wanted;
    this.accept({ at: this.clock.now(), from: this.writer, asked, to: to.name });
    this.clock.after(statusLagMs, () => this.beginFailover(to, twist));
  }

  /** ModifyDBInstance; without ApplyImmediately it waits for the maintenance window, which never comes here. */
  modifyInstance(name: string, { instanceClass, promotionTier, certificateAuthority, applyImmediately }: InstanceChange): DatabaseInstance {
    const instance = this.instance(name);
    if (!instance) throw new DatabaseFault('DBInstanceNotFound', `DBInstance ${name} not found.`, 404);
    if (instance.status !== 'available') {
      throw new DatabaseFault('InvalidDBInstanceState', `Database instance is not in available state.`);
    }
    if (instanceClass !== undefined && !isOffered(instanceClass, instance.zone)) {
      const combination = `DBInstanceClass=${instanceClass}, Engine=${this.engine}, EngineVersion=${instance.engineVersion}`;
      const told = `RDS does not support creating a DB instance with the following combination: ${combination}`;
      throw new DatabaseFault('InvalidParameterCombination', told);
    }
    this.changesAccepted += 1;
    if (instanceClass !== undefined && instanceClass !== instance.instanceClass) {
      instance.pendingModifiedValues.DBInstanceClass = instanceClass;
    }
    if (certificateAuthority !== undefined) {
      if (applyImmediately) this.changeCertificate(instance, certificateAuthority);
      else instance.pendingModifiedValues.CACertificateIdentifier = certificateAuthority;
      return instance;
    }
    // Whatever else is pending goes along.
    const wanted = applyImmediately ? instance.pendingModifiedValues.DBInstanceClass : undefined;
    this.clock.after(statusLagMs, () => {
      if (promotionTier !== undefined) instance.promotionTier = promotionTier;
      if (wanted === undefined && promotionTier === undefined) return;
      instance.status = 'modifying';
      if (wanted !== undefined) this.byServers((servers) => servers.stop(name));
      this.clock.after(wanted === undefined ? settingChangeMs : classChangeMs, () => {
        if (wanted === undefined) return this.endModification(instance, wanted);
        this.byServers(
          (servers) => servers.follow(name),
          () => this.endModification(instance, wanted),
        );
      });
    });
    return instance;
  }

  /** ModifyDBInstance with another certificate authority; here it restarts the instance for the moment that takes. */
  private changeCertificate(instance: DatabaseInstance, certificateAuthority: string): void {
    if (certificateAuthority === instance.certificateAuthority) return;
    instance.pendingModifiedValues.CACertificateIdentifier = certificateAuthority;
    this.clock.after(statusLagMs, () => {
      instance.status = 'modifying';
      this.clock.after(settingChangeMs, () => {
        Object.assign(instance, { certificateAuthority, status: 'available' });
        delete instance.pendingModifiedValues.CACertificateIdentifier;
      });
    });
  }

  /** ModifyDBCluster with another engine version; without ApplyImmediately it waits for a window, which never comes here. */
  upgrade(version: string, applyImmediately: boolean): void {
    if (this.status !== 'available' || this.instances.some(({ status }) => status !== 'available')) {
      throw new DatabaseFault('InvalidDBClusterStateFault', `DB cluster ${this.name} is not in available state`);
    }
    if (version !== this.engineVersion && !minorTargets(this.engine, this.engineVersion).includes(version)) {
      const told = `Cannot upgrade ${this.engine} from ${this.engineVersion} to ${version}`;
      throw new DatabaseFault('InvalidParameterCombination', told);
    }
    this.changesAccepted += 1;
    if (version === this.engineVersion) return;
    this.pendingModifiedValues.EngineVersion = version;
    if (applyImmediately) this.clock.after(statusLagMs, () => this.beginUpgrade(version));
  }

  private beginUpgrade(version: string): void {
    // What is under way comes first.
    if (this.status !== 'available') return void this.clock.after(statusLagMs, () => this.beginUpgrade(version));
    const fails = this.upgradeFails;
    this.upgradeFails = false;
    this.status = 'upgrading';
    const started = `Database cluster engine ${version} version upgrade started. Cluster remains online.`;
    this.tell('db-cluster', this.name, started, ['maintenance']);
    for (const instance of this.instances) {
      instance.status = 'upgrading';
      this.byServers((servers) => servers.stop(instance.name));
    }
    this.clock.after(upgradeMs, () => {
      delete this.pendingModifiedValues.EngineVersion;
      const end = (): void => this.endUpgrade(fails ? undefined : version);
      const { writer, instances } = this;
      this.byServers(async (servers) => {
        await servers.promote(writer);
        for (const { name } of instances) if (name !== writer) await servers.follow(name);
      }, end);
    });
  }

  private endUpgrade(version: string | undefined): void {
    const tell = (message: string): void => this.tell('db-cluster', this.name, message, ['maintenance']);
    if (version === undefined) tell('Database cluster is in a state that cannot be upgraded.');
    else {
      this.engineVersion = version;
      for (const instance of this.instances) instance.engineVersion = version;
      tell('Database cluster engine version has been upgraded.');
    }
    for (const instance of this.instances) instance.status = 'available';
    this.clock.after(settleMs, () => (this.status = 'available'));
  }

  /** CreateDBClusterSnapshot: its name tells it from others, in the whole region. */
  takeSnapshot(name: string, tags: Record<string, string>): DatabaseSnapshot {
    if (this.status !== 'available') {
      throw new DatabaseFault('InvalidDBClusterStateFault', `DB cluster ${this.name} is not in available state`);
    }
    if (this.snapshots.length >= snapshotsMax) throw new DatabaseFault('SnapshotQuotaExceeded', 'Cannot create more than 100 snapshots');
    this.changesAccepted += 1;
    const [createdAt, { engineVersion }] = [this.clock.now(), this];
    const snapshot: DatabaseSnapshot = { name, status: 'creating', percent: 0, createdAt, engineVersion, tags };
    this.snapshots.push(snapshot);
    const fails = this.snapshotFails;
    this.snapshotFails = false;
    this.clock.after(snapshotMs / 2, () => (snapshot.percent = 50));
    this.clock.after(snapshotMs, () => {
      if (fails) snapshot.status = 'failed';
      else Object.assign(snapshot, { status: 'available', percent: 100 });
    });
    return snapshot;
  }

  /** RestoreDBClusterToPointInTime, as a clone of this moment. It has no instance at first. */
  clone(name: string, tags: Record<string, string>): DatabaseCluster {
    if (this.status !== 'available') {
      throw new DatabaseFault('InvalidDBClusterStateFault', `DB cluster ${this.name} is not in available state`);
    }
    const seed = { name, region: this.region, engine: this.engine, engineVersion: this.engineVersion, instances: [] } as DatabaseSeed;
    const clone = new DatabaseCluster(seed, { clock: this.clock, random: this.random.stream(`clone ${name}`), source: this, tags });
    this.changesAccepted += 1;
    this.clones.push(clone);
    clone.status = 'creating';
    this.clock.after(cloneMs, () => (clone.status = 'available'));
    return clone;
  }

  /** CreateDBInstance in a clone: its first instance is its writer. */
  addInstance(name: string, instanceClass: string): DatabaseInstance {
    if (this.status !== 'available' || !this.source) {
      throw new DatabaseFault('InvalidDBClusterStateFault', `DB cluster ${this.name} is not in available state`);
    }
    this.source.changesAccepted += 1;
    const instance: DatabaseInstance = {
      ...{ name, instanceClass, zone: `${this.region}a`, promotionTier: 1, lagMs: undefined, status: 'creating' },
      ...{ resourceId: `db-${this.random.text(26, resourceIdAlphabet)}`, engineVersion: this.engineVersion },
      ...{ parameterGroupStatus: 'in-sync', pendingModifiedValues: {}, certificateAuthority: certificateAuthorities[0] ?? '' },
    };
    this.instances.push(instance);
    if (this.writer === '') this.writer = name;
    this.clock.after(instanceMs, () => (instance.status = 'available'));
    return instance;
  }

  /** CreateBlueGreenDeployment. */
  deploy(name: string, version: string, tags: Record<string, string>): BlueGreenDeployment {
    this.requireAvailable();
    if (this.instance(this.writer)?.parameterGroupStatus !== 'in-sync' || this.deployments.length > 0) {
      const told = `DB cluster ${this.name} is part of a blue/green deployment, or its writer is not in sync with its parameter group.`;
      throw new DatabaseFault('SourceClusterNotSupportedFault', told);
    }
    if (version !== this.engineVersion && !upgradeTargets(this.engine, this.engineVersion).includes(version)) {
      const told = `Cannot upgrade ${this.engine} from ${this.engineVersion} to ${version}`;
      throw new DatabaseFault('InvalidParameterCombination', told);
    }
    this.changesAccepted += 1;
    const deployment = new BlueGreenDeployment(this, name, { version, tags });
    this.deployments.push(deployment);
    return deployment;
  }

  /** A copy with an instance for each of its own, which is being created. */
  greenCopy(suffix: string, engineVersion: string): DatabaseCluster {
    const instances = this.instances.map(({ name, instanceClass, zone, promotionTier }) => {
      return { name: `${name}${suffix}`, instanceClass, zone, promotionTier };
    });
    const seed = { name: `${this.name}${suffix}`, region: this.region, engine: this.engine, engineVersion, instances } as DatabaseSeed;
    const [clock, random] = [this.clock, this.random.stream(`green ${suffix}`)];
    const green = new DatabaseCluster(seed, { clock, random, source: this });
    green.writer = `${this.writer}${suffix}`;
    green.status = 'creating';
    for (const instance of green.instances) instance.status = 'creating';
    this.clones.push(green);
    return green;
  }

  /** What was created is available. */
  comeUp(): void {
    if (this.status !== 'creating') return;
    for (const instance of this.instances) instance.status = 'available';
    this.status = 'available';
  }

  /** The green cluster and its instances get the names of this one's, which get `-old1`. */
  exchangeNames(green: DatabaseCluster): void {
    const names = this.instances.map(({ name }) => name);
    green.writer = this.writer;
    for (const [index, name] of names.entries()) {
      const [own, other] = [this.instances[index], green.instances[index]];
      if (!own || !other) continue;
      other.name = name;
      own.name = `${name}-old1`;
    }
    this.writer = `${this.writer}-old1`;
    [green.name, this.name] = [this.name, `${this.name}-old1`];
    green.isProtected = this.isProtected;
    this.isRetired = true;
  }

  /** It is not there any more. */
  vanish(): void {
    this.isGone = true;
    const { source } = this;
    if (source) source.clones.splice(source.clones.indexOf(this), 1);
  }

  private requireAvailable(): void {
    if (this.status === 'available') return;
    throw new DatabaseFault('InvalidDBClusterStateFault', `DB cluster ${this.name} is not in available state`);
  }

  /** Whether it may be deleted: a clone, or what a switchover has left once its deployment is gone. */
  private mayGo(): boolean {
    return this.isRetired ? this.deployments.length === 0 : this.source !== undefined;
  }

  /** DeleteDBInstance; instances of clusters that serve stay, as nothing here may ask for that. */
  deleteInstance(instance: DatabaseInstance): void {
    if (!this.mayGo() || instance.status === 'deleting') {
      throw new DatabaseFault('InvalidDBInstanceState', `Instance ${instance.name} is already being deleted, or must stay.`);
    }
    (this.source ?? this).changesAccepted += 1;
    instance.status = 'deleting';
    this.clock.after(deletionMs, () => void this.instances.splice(this.instances.indexOf(instance), 1));
  }

  /** DeleteDBCluster, with a final snapshot where it is given a name: that stays with what has taken its place. */
  delete(finalSnapshot: string | undefined): void {
    const { source, name } = this;
    if (this.isProtected || !this.mayGo()) {
      const told = 'Cannot delete protected Cluster, please disable deletion protection and try again.';
      throw new DatabaseFault('InvalidParameterCombination', told);
    }
    if (this.status === 'deleting' || this.instances.some(({ status }) => status !== 'deleting')) {
      const told = `Cluster ${name} cannot be deleted, it still contains DB instances in non-deleting state, or is deleted already.`;
      throw new DatabaseFault('InvalidDBClusterStateFault', told);
    }
    (source ?? this).changesAccepted += 1;
    this.status = 'deleting';
    if (finalSnapshot !== undefined) {
      const { engineVersion, resourceId } = this;
      const taken = { name: finalSnapshot, status: 'available', percent: 100, createdAt: this.clock.now(), tags: {} };
      (this.clones[0] ?? source)?.snapshots.push({ ...taken, engineVersion, resourceId });
    }
    this.clock.after(2 * deletionMs, () => this.vanish());
  }

  private endModification(instance: DatabaseInstance, instanceClass: string | undefined): void {
    instance.status = 'available';
    if (instanceClass === undefined) return;
    instance.instanceClass = instanceClass;
    delete instance.pendingModifiedValues.DBInstanceClass;
    this.tell('db-instance', instance.name, `Finished applying modification to DB instance class`, ['configuration change']);
  }

  private accept(failover: AcceptedFailover): void {
    this.changesAccepted += 1;
    this.failovers.push(failover);
    if (this.failovers.length > acceptedMax) this.failovers.shift();
  }

  /** By promotion tier, and by name among those of one tier. */
  private chosenByRds(): DatabaseInstance | undefined {
    const readers = this.instances.filter(({ name, status }) => name !== this.writer && status === 'available');
    return readers.sort((one, other) => one.promotionTier - other.promotionTier || one.name.localeCompare(other.name, 'en'))[0];
  }

  private beginFailover(to: DatabaseInstance, twist: FailoverTwist | undefined): void {
    const from = this.instance(this.writer);
    // A second one that was accepted before the first was to be seen ends where the first one does.
    if (!from || this.status !== 'available' || to.name === this.writer) return;
    this.status = 'failing-over';
    const told = twist?.kind !== 'goes-untold';
    const distance = from.zone === to.zone ? 'same AZ' : 'cross AZ';
    this.byServers((servers) => servers.stop(from.name));
    if (told) this.tellFailover(`Started ${distance} failover to DB instance: ${to.name}`);
    this.clock.after(this.random.between(promotionMs.least, promotionMs.most), () => {
      if (twist?.kind === 'fails') return this.giveUp('Cluster failover failed, check the health of your cluster instances and try again.');
      if (twist?.kind === 'returns') return this.giveUp(`Promoting previous primary again: ${from.name}`);
      this.byServers(
        (servers) => servers.promote(to.name),
        () => this.promote(from, to, told),
      );
    });
  }

  private giveUp(message: string): void {
    this.tellFailover(message);
    this.clock.after(settleMs, () => (this.status = 'available'));
  }

  private promote(from: DatabaseInstance, to: DatabaseInstance, told: boolean): void {
    this.writer = to.name;
    from.status = 'rebooting';
    this.tell('db-instance', to.name, 'DB instance restarted', ['availability']);
    if (told) this.tellFailover(`Completed failover to DB instance: ${to.name}`);
    this.clock.after(settleMs, () => (this.status = 'available'));
    this.clock.after(restartMs, () => {
      this.byServers(
        (servers) => servers.follow(from.name),
        () => this.endRestart(from),
      );
    });
  }

  private endRestart(instance: DatabaseInstance): void {
    instance.status = 'available';
    this.tell('db-instance', instance.name, 'DB instance restarted', ['availability']);
  }

  /** What real servers do one after another comes before what is told of it; without any it is told at once. */
  private byServers(work: (servers: DatabaseServers) => Promise<void>, then: () => void = () => undefined): void {
    const { servers } = this;
    if (!servers) return then();
    this.atWork = this.atWork
      .then(() => work(servers))
      .then(then)
      .catch((error: unknown) => void (this.serverTrouble ??= error));
  }

  private tellFailover(message: string): void {
    this.tell('db-cluster', this.name, message, ['failover']);
  }

  private tell(sourceType: DatabaseEvent['sourceType'], source: string, message: string, categories: string[]): void {
    this.events.push({ source, sourceType, message, categories, at: this.clock.now() });
    if (this.events.length > eventsMax) this.events.shift();
  }
}

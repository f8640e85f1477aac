import type { DatabaseCluster } from './cluster.ts';
import { DatabaseFault } from './model.ts';

const minuteMs = 60_000;
/** What RDS does for a green cluster, in its words, and when each is done: real ones take hours. */
const taskTimes: readonly [string, number][] = [
  ['CREATING_READ_REPLICA_OF_SOURCE', 6 * minuteMs],
  ['DB_ENGINE_VERSION_UPGRADE', 9 * minuteMs],
  ['CONFIGURE_BACKUPS', 10 * minuteMs],
  ['CREATING_TOPOLOGY_OF_SOURCE', 12 * minuteMs],
];
/** The status says AVAILABLE before the last task is done. */
const availableTooEarlyMs = 11 * minuteMs;
const statusLagMs = 1_000;
const switchoverMs = { least: 15_000, most: 40_000 };
const settleMs = 3_000;
const deletionMs = 2 * minuteMs;
const idAlphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** A blue/green deployment: a copy of a cluster that follows it, until both exchange their names. */
export class BlueGreenDeployment {
  readonly id: string;
  readonly name: string;
  readonly blue: DatabaseCluster;
  readonly green: DatabaseCluster;
  readonly createdAt: Date;
  readonly tags: Record<string, string>;
  readonly tasks: { name: string; status: string }[];
  status = 'PROVISIONING';
  statusDetails: string | undefined;
  /** How often a switchover was accepted. */
  switchovers = 0;
  /** Whether RDS gives up the next switchover after it has begun. */
  switchoverFails = false;
  private isFinished = false;

  constructor(blue: DatabaseCluster, name: string, { version, tags }: { version: string; tags: Record<string, string> }) {
    const random = blue.random.stream(`blue/green ${name}`);
    this.id = `bgd-${random.text(16, idAlphabet)}`;
    this.name = name;
    this.blue = blue;
    this.green = blue.greenCopy(`-green-${random.text(6, idAlphabet)}`, version);
    this.createdAt = blue.clock.now();
    this.tags = tags;
    this.tasks = taskTimes.map(([task]) => ({ name: task, status: 'PENDING' }));
    for (const [index, [, doneMs]] of taskTimes.entries()) {
      blue.clock.after(taskTimes[index - 1]?.[1] ?? 0, () => this.setTask(index, 'IN_PROGRESS'));
      blue.clock.after(doneMs, () => this.setTask(index, 'COMPLETED'));
    }
    blue.clock.after(availableTooEarlyMs, () => this.move('PROVISIONING', 'AVAILABLE'));
    blue.clock.after(taskTimes.at(-1)?.[1] ?? 0, () => this.green.comeUp());
  }

  /** Skips what takes time before a switchover, for whoever begins after that. */
  finish(): void {
    this.isFinished = true;
    for (const task of this.tasks) task.status = 'COMPLETED';
    this.status = 'AVAILABLE';
    this.green.comeUp();
  }

  /** Skips a switchover, for whoever begins after that. */
  finishSwitchover(): void {
    this.blue.exchangeNames(this.green);
    this.status = 'SWITCHOVER_COMPLETED';
  }

  /** SwitchoverBlueGreenDeployment: it is accepted again after RDS has given one up. */
  switchOver(): void {
    const isReady = ['AVAILABLE', 'SWITCHOVER_FAILED'].includes(this.status) && this.tasks.every(({ status }) => status === 'COMPLETED');
    if (!isReady) this.refuse('cannot be switched over');
    this.blue.changesAccepted += 1;
    this.switchovers += 1;
    this.blue.switchovers += 1;
    const { clock, random } = this.blue;
    const fails = this.switchoverFails;
    this.switchoverFails = false;
    clock.after(statusLagMs, () => {
      this.status = 'SWITCHOVER_IN_PROGRESS';
      clock.after(random.between(switchoverMs.least, switchoverMs.most), () => {
        if (fails) {
          this.status = 'SWITCHOVER_FAILED';
          this.statusDetails = 'Switchover timed out and was rolled back: replica lag.';
          return;
        }
        this.blue.exchangeNames(this.green);
        clock.after(settleMs, () => (this.status = 'SWITCHOVER_COMPLETED'));
      });
    });
  }

  /** DeleteBlueGreenDeployment; with the green cluster where that is asked for, which is so before a switchover only. */
  delete(withTarget: boolean): void {
    if (['DELETING', 'SWITCHOVER_IN_PROGRESS'].includes(this.status)) this.refuse('cannot be deleted');
    if (withTarget && this.status === 'SWITCHOVER_COMPLETED')
      this.refuse('has been switched over, and its target cannot be deleted with it');
    const { blue, green } = this;
    blue.changesAccepted += 1;
    this.status = 'DELETING';
    if (withTarget) for (const instance of green.instances) instance.status = 'deleting';
    if (withTarget) green.status = 'deleting';
    blue.clock.after(deletionMs, () => {
      if (withTarget) green.vanish();
      blue.deployments.splice(blue.deployments.indexOf(this), 1);
    });
  }

  private move(from: string, to: string): void {
    if (this.status === from) this.status = to;
  }

  private setTask(index: number, status: string): void {
    const task = this.tasks[index];
    if (task && this.status !== 'DELETING' && !this.isFinished) task.status = status;
  }

  private refuse(what: string): never {
    throw new DatabaseFault('InvalidBlueGreenDeploymentStateFault', `Blue/green deployment ${this.id} is ${this.status} and ${what}.`);
  }
}

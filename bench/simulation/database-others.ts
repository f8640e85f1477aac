import type { DatabaseCluster } from '../../sandbox/rds/cluster.ts';
import { DatabaseFault, type DatabaseInstance, type FailoverTwist } from '../../sandbox/rds/model.ts';
import type { Deed } from './circumstances.ts';
import type { SimulatedCloud } from './environment.ts';
import { PassingTrouble } from './passing-trouble.ts';
import type { SimulatedTarget } from './world.ts';

/** More than any plan allows. */
const longLagMs = 30_000;

/** Somebody else who works on the Aurora cluster of a run, and RDS on its bad days. */
export class DatabaseOthers {
  /** What they have done, for people. */
  readonly told: string[] = [];
  /** The failovers that they have asked for, as the sandbox keeps them. */
  readonly failovers = new Set<unknown>();
  /** Whether RDS was made to end a failover in another way than it was asked to. */
  twisted = false;
  private readonly sandbox: SimulatedCloud;
  private readonly simulated: SimulatedTarget;
  private readonly database: DatabaseCluster;
  private readonly passing = new PassingTrouble();

  constructor(sandbox: SimulatedCloud, simulated: SimulatedTarget, database: DatabaseCluster) {
    this.sandbox = sandbox;
    this.simulated = simulated;
    this.database = database;
  }

  /** Does it. Returns false where the moment does not suit: then it is tried again later. */
  async act({ kind, choice, forMs }: Deed): Promise<boolean> {
    const { database } = this;
    const readers = database.instances.filter(({ name }) => name !== database.writer);
    const reader = readers[Math.floor(choice * readers.length)];
    if (!reader) return false;
    switch (kind) {
      case 'fail-over':
        return this.failOver(reader);
      case 'give-up':
        return this.twist({ kind: choice < 0.5 ? 'fails' : 'returns' }, 'RDS will give up the next failover');
      case 'untell':
        return this.twist({ kind: 'goes-untold' }, 'RDS will not tell of the next failover');
      case 'misdirect':
        return this.twist({ kind: 'promotes', instance: reader.name }, `RDS will promote ${reader.name}, whatever it is asked for`);
      case 'restart':
        return this.restart(reader, forMs);
      case 'lag':
        return this.lag(reader, forMs);
      default:
        this.storm(forMs);
        return true;
    }
  }

  haveCaused(): boolean {
    return false;
  }

  /** Ends what would have passed by itself, and whatever goes wrong. */
  stop(): void {
    this.passing.stop();
    this.database.twist = undefined;
    this.sandbox.world.faults.set({ rate: 0 });
  }

  private failOver(reader: DatabaseInstance): boolean {
    try {
      this.database.failOver(reader.name);
    } catch (error) {
      if (error instanceof DatabaseFault) return false;
      throw error;
    }
    this.failovers.add(this.database.failovers.at(-1));
    this.told.push(`failed over to ${reader.name}`);
    return true;
  }

  private twist(twist: FailoverTwist, told: string): boolean {
    this.database.twist = twist;
    this.twisted = true;
    this.told.push(told);
    return true;
  }

  private restart(reader: DatabaseInstance, forMs: number): boolean {
    if (reader.status !== 'available') return false;
    this.forAWhile(`restarted ${reader.name}`, forMs, {
      begin: () => (reader.status = 'rebooting'),
      end: () => {
        if (reader.status === 'rebooting') reader.status = 'available';
      },
    });
    return true;
  }

  private lag(reader: DatabaseInstance, forMs: number): boolean {
    const { lagMs } = reader;
    this.forAWhile(`had ${reader.name} lag`, forMs, {
      begin: () => (reader.lagMs = longLagMs),
      end: () => (reader.lagMs = lagMs),
    });
    return true;
  }

  private storm(forMs: number): void {
    const { faults } = this.simulated.circumstances;
    this.forAWhile('let every call fail', forMs, {
      begin: () => this.sandbox.world.faults.set({ ...faults, rate: 1 }),
      end: () => this.sandbox.world.faults.set(faults),
    });
  }

  private forAWhile(told: string, forMs: number, trouble: { begin: () => void; end: () => void }): void {
    if (this.passing.begin(told, forMs, trouble)) this.told.push(`${told} for ${forMs} ms`);
  }
}

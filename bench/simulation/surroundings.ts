import { EKSClient } from '@aws-sdk/client-eks';
import type { RunState } from '../../domain/run/state.ts';
import type { Violation } from '../../sandbox/observer.ts';
import { groupsOf, leftoversOf } from './aftermath.ts';
import type { Deed } from './circumstances.ts';
import { databaseLeftovers, failoversTooMany, membersOf, switchoversTooMany } from './database-aftermath.ts';
import { DatabaseOthers } from './database-others.ts';
import type { SimulatedCloud } from './environment.ts';
import { Others } from './others.ts';
import { region, type SimulatedTarget } from './world.ts';

/** What is around a run on a target of one kind: somebody else who works on it, and what to look for when the run is over. */
export interface Surroundings {
  others: {
    readonly told: string[];
    act(deed: Deed): Promise<boolean>;
    haveCaused(violation: Pick<Violation, 'budget'>): boolean;
    stop(): void;
  };
  /** What is neither as it was nor as the run says. */
  leftovers(state: RunState | undefined): Promise<string[]>;
  /** What was done more often than people have signed for, besides what the observer of the world has seen. */
  doubleEffects(state: RunState | undefined): Promise<string[]>;
  close(): void;
}

/** Looks at the target before the run. */
export async function surroundingsOf(sandbox: SimulatedCloud, simulated: SimulatedTarget): Promise<Surroundings> {
  const [database] = sandbox.world.databases;
  if (database) {
    const others = new DatabaseOthers(sandbox, simulated, database);
    const before = membersOf(database);
    return {
      others,
      leftovers: (state) => databaseLeftovers({ database, before, others }, state),
      doubleEffects: async (state) => [
        ...(await failoversTooMany(database, others, state)),
        ...(await switchoversTooMany(database, state)),
      ],
      close: () => undefined,
    };
  }
  const { cluster } = simulated;
  const eks = new EKSClient({ region, endpoint: sandbox.url, credentials: { accessKeyId: 'somebody-else', secretAccessKey: 'sandbox' } });
  const others = new Others(sandbox, simulated, eks);
  const before = await groupsOf(sandbox, cluster, eks);
  return {
    others,
    leftovers: (state) => leftoversOf({ sandbox, cluster, eks, before, others }, state),
    doubleEffects: async () => [],
    close: () => eks.destroy(),
  };
}

import { Random } from '../../sandbox/random.ts';
import type { WorkloadOptions } from '../../lab/workloads.ts';

export const namespace = 'drained';

/** A workload of a scenario. Its pods are dealt to the nodes in turn, so many of them to those that will be drained. */
export interface BenchWorkload extends Pick<WorkloadOptions, 'name' | 'replicas' | 'kind' | 'budget'> {
  onDrained: number;
  /** So long after the start of the drain one of the pods elsewhere becomes Ready, and with it the budget opens. */
  opensAfterSeconds?: number;
}

/** What is drained, and what of. */
export interface Scenario {
  letter: string;
  title: string;
  nodes: number;
  /** The first so many nodes are drained. */
  drained: number;
  workloads: readonly BenchWorkload[];
  /** How long a new pod takes to be Ready, and one that was there to end: dealt to the pods in equal parts. */
  readinessSeconds: readonly number[];
  shutdownSeconds: readonly number[];
}

/** 3 seconds on average, between 1 and 6, as kwok's own stages have it. */
const readinessSeconds = [1, 2, 2.5, 3, 3.5, 6];
/** What most programs need to end. */
const shutdownSeconds = [1, 1.5, 2, 3, 4, 6];

function many(count: number, workload: (index: number) => BenchWorkload): BenchWorkload[] {
  return Array.from({ length: count }, (_, index) => workload(index));
}

/** All pods are on the nodes that will be drained: the others are spare. */
function moved(name: string, replicas: number, budget?: BenchWorkload['budget']): BenchWorkload {
  return { name, replicas, onDrained: replicas, budget };
}

/** The scenarios by their letters. */
export const scenarios: readonly Scenario[] = [
  {
    letter: 'a',
    title: '3 of 6 nodes, 12 replicas, maxUnavailable 1',
    nodes: 6,
    drained: 3,
    workloads: [{ name: 'web', replicas: 12, onDrained: 6, budget: { maxUnavailable: 1 } }],
    readinessSeconds,
    // Up to the whole grace period, evenly, as kwok's own stages have it.
    shutdownSeconds: [2, 7, 12, 18, 24, 30],
  },
  {
    letter: 'b',
    title: '10 of 15 nodes, 200 pods, mixed budgets',
    nodes: 15,
    drained: 10,
    workloads: [
      ...many(4, (index) => moved(`quarter-${index}`, 20, { maxUnavailable: '25%' })),
      ...many(3, (index) => moved(`two-${index}`, 20, { maxUnavailable: 2 })),
      ...many(2, (index) => moved(`fifth-${index}`, 10, { minAvailable: '80%' })),
      ...many(1, (index) => moved(`one-${index}`, 10, { maxUnavailable: 1 })),
      ...many(3, (index) => moved(`free-${index}`, 10)),
    ],
    readinessSeconds,
    shutdownSeconds,
  },
  {
    letter: 'c',
    title: '20 of 25 nodes, 200 pods, no budgets',
    nodes: 25,
    drained: 20,
    workloads: many(10, (index) => moved(`free-${index}`, 20)),
    readinessSeconds,
    shutdownSeconds,
  },
  {
    letter: 'd',
    title: '4 of 8 nodes, 4 StatefulSets of 6, maxUnavailable 1',
    nodes: 8,
    drained: 4,
    workloads: many(4, (index) => ({
      name: `set-${index}`,
      kind: 'StatefulSet',
      replicas: 6,
      onDrained: 3,
      budget: { maxUnavailable: 1 },
    })),
    readinessSeconds,
    shutdownSeconds,
  },
  {
    letter: 'e',
    title: '4 of 8 nodes, 4 workloads of 12, maxUnavailable 1, budgets open late',
    nodes: 8,
    drained: 4,
    workloads: [6.7, 8.9, 10.3, 12.1].map((opensAfterSeconds, index) => ({
      name: `late-${index}`,
      replicas: 12,
      onDrained: 6,
      budget: { maxUnavailable: 1 },
      opensAfterSeconds,
    })),
    readinessSeconds,
    shutdownSeconds,
  },
];

export function nodeName(index: number): string {
  return `node-${index}`;
}

/** The names of the nodes that a scenario drains. */
export function drainedNodes({ drained }: Scenario): string[] {
  return Array.from({ length: drained }, (_, index) => nodeName(index));
}

/** How many pods a scenario moves. */
export function podsMoved({ workloads }: Scenario): number {
  return workloads.reduce((sum, { onDrained }) => sum + onDrained, 0);
}

/** What becomes of the pods of a workload, in the order in which they are created. */
export interface Fates {
  /** Those that are there when the drain begins. */
  first: readonly { node: string; shutdownSeconds: number; isReadied: boolean }[];
  /** How long those that come later take to be Ready; begun again where there are more of them. */
  readinessSeconds: readonly number[];
}

/**
 * The fates of all pods of a round, by the names of their workloads: the same for every contender of the round, other ones in the
 * next round. `isReadied` marks the pod that does not become Ready by itself.
 */
export function fatesOf(scenario: Scenario, round: number): Map<string, Fates> {
  const random = new Random(round).stream(scenario.letter);
  const { drained, nodes, workloads } = scenario;
  const shutdowns = dealer(scenario.shutdownSeconds, podsMoved(scenario), random);
  let nextDrained = 0;
  let nextOther = 0;
  return new Map(
    workloads.map(({ name, replicas, onDrained, opensAfterSeconds }) => {
      const first = Array.from({ length: replicas }, (_, index) => {
        if (index < onDrained) return { node: nodeName(nextDrained++ % drained), shutdownSeconds: shutdowns(), isReadied: false };
        const node = nodeName(drained + (nextOther++ % (nodes - drained)));
        return { node, shutdownSeconds: 1, isReadied: opensAfterSeconds !== undefined && index === onDrained };
      });
      const readiness = dealer(scenario.readinessSeconds, onDrained, random);
      return [name, { first, readinessSeconds: Array.from({ length: onDrained }, readiness) }];
    }),
  );
}

/** Deals values in equal parts, in an order of chance. */
function dealer(values: readonly number[], count: number, random: Random): () => number {
  const deck = Array.from({ length: count }, (_, index) => values[index % values.length] ?? 0);
  for (let index = deck.length - 1; index > 0; index -= 1) {
    const other = random.below(index + 1);
    [deck[index], deck[other]] = [deck[other] ?? 0, deck[index] ?? 0];
  }
  let next = 0;
  return () => deck[next++ % deck.length] ?? 0;
}

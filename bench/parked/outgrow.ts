import { rounded, timesOf, type Times } from '../measure/figures.ts';
import { residentMemoryMb } from '../measure/memory.ts';
import { startsAtOnce, untilAllHold } from './compare.ts';
import { inLanes, type Contender } from './contender.ts';
import { clusterNames } from './world.ts';

/** After so many more runs the memory is looked at. */
const runsPerLook = 1_000;
/** Runs that are looked at for each of the two times. */
const looks = 50;

/** How a worker fares with more parked runs than it keeps in memory. */
export interface Outgrown {
  runs: number;
  /** Memory of the worker in MiB when so many runs were parked. */
  memory: { runs: number; mb: number }[];
  /** From asking for the state of a run to the answer, of those that were parked first: the worker has given them up. */
  wakeUp: Times;
  /** The same of those that were parked last, which the worker still has. */
  inMemory: Times;
}

/** Opens runs until so many are parked, looks at the memory of the worker on the way, and wakes the oldest and the newest. */
export async function outgrow(side: Contender, runs: number, report: (sentence: string) => void): Promise<Outgrown> {
  const clusters = clusterNames(runs);
  const memory = [{ runs: 0, mb: await residentMemoryMb(side.workerPid) }];
  for (let first = 0; first < runs; first += runsPerLook) {
    const some = clusters.slice(first, first + runsPerLook);
    await inLanes(some, startsAtOnce, (cluster) => side.start(cluster));
    await untilAllHold(side, first + some.length);
    const mb = await residentMemoryMb(side.workerPid);
    memory.push({ runs: first + some.length, mb });
    report(`${first + some.length} runs are parked; the worker has ${mb} MiB.`);
  }
  const lookMs = async (cluster: string): Promise<number> => {
    const beganAtMs = performance.now();
    await side.look(cluster);
    return performance.now() - beganAtMs;
  };
  const inMemoryMs = await inLanes(clusters.slice(-looks), 1, lookMs);
  const wakeUpMs = await inLanes(clusters.slice(0, looks), 1, lookMs);
  return { runs, memory, wakeUp: timesOf(wakeUpMs), inMemory: timesOf(inMemoryMs) };
}

/** For people. */
export function outgrownTable({ runs, memory, wakeUp, inMemory }: Outgrown): string[] {
  return [
    ...memory.map((look) => `${String(look.runs).padStart(6)} parked runs: ${rounded(look.mb)} MiB`),
    `Of ${runs} parked runs, looking at one takes`,
    `  ${wakeUp.msP50} ms (p50), ${wakeUp.msP99} ms (p99) where the worker has given it up and replays it,`,
    `  ${inMemory.msP50} ms (p50), ${inMemory.msP99} ms (p99) where it still has it.`,
  ];
}

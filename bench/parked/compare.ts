import { setTimeout as wait } from 'node:timers/promises';
import { inLanes, type Approval, type Contender } from './contender.ts';
import { residentMemoryMb } from '../measure/memory.ts';
import { clusterNames } from './world.ts';

/** Runs that are started, or signed for the first time, at the same time. */
export const startsAtOnce = 16;
const historiesAtOnce = 16;
/** The first approvals meet code that has not run yet; they do not count as times. */
const warmUpApprovals = 3;
const oneAtATimeApprovals = 50;
/** No more than this share of the runs is used for each of these two. */
const shareOfRuns = 4;
export const runsLeast = shareOfRuns;
/** The sides take turns this often while many are approved at once, so that whatever else the machine does falls on both. */
const rounds = 10;
const holdingTimeoutMs = 10 * 60_000;
const holdingPauseMs = 250;

/** Both sides, ours and the workflow written by hand. */
export interface Sides<Of> {
  ours: Of;
  minimal: Of;
}

/** What was measured of one side. */
export interface Measurement {
  memoryIdleMb: number;
  memoryHoldingMb: number;
  /** Runs that have taken the next step after the approval and ended as they should. */
  wentOn: number;
  /** From the approval to the next step, while nothing else happens. */
  oneAtATimeMs: number[];
  /** The same while others are approved as well. */
  atOnceMs: number[];
  /** Runs that came to their end per second then; each acts once after its approval. */
  endedPerSecond: number;
}

/**
 * Opens the runs of both sides, looks at the memory of their workers, and approves all, side by side. What goes wrong with a single
 * approval is reported and counts as a run that did not go on. Throws where runs do not get to their hold.
 */
export async function compare(
  sides: Sides<Contender>,
  { runs, approveAtOnce }: { runs: number; approveAtOnce: number },
  report: (sentence: string) => void,
): Promise<Sides<Measurement>> {
  const clusters = clusterNames(runs);
  const idle = await memoryOf(sides);
  await ofBoth(sides, async (side, name) => {
    const beganAtMs = performance.now();
    await inLanes(clusters, startsAtOnce, (cluster) => side.start(cluster));
    await untilAllHold(side, runs);
    report(`${runs} runs (${name}) are at their hold after ${Math.round((performance.now() - beganAtMs) / 1_000)} s.`);
  });
  const holding = await memoryOf(sides);
  await ofBoth(sides, (side) => inLanes(clusters, startsAtOnce, (cluster) => side.approveFirst(cluster)));
  report('Each run has the first of its two approvals.');

  const few = Math.floor(runs / shareOfRuns);
  const { approved: warmUp } = await takeTurns(sides, eachAlone(clusters.splice(0, Math.min(few, warmUpApprovals))), { atOnce: 1, report });
  const { approved: alone } = await takeTurns(sides, eachAlone(clusters.splice(0, Math.min(few, oneAtATimeApprovals))), {
    atOnce: 1,
    report,
  });
  report(`Approved ${alone.ours.length} runs of each side one at a time.`);
  const { approved: together, tookMs } = await takeTurns(sides, portions(clusters, rounds), { atOnce: approveAtOnce, report });
  report(`Approved ${together.ours.length} runs of each side, ${approveAtOnce} at once.`);

  return ofBoth(sides, async (side, name) => {
    const wentOnAfter = async (approvals: readonly Ended[]): Promise<number[]> => {
      const times = await inLanes(approvals, historiesAtOnce, (approval) => side.approvalToStepMs(approval));
      return times.filter((time, index): time is number => time !== undefined && approvals[index]?.endedWell === true);
    };
    const [first, oneAtATimeMs, atOnceMs] = [
      await wentOnAfter(warmUp[name]),
      await wentOnAfter(alone[name]),
      await wentOnAfter(together[name]),
    ];
    const wentOn = first.length + oneAtATimeMs.length + atOnceMs.length;
    const endedPerSecond = (atOnceMs.length / tookMs[name]) * 1_000;
    return { memoryIdleMb: idle[name], memoryHoldingMb: holding[name], wentOn, oneAtATimeMs, atOnceMs, endedPerSecond };
  });
}

type Ended = Approval & { endedWell: boolean };

/**
 * Approves the portions one after another, each on our side and then on the other; a portion is over when all its runs have ended.
 * `tookMs` is how long each side took for its portions.
 */
async function takeTurns(
  sides: Sides<Contender>,
  turns: readonly (readonly string[])[],
  { atOnce, report }: { atOnce: number; report: (sentence: string) => void },
): Promise<{ approved: Sides<Ended[]>; tookMs: Sides<number> }> {
  const approved: Sides<Ended[]> = { ours: [], minimal: [] };
  const tookMs: Sides<number> = { ours: 0, minimal: 0 };
  for (const clusters of turns) {
    for (const name of ['ours', 'minimal'] as const) {
      const side = sides[name];
      const beganAtMs = performance.now();
      const approvals = await inLanes(clusters, atOnce, async (cluster) => {
        // One that fails is told and counts as a run that did not go on; the others shall still be measured.
        return side.approve(cluster).catch((error: unknown) => report(`The approval on ${cluster} (${name}) failed: ${String(error)}`));
      });
      const answered = approvals.filter((approval) => approval !== undefined);
      const ended = answered.map(async (approval) => ({ ...approval, endedWell: await side.hasEndedWell(approval.cluster) }));
      approved[name].push(...(await Promise.all(ended)));
      tookMs[name] += performance.now() - beganAtMs;
    }
  }
  return { approved, tookMs };
}

function eachAlone(clusters: readonly string[]): string[][] {
  return clusters.map((cluster) => [cluster]);
}

function portions(clusters: readonly string[], count: number): string[][] {
  const size = Math.max(1, Math.ceil(clusters.length / count));
  return Array.from({ length: Math.ceil(clusters.length / size) }, (_, index) => clusters.slice(index * size, (index + 1) * size));
}

export async function untilAllHold(side: Contender, runs: number): Promise<void> {
  const giveUpAt = performance.now() + holdingTimeoutMs;
  for (let holding = await side.holding(); holding < runs; holding = await side.holding()) {
    if (performance.now() > giveUpAt)
      throw new Error(`only ${holding} of ${runs} runs are at their hold after ${holdingTimeoutMs / 1_000} s`);
    await wait(holdingPauseMs);
  }
}

async function memoryOf({ ours, minimal }: Sides<Contender>): Promise<Sides<number>> {
  const [oursMb, minimalMb] = await Promise.all([residentMemoryMb(ours.workerPid), residentMemoryMb(minimal.workerPid)]);
  return { ours: oursMb, minimal: minimalMb };
}

/** One side after the other, so that neither is in the other's way. */
async function ofBoth<Of, Result>(sides: Sides<Of>, look: (side: Of, name: keyof Sides<Of>) => Promise<Result>): Promise<Sides<Result>> {
  return { ours: await look(sides.ours, 'ours'), minimal: await look(sides.minimal, 'minimal') };
}

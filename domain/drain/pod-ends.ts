import type { Json, JsonObject } from '../json.ts';
import { isObject } from '../json.ts';
import { getOrAdd } from '../map.ts';
import { compareText } from '../text.ts';
import { cut } from '../visible.ts';
import { workloadOf, type PodView } from './pod.ts';

/** How a pod ends that has been asked to, as far as its kubelet says. */
export interface PodEnding {
  /** When it was asked to: its containers got SIGTERM then, or their preStop hooks began. */
  askedAtMs: number;
  graceMs: number;
  /** When the last of its containers had ended. */
  endedAtMs?: number;
  /** 137 where one of them was killed (not for its memory), otherwise the first one that is not 0. */
  exitCode?: number;
}

/** How the pods of a workload have ended in one drain. */
export type WorkloadEnds = {
  workload: string;
  pods: number;
  /** How many of them were killed at the end of their grace period, as their main process had not ended. */
  killed: number;
  /** How many of them ended with which code, where it is known. */
  exitCodes: Record<string, number>;
  longestSeconds: number;
  graceSeconds: number;
};

const killedCode = 137;
/** Times of the API server and of kubelets are cut to seconds, and clocks differ a little. */
const grainMs = 1_500;
/** Workloads of which it is kept; those with pods that were killed come first. */
const workloadsMax = 60;
const nameCharactersMax = 120;

/** How the pods end that a drain moves, counted by workload. What is kept of it is small, so that it outlives the worker. */
export class PodEnds {
  private readonly latest = new Map<string, { pod: PodView; ending: PodEnding }>();
  private readonly byWorkload = new Map<string, WorkloadEnds>();

  /** @param before what `summary` has given to an earlier session */
  constructor(before?: Json) {
    for (const ends of workloadEndsIn(before)) this.byWorkload.set(ends.workload, ends);
  }

  /** A pod of the nodes has changed or, without `after`, gone. Returns whether one more pod has been counted. */
  see(before: PodView | undefined, after: PodView | undefined, nowMs: number): boolean {
    if (after?.ending) this.note(after, after.ending);
    const gone = after && after.uid === before?.uid ? undefined : before;
    if (!gone) return false;
    const known = this.latest.get(gone.uid);
    this.latest.delete(gone.uid);
    if (!known) return false;
    this.count(known.pod, known.ending, nowMs);
    return true;
  }

  /** Of each workload, those with killed pods first. */
  summary(): WorkloadEnds[] {
    const all = [...this.byWorkload.values()];
    return all.sort((a, b) => b.killed - a.killed || compareText(a.workload, b.workload)).slice(0, workloadsMax);
  }

  private note(pod: PodView, ending: PodEnding): void {
    const askedAtMs = Math.min(ending.askedAtMs, this.latest.get(pod.uid)?.ending.askedAtMs ?? Infinity);
    const graceMs = ending.askedAtMs + ending.graceMs - askedAtMs;
    this.latest.set(pod.uid, { pod, ending: { ...ending, askedAtMs, graceMs } });
  }

  private count(pod: PodView, { askedAtMs, graceMs, endedAtMs, exitCode }: PodEnding, nowMs: number): void {
    const workload = cut(workloadOf(pod), nameCharactersMax);
    const none = { workload, pods: 0, killed: 0, exitCodes: {}, longestSeconds: 0, graceSeconds: 0 };
    const ends = getOrAdd(this.byWorkload, workload, (): WorkloadEnds => none);
    const tookMs = Math.max(0, (endedAtMs ?? nowMs) - askedAtMs);
    ends.pods += 1;
    if (exitCode === killedCode && endedAtMs !== undefined && tookMs >= graceMs - grainMs) ends.killed += 1;
    if (exitCode !== undefined) ends.exitCodes[exitCode] = (ends.exitCodes[exitCode] ?? 0) + 1;
    ends.longestSeconds = Math.max(ends.longestSeconds, Math.round(tookMs / 1000));
    ends.graceSeconds = Math.max(ends.graceSeconds, Math.round(graceMs / 1000));
  }
}

/** Reads what was kept of ends; whatever is none of it is passed over. */
export function workloadEndsIn(kept: Json | undefined): WorkloadEnds[] {
  if (!Array.isArray(kept)) return [];
  return kept.slice(0, workloadsMax).flatMap((one) => (isObject(one) ? endsOf(one) : []));
}

function endsOf({ workload, pods, killed, exitCodes, longestSeconds, graceSeconds }: JsonObject): WorkloadEnds[] {
  const numbers = [pods, killed, longestSeconds, graceSeconds].filter((value): value is number => Number.isSafeInteger(value));
  const [podCount = 0, killedCount = 0, longest = 0, grace = 0] = numbers;
  if (typeof workload !== 'string' || numbers.length < 4) return [];
  const codes = Object.entries(isObject(exitCodes) ? exitCodes : {}).filter(
    (code): code is [string, number] => typeof code[1] === 'number',
  );
  return [
    {
      workload: cut(workload, nameCharactersMax),
      pods: podCount,
      killed: killedCount,
      exitCodes: Object.fromEntries(codes),
      longestSeconds: longest,
      graceSeconds: grace,
    },
  ];
}

/** The ends of several drains together. */
export function joinedEnds(all: readonly WorkloadEnds[]): WorkloadEnds[] {
  const joined = new Map<string, WorkloadEnds>();
  for (const ends of all) {
    const known = joined.get(ends.workload);
    if (!known) {
      joined.set(ends.workload, { ...ends, exitCodes: {} });
      continue;
    }
    known.pods += ends.pods;
    known.killed += ends.killed;
    known.longestSeconds = Math.max(known.longestSeconds, ends.longestSeconds);
    known.graceSeconds = Math.max(known.graceSeconds, ends.graceSeconds);
  }
  return [...joined.values()];
}

/** What is told of workloads whose pods were killed, as part of a sentence; undefined where none was. */
export function killedText(all: readonly WorkloadEnds[], shownMax: number): string | undefined {
  const found = all.filter(({ killed }) => killed > 0);
  if (found.length === 0) return undefined;
  const shown = found
    .slice(0, shownMax)
    .map(({ workload, killed, pods, graceSeconds }) => `${workload} (${killed} of ${pods}, after ${graceSeconds} s)`);
  return `killed at the end of their grace period: ${shown.join(', ')}${found.length > shownMax ? ', …' : ''}`;
}

/** What the next plan of a target says of a workload whose pods were killed when they were moved before. */
export function killedBefore({ workload, killed, pods, graceSeconds }: WorkloadEnds): string {
  return (
    `${workload}: its pods were killed after ${graceSeconds} s in ${killed} of ${pods} moves before: their main process did not end ` +
    'when it was asked to (SIGTERM). Have it end by itself, or start it with `exec` where a shell stands in its way.'
  );
}

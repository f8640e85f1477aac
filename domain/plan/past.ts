import { joinedEnds, killedBefore, workloadEndsIn, type WorkloadEnds } from '../drain/pod-ends.ts';
import type { EvidenceEntry } from '../evidence/evidence.ts';
import { isObject } from '../json.ts';
import type { ActionPlan } from './plan.ts';
import { msOf } from '../time.ts';

/** How long a step has taken on a target before: read from records of runs, and not signed. */
export interface PastDurations {
  /** How many runs they are of. */
  runs: number;
  medianMs: number;
  /** What 95 of 100 of them stayed within. */
  p95Ms: number;
}

/** How long a step took in one run. */
export interface StepDuration {
  step: string;
  uses: string;
  ms: number;
}

/** How the pods have ended that the drains of a run have moved, as its record says. */
export function podEndsIn(entries: readonly Pick<EvidenceEntry, 'kind' | 'body'>[]): WorkloadEnds[] {
  return entries.flatMap(({ kind, body }) => {
    const outputs = kind === 'step.done' && isObject(body.outputs) ? body.outputs : {};
    return workloadEndsIn(outputs.podEnds);
  });
}

/** A drain with what is known of how the pods of its workloads have ended before: a note for each whose pods were killed. */
export function withPastEnds(plan: ActionPlan, uses: string, ends: readonly WorkloadEnds[]): ActionPlan {
  if (uses !== 'kubernetes.drain') return plan;
  const moved = new Set(plan.effects.map(({ object }) => object));
  const killed = joinedEnds(ends).filter((one) => one.killed > 0 && moved.has(one.workload));
  return killed.length === 0 ? plan : { ...plan, notes: [...plan.notes, ...killed.map(killedBefore)] };
}

/** Entries after which the time of a step is that of people, too, and no longer its own. */
const interruptions: readonly string[] = ['step.stuck', 'step.failed', 'run.paused'];

/** How long the steps took that went through by themselves, as the record of a run says. */
export function durationsIn(entries: readonly Pick<EvidenceEntry, 'kind' | 'at' | 'body'>[]): StepDuration[] {
  const begun = new Map<unknown, { uses: string; atMs: number }>();
  return entries.flatMap(({ kind, at, body }) => {
    const { step, uses, byHand } = body;
    if (interruptions.includes(kind)) begun.clear();
    if (kind === 'step.started' && typeof uses === 'string') begun.set(step, { uses, atMs: msOf(at) });
    const start = kind === 'step.done' && byHand !== true ? begun.get(step) : undefined;
    if (!start || typeof step !== 'string') return [];
    return [{ step, uses: start.uses, ms: Math.max(0, msOf(at) - start.atMs) }];
  });
}

/** Median and 95th percentile, each a duration that was there (nearest rank); undefined where there is none. */
export function summaryOf(durationsMs: readonly number[]): PastDurations | undefined {
  if (durationsMs.length === 0) return undefined;
  const sorted = [...durationsMs].sort((one, other) => one - other);
  const rank = (percent: number): number => sorted[Math.ceil((percent / 100) * sorted.length) - 1] ?? 0;
  return { runs: sorted.length, medianMs: rank(50), p95Ms: rank(95) };
}

/** How long a step is expected to take, and why. */
export function estimateOf({ plan, past }: { plan: { estimateMs: number }; past?: PastDurations }): { ms: number; past?: PastDurations } {
  return past ? { ms: past.medianMs, past } : { ms: plan.estimateMs };
}

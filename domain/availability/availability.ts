import { preciseDuration } from '../database/probe-report.ts';
import type { EvidenceEntry } from '../evidence/evidence.ts';
import { endingKind } from '../evidence/evidence.ts';
import { isObject, type Json } from '../json.ts';
import { summaryOf } from '../plan/past.ts';
import type { Blocker, StepPlan } from '../plan/plan.ts';
import { msOf } from '../time.ts';

/** How long writes of a target may be refused by its changes: what holdpoint.yaml says of it. */
export interface AvailabilityGoal {
  /** In percent, such as `99.99`. */
  goalPercent: number;
  /** The time that the goal is for, which ends now. */
  perMs: number;
  /** The least policy of a hold above a change that would overspend; nobody may overspend where it is left out. */
  overspend?: string;
}

/** A step of a run that has changed a target in a way that refuses writes, as the record of the run says. */
export interface Interruption {
  run: string;
  step: string;
  uses: string;
  /** When it began, ISO 8601. */
  at: string;
  /** How long writes were refused; null where that was not measured, or the step is not over. */
  refusedMs: { atLeastMs: number; atMostMs: number } | null;
}

/** What is left of a budget. Every outage counts with the most that it can have been. */
export interface BudgetStanding {
  budgetMs: number;
  spentMs: number;
  /** Below zero where it is overspent. */
  leftMs: number;
  /** Changes within the time of the goal. */
  changes: number;
  /** How many of them were not measured, or are not over: what they have cost is not known, and not in `spentMs`. */
  notMeasured: number;
}

/** What changes of one kind have cost. */
export interface PastCost {
  uses: string;
  /** How many were measured. */
  measured: number;
  medianMs: number;
  worstMs: number;
}

/** The changes of a run that refuse writes. `interrupts` says which actions do; steps without effects refuse none. */
export function interruptionsIn(
  entries: readonly Pick<EvidenceEntry, 'kind' | 'at' | 'body' | 'run'>[],
  interrupts: (action: string) => boolean,
): Interruption[] {
  const found = new Map<string, Interruption>();
  for (const entry of entries) {
    const { run, at, body } = entry;
    const { step, uses } = body;
    if (typeof step !== 'string') continue;
    if (isInterruption(entry, interrupts) && typeof uses === 'string' && !found.has(step)) {
      found.set(step, { run, step, uses, at, refusedMs: null });
    }
    const known = found.get(step);
    if (known && entry.kind === 'step.done') known.refusedMs = refusedIn(body.outputs);
  }
  return [...found.values()];
}

/** Whether an entry says that a change begins which refuses writes. */
export function isInterruption({ kind, body }: Pick<EvidenceEntry, 'kind' | 'body'>, interrupts: (action: string) => boolean): boolean {
  if (kind !== 'step.started' || typeof body.uses !== 'string' || !interrupts(body.uses)) return false;
  // Many effects are kept beside the record, and are no list then.
  return !Array.isArray(body.effects) || body.effects.length > 0;
}

/** Whether nothing is added to a record any more. */
export function isOver(entries: readonly Pick<EvidenceEntry, 'kind'>[]): boolean {
  return entries.at(-1)?.kind === endingKind;
}

function refusedIn(outputs: Json | undefined): Interruption['refusedMs'] {
  const outage = isObject(outputs) ? outputs.outage : undefined;
  const refused = isObject(outage) && outage.measured === true ? outage.writesRefusedMs : undefined;
  if (!isObject(refused) || typeof refused.atLeastMs !== 'number' || typeof refused.atMostMs !== 'number') return null;
  return { atLeastMs: refused.atLeastMs, atMostMs: refused.atMostMs };
}

/** What is left of the budget of a target at a moment. */
export function standingOf(goal: AvailabilityGoal, interruptions: readonly Interruption[], nowMs: number): BudgetStanding {
  const budgetMs = Math.round((goal.perMs * (100 - goal.goalPercent)) / 100);
  const counted = interruptions.filter(({ at }) => msOf(at) > nowMs - goal.perMs);
  const spentMs = counted.reduce((total, { refusedMs }) => total + (refusedMs?.atMostMs ?? 0), 0);
  const notMeasured = counted.filter(({ refusedMs }) => refusedMs === null).length;
  return { budgetMs, spentMs, leftMs: budgetMs - spentMs, changes: counted.length, notMeasured };
}

/** What the changes of each kind have cost that were measured. */
export function costsOf(interruptions: readonly Interruption[]): PastCost[] {
  const kinds = [...new Set(interruptions.map(({ uses }) => uses))].sort();
  return kinds.flatMap((uses) => {
    const costs = interruptions.flatMap((one) => (one.uses === uses && one.refusedMs ? [one.refusedMs.atMostMs] : []));
    const summary = summaryOf(costs);
    return summary ? [{ uses, measured: summary.runs, medianMs: summary.medianMs, worstMs: Math.max(...costs) }] : [];
  });
}

/** A goal as it is written: `99.99% per 365 days`. */
export function goalText({ goalPercent, perMs }: Pick<AvailabilityGoal, 'goalPercent' | 'perMs'>): string {
  const hours = perMs / 3_600_000;
  return `${goalPercent}% per ${hours % 24 === 0 ? `${hours / 24} days` : `${hours} hours`}`;
}

/** What a plan is judged by. */
export interface Spending {
  target: string;
  goal: AvailabilityGoal;
  /** Undefined where the records cannot be read now, with the reason in `unknown`. */
  interruptions: readonly Interruption[] | undefined;
  unknown?: string;
  nowMs: number;
  /** Whether an action refuses writes. */
  interrupts: (action: string) => boolean;
  /** Whether the hold above the steps is one at which people may overspend. */
  mayOverspend: boolean;
}

/**
 * Steps with what they would leave of the budget: a note each, which is not signed; where one would overspend, a risk that is signed, and a
 * blocker unless the hold above is one for that. The cost of a step is the worst that its kind has cost before; where none was measured
 * it is blocked only when nothing is left.
 */
export function withSpending(steps: readonly StepPlan[], spending: Spending): StepPlan[] {
  const { goal, interruptions, nowMs, interrupts } = spending;
  const standing = interruptions && standingOf(goal, interruptions, nowMs);
  const costs = costsOf(interruptions ?? []);
  let leftMs = standing?.leftMs ?? 0;
  return steps.map((step) => {
    if (!interrupts(step.uses) || step.plan.effects.length === 0) return step;
    if (!standing) return withOverspending(step, spending, notKnown(spending));
    const cost = costs.find(({ uses }) => uses === step.uses);
    const leftBeforeMs = leftMs;
    leftMs -= cost?.worstMs ?? 0;
    const told = {
      ...step,
      plan: { ...step.plan, notes: [...step.plan.notes, noteOf(goal, { ...standing, leftMs: leftBeforeMs }, cost)] },
    };
    const overspends = cost ? leftMs < 0 : leftBeforeMs <= 0;
    return overspends ? withOverspending(told, spending, overspendingReason(leftBeforeMs, cost)) : told;
  });
}

function noteOf(goal: AvailabilityGoal, { budgetMs, leftMs, notMeasured }: BudgetStanding, cost: PastCost | undefined): string {
  const left = leftMs < 0 ? `overspent by ${preciseDuration(-leftMs)}` : `${preciseDuration(leftMs)} left`;
  const before = cost
    ? `${cost.uses} has refused writes for ${preciseDuration(cost.medianMs)} (median), ${preciseDuration(cost.worstMs)} (worst) before; ` +
      `measured: ${cost.measured}`
    : 'what such a change costs is not known: none was measured before';
  const unknown = notMeasured === 0 ? '' : ` Not in it: ${notMeasured} changes whose outage was not measured.`;
  return `Availability ${goalText(goal)}: of ${preciseDuration(budgetMs)} without writes ${left}; ${before}.${unknown}`;
}

function notKnown({ unknown = 'no reason was given' }: Spending): string {
  return `What is left of it is not known: ${unknown}.`;
}

function overspendingReason(leftMs: number, cost: PastCost | undefined): string {
  const left = leftMs <= 0 ? 'Nothing is left of it' : `${preciseDuration(leftMs)} are left`;
  return cost ? `${left}, and ${cost.uses} has refused writes for up to ${preciseDuration(cost.worstMs)} before.` : `${left}.`;
}

function withOverspending(step: StepPlan, { target, goal, mayOverspend }: Spending, why: string): StepPlan {
  const object = `availability of ${target}`;
  const what = `It may overspend the time without writes that ${goalText(goal)} leaves`;
  const blocker: Blocker = {
    object,
    reason: `${what}. ${why}`,
    remedy:
      goal.overspend === undefined
        ? 'Wait until older outages no longer count, or name a policy under `overspend` of `availability` in holdpoint.yaml.'
        : `Put a hold of the policy ${goal.overspend} above it, so that people sign for that.`,
  };
  const { plan } = step;
  const risks = [...plan.risks, { object, risk: `${what}.` }];
  return { ...step, plan: { ...plan, risks, blockers: [...plan.blockers, ...(mayOverspend ? [] : [blocker])] } };
}

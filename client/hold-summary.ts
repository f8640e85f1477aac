import { explain } from '../domain/approval/explanation.ts';
import { standingOf, type Standing } from '../domain/approval/request.ts';
import { estimateOf, type PastDurations } from '../domain/plan/past.ts';
import type { SpanPlan } from '../domain/plan/plan.ts';
import type { HoldState } from '../domain/run/state.ts';
import { settingsOf } from '../runbooks/actions/settings.ts';
import { findAction } from '../runbooks/actions/index.ts';

/** What undo would do of a step, or why there is no rollback. */
export type StepRollback = { does: string } | { none: string };

/** A step of a plan in short. */
export interface StepSummary {
  id: string;
  uses: string;
  /** What happens to which object: `Node/a: cordon`. */
  changes: string[];
  /** What may be lost by it, and by its dangerous settings. */
  risks: string[];
  estimateMs: number;
  /** How long it has taken here before, where the estimate is made of that; else it is a forecast. */
  past?: PastDurations;
  /** Left out for a step that changes nothing, or that this version does not know. */
  undo?: StepRollback;
}

/** What a hold asks, computed from its state for whoever has to sign, on any screen. */
export interface HoldSummary {
  /** How far it has come: who may sign, and how many are missing. */
  standing: Standing;
  /** People who do not count at it, each with the reason. */
  mayNotSign: { person: string; why: string }[];
  steps: StepSummary[];
}

/** Sums up a hold. `nowMs` is in milliseconds since 1970. */
export function summaryOfHold({ request, decisions, plan }: HoldState, nowMs: number): HoldSummary {
  return {
    standing: standingOf(request, decisions, nowMs),
    mayNotSign: explain(request, undefined).mayNotSign,
    steps: stepsInShort(plan),
  };
}

/** What undo would do of a step, as its action declares it. */
export function rollbackOf({ uses, plan }: SpanPlan['steps'][number]): StepRollback | undefined {
  return plan.effects.length === 0 ? undefined : findAction(uses)?.undo;
}

/** The steps of a plan in short. */
export function stepsInShort({ steps }: SpanPlan): StepSummary[] {
  return steps.map((step) => {
    const { id, uses, plan } = step;
    const { ms, past } = estimateOf(step);
    const undo = rollbackOf(step);
    const dangers = settingsOf(step).flatMap(({ name, danger }) => (danger === undefined ? [] : [`${name}: ${danger}`]));
    return {
      id,
      uses,
      changes: plan.effects.map(({ object, change }) => `${object}: ${change}`),
      risks: [...plan.risks.map(({ object, risk }) => `${object}: ${risk}`), ...dangers],
      estimateMs: ms,
      ...(past && { past }),
      ...(undo && { undo }),
    };
  });
}

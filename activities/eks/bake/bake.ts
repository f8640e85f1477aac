import type { ActionContext, Observation, Progress } from '../../../domain/action.ts';
import { baselineOf, worseThan, type Baseline, type Unwell } from '../../../domain/bake/bake.ts';
import type { Json } from '../../../domain/json.ts';
import { isObject } from '../../../domain/json.ts';
import type { Blocker } from '../../../domain/plan/plan.ts';
import type { Target } from '../../../domain/target.ts';
import { firstNames } from '../../../domain/text.ts';
import { sameMinorVersion } from '../../../domain/version/version.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { parseDurationMs } from '../../../runbooks/configuration/duration.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { issueText, readCluster } from '../cluster.ts';
import { readHealth } from './read-health.ts';

/** Objects that may be unwell before a bake. A cluster with more is in no state to be compared with. */
const baselineObjectsMax = 500;
/** Objects of which is remembered since when they are worse. */
const worseRememberedMax = 20;
/** What was not looked at for so long may have been worse meanwhile: the bake begins anew. */
const gapMaxMs = 120_000;
const shownMax = 5;

type Input = ActionInput<'eks.bake'>;
type Facts = { lasts: string; recoverWithin: string; restartsMax: number; version: string | null };

/** What a bake remembers between two looks. */
interface Watch {
  /** Which try of the step it is. */
  retry: number;
  startedAtMs: number;
  lookedAtMs: number;
  /** Since when objects are worse than before. */
  worseSinceMs: Record<string, number>;
}

/**
 * `eks.bake`: looks at a cluster again and again for a time, and is done where nothing is worse at the end than it was when the plan
 * was made. What is worse for too long stops it, with the object and the reason. It changes nothing.
 *
 * @param nowMs the clock, in milliseconds since 1970.
 */
export function bakeAction(clients: Clients, nowMs: () => number = Date.now): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['eks.bake'],
    plan: (input, { target }) => planBake(clients, input, target),
    observe: ({ facts, details }, context) => observeBake(clients, facts, details.baseline, context, nowMs()),
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

async function planBake(clients: Clients, input: Input, target: Target): Promise<PlanOf<Facts>> {
  const { lasts, recoverWithin, restartsMax, version = null } = input;
  const { health, unread } = await readHealth(clients, target);
  const baseline = baselineOf(health);
  const before = Object.keys(baseline).sort();
  const notes = [
    ...(before.length === 0 ? [] : [`Not well already, and no worse by that: ${firstNames(before)}.`]),
    ...unread.map((title) => `The ${title} cannot be read, so nothing is known of them.`),
  ];
  const tooMany: Blocker = {
    object: `Cluster/${target.name}`,
    reason: `${before.length} objects are not well, more than ${baselineObjectsMax}: nothing can be said by comparing with that.`,
    remedy: `Repair them first, then plan again: ${firstNames(before)}.`,
  };
  const isTooMuch = before.length > baselineObjectsMax;
  return {
    ...emptyPlan<Facts>({ lasts, recoverWithin, restartsMax, version }),
    // What is unwell changes by itself: it is kept with the plan, and not signed.
    details: { baseline: isTooMuch ? {} : baseline },
    blockers: isTooMuch ? [tooMany] : [],
    notes,
    estimateMs: parseDurationMs(lasts) ?? 0,
  };
}

async function observeBake(
  clients: Clients,
  facts: Facts,
  kept: Json | undefined,
  context: ActionContext,
  nowMs: number,
): Promise<Observation> {
  const { target, checkpoint, retry } = context;
  const before = watchIn(checkpoint.read(), retry, nowMs);
  const { health } = await readHealth(clients, target);
  const { restartsMax } = facts;
  const worse = [
    ...(await clusterProblems(clients, target, facts)),
    ...worseThan(kept as Baseline, health, { sinceMs: before.startedAtMs, restartsMax }),
  ];
  const watch = { ...before, lookedAtMs: nowMs, worseSinceMs: rememberWorse(before, worse, nowMs) };
  checkpoint.write({ ...watch });
  return observationOf(facts, worse, watch);
}

/** Of the cluster itself nothing is taken for granted: it has to be ACTIVE, at the version that it was brought to. */
async function clusterProblems(clients: Clients, target: Target, { version }: Facts): Promise<Unwell[]> {
  const cluster = await readCluster(clients, target);
  const problem = (reason: string): Unwell => ({ object: `Cluster/${target.name}`, reason, count: 1 });
  const [issue] = cluster.health?.issues ?? [];
  return [
    ...(cluster.status === 'ACTIVE' ? [] : [problem(`its status is ${cluster.status ?? 'unknown'}, not ACTIVE`)]),
    ...(version === null || sameMinorVersion(cluster.version ?? '', version)
      ? []
      : [problem(`it is at ${cluster.version ?? 'no version'}, not at ${version}`)]),
    ...(issue === undefined ? [] : [problem(`EKS reports ${issueText(issue)}`)]),
  ];
}

/** What was remembered, if it is of this try and fresh; else a new beginning. */
function watchIn(value: Json | undefined, retry: number, nowMs: number): Watch {
  const known = isObject(value) ? (value as unknown as Watch) : undefined;
  const isFresh = known?.retry === retry && nowMs >= known.lookedAtMs && nowMs - known.lookedAtMs <= gapMaxMs;
  return isFresh ? known : { retry, startedAtMs: nowMs, lookedAtMs: nowMs, worseSinceMs: {} };
}

/** Those that are worse still, and new ones as far as there is room. */
function rememberWorse({ worseSinceMs: known }: Watch, worse: readonly Unwell[], nowMs: number): Record<string, number> {
  const since = worse.map(({ object }) => [object, known[object] ?? nowMs] as const);
  return Object.fromEntries(since.sort(([, one], [, other]) => one - other).slice(0, worseRememberedMax));
}

function observationOf({ lasts, recoverWithin }: Facts, worse: readonly Unwell[], watch: Watch): Observation {
  const { startedAtMs, lookedAtMs, worseSinceMs } = watch;
  const neededMs = parseDurationMs(lasts) ?? Infinity;
  const [done, total] = [Math.min(lookedAtMs - startedAtMs, neededMs), neededMs].map((ms) => Math.floor(ms / 1000));
  const told = worse.slice(0, shownMax).map(({ object, reason }) => `${object}: ${reason}`);
  const more = worse.length > shownMax ? `, and ${worse.length - shownMax} more` : '';
  const summary = worse.length === 0 ? 'nothing is worse than before' : `worse than before: ${told.join('; ')}${more}`;
  const progress: Progress = { summary, done: done ?? 0, total: total ?? 0, unit: 'seconds', items: [] };
  const sinceMs = Math.min(...worse.map(({ object }) => worseSinceMs[object] ?? lookedAtMs));
  if (worse.length > 0 && lookedAtMs - sinceMs >= (parseDurationMs(recoverWithin) ?? 0)) {
    const reason = `It is worse than before the bake, for ${recoverWithin} or longer: ${told.join('; ')}${more}.`;
    const remedy =
      'Roll back (`holdpoint undo`) while that is possible, or repair it and try again (`holdpoint retry`), which begins the bake anew.';
    return { state: 'stuck', reason, remedy, progress };
  }
  if (worse.length === 0 && lookedAtMs - startedAtMs >= neededMs) return { state: 'done', outputs: {}, progress };
  return { state: 'moving', progress };
}

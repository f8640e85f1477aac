import type { ActionContext, Observation, Progress } from '../../../domain/action.ts';
import { baselineOf, worseThan, type Baseline, type Unwell } from '../../../domain/bake/bake.ts';
import type { Json } from '../../../domain/json.ts';
import { isObject } from '../../../domain/json.ts';
import type { Blocker } from '../../../domain/plan/plan.ts';
import type { Target } from '../../../domain/target.ts';
import { cut } from '../../../domain/visible.ts';
import { inParallel } from '../../kubernetes/client/read.ts';
import { firstNames } from '../../../domain/text.ts';
import { sameMinorVersion } from '../../../domain/version/version.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { parseDurationMs } from '../../../runbooks/configuration/duration.ts';
import { defineAction, emptyPlan, waitOrStop, type AnyAction, type Following, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { lookAtAlarms } from '../../gate/cloudwatch-alarms.ts';
import { safeLook, type Look } from '../../gate/gate.ts';
import { lookAtQuery } from '../../gate/prometheus.ts';
import { issueText, readCluster } from '../cluster.ts';
import { HealthReader, type HealthLook } from './read-health.ts';

/** Objects that may be unwell before a bake. A cluster with more is in no state to be compared with. */
const baselineObjectsMax = 500;
/** Objects of which is remembered since when they are worse. */
const worseRememberedMax = 20;
/** What was not looked at for so long may have been worse meanwhile: the bake begins anew. */
const gapMaxMs = 120_000;
const shownMax = 5;
/** A query may have thousands of characters. */
const objectCharactersMax = 100;

type Input = ActionInput<'eks.bake'>;
type Facts = {
  lasts: string;
  recoverWithin: string;
  restartsMax: number;
  version: string | null;
  /** Left out where there are none. */
  alarms?: string[];
  queries?: Query[];
};
type Query = { endpoint: string; query: string; above?: number; below?: number; equals?: number };

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
    plan: (input, context) => planBake(clients, input, context),
    observe: async ({ facts, details }, context) => {
      const reader = await HealthReader.open(clients, context.target, { follow: false });
      try {
        return await observeBake(clients, facts, details.baseline, context, { reader, nowMs: nowMs() });
      } finally {
        await reader.stop();
      }
    },
    follow: async ({ facts, details }, context): Promise<Following> => {
      const reader = await HealthReader.open(clients, context.target, { follow: true });
      return {
        observe: () => observeBake(clients, facts, details.baseline, context, { reader, nowMs: nowMs() }),
        act: async () => undefined,
        changed: waitOrStop,
        stop: () => reader.stop(),
      };
    },
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

async function planBake(clients: Clients, input: Input, context: ActionContext): Promise<PlanOf<Facts>> {
  const { target } = context;
  const { lasts, recoverWithin, restartsMax, version = null, alarms, queries } = input;
  const gates = { ...(alarms.length > 0 && { alarms }), ...(queries.length > 0 && { queries }) };
  const { health, unread } = await lookOnce(clients, target);
  const baseline = baselineOf(health);
  const before = Object.keys(baseline).sort();
  const notes = [
    ...(before.length === 0 ? [] : [`Not well already, and no worse by that: ${firstNames(before)}.`]),
    ...(await shutGates(clients, gates, context)).map(
      ({ object, reason }) => `It has to be put right before the bake: ${object}: ${reason}.`,
    ),
    ...unread.map((title) => `The ${title} cannot be read, so nothing is known of them.`),
  ];
  const tooMany: Blocker = {
    object: `Cluster/${target.name}`,
    reason: `${before.length} objects are not well, more than ${baselineObjectsMax}: nothing can be said by comparing with that.`,
    remedy: `Repair them first, then plan again: ${firstNames(before)}.`,
  };
  const isTooMuch = before.length > baselineObjectsMax;
  return {
    ...emptyPlan<Facts>({ lasts, recoverWithin, restartsMax, version, ...gates }),
    // What is unwell changes by itself: it is kept with the plan, and not signed.
    details: { baseline: isTooMuch ? {} : baseline },
    blockers: isTooMuch ? [tooMany] : [],
    notes,
    estimateMs: parseDurationMs(lasts) ?? 0,
  };
}

async function lookOnce(clients: Clients, target: Target): Promise<HealthLook> {
  const reader = await HealthReader.open(clients, target, { follow: false });
  try {
    return await reader.look();
  } finally {
    await reader.stop();
  }
}

async function observeBake(
  clients: Clients,
  facts: Facts,
  kept: Json | undefined,
  context: ActionContext,
  { reader, nowMs }: { reader: HealthReader; nowMs: number },
): Promise<Observation> {
  const { target, checkpoint, retry } = context;
  const before = watchIn(checkpoint.read(), retry, nowMs);
  const { health, serverVersion } = await reader.look();
  const { restartsMax } = facts;
  const worse = [
    ...(await clusterProblems(clients, target, facts, serverVersion)),
    ...(await shutGates(clients, facts, context)),
    ...worseThan(kept as Baseline, health, { sinceMs: before.startedAtMs, restartsMax }),
  ];
  const watch = { ...before, lookedAtMs: nowMs, worseSinceMs: rememberWorse(before, worse, nowMs) };
  checkpoint.write({ ...watch });
  return observationOf(facts, worse, watch);
}

/** Of the cluster itself nothing is taken for granted: it has to be ACTIVE, at the version that it was brought to. */
async function clusterProblems(clients: Clients, target: Target, { version }: Facts, serverVersion: string): Promise<Unwell[]> {
  const cluster = await readCluster(clients, target);
  const problem = (reason: string): Unwell => ({ object: `Cluster/${target.name}`, reason, count: 1 });
  const [issue] = cluster.health?.issues ?? [];
  return [
    ...(cluster.status === 'ACTIVE' ? [] : [problem(`its status is ${cluster.status ?? 'unknown'}, not ACTIVE`)]),
    ...(version === null || sameMinorVersion(cluster.version ?? '', version)
      ? []
      : [problem(`it is at ${cluster.version ?? 'no version'}, not at ${version}`)]),
    ...(version === null || sameMinorVersion(serverVersion, version)
      ? []
      : [{ object: 'APIServer/version', reason: `it says that it is ${serverVersion || 'of no version'}, not ${version}`, count: 1 }]),
    ...(issue === undefined ? [] : [problem(`EKS reports ${issueText(issue)}`)]),
  ];
}

/** Alarms and queries that are not as they have to be. What was so before is no better for it: they say what the cluster is for. */
async function shutGates(
  clients: Clients,
  { alarms = [], queries = [] }: Pick<Facts, 'alarms' | 'queries'>,
  context: ActionContext,
): Promise<Unwell[]> {
  const { signal } = context;
  const gates: { object: string; look: () => Promise<Look> }[] = queries.map((query) => {
    return { object: `Query/${query.endpoint}/${query.query}`, look: () => lookAtQuery(clients.endpoints, query, signal) };
  });
  if (alarms.length > 0) {
    const input = { names: alarms, allowMissing: false, allowInsufficientData: false };
    gates.push({ object: 'Alarms', look: () => lookAtAlarms(clients, input, context) });
  }
  const looks = await inParallel(gates, async ({ object, look }) => ({ object, ...(await safeLook(look, signal)) }));
  return looks.flatMap(({ object, open, reason }) => (open ? [] : [{ object: cut(object, objectCharactersMax), reason, count: 1 }]));
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

import type { FaultSettings } from '../../sandbox/faults.ts';
import { Random } from '../../sandbox/random.ts';

/** How many times as fast as the wall clock a simulated cluster lives. */
export const speed = 150;
/** Among how many first steps of a run the moments are dealt. */
const stepsMet = 6;
/** How long after its step has been begun a moment comes at most. */
const momentMaxMs = 2_000;
/** Which share of the runs each of these befalls. */
const shares = { kills: 0.15, killOnWayBack: 0.3, pause: 0.2, abort: 0.1, deeds: 0.7 } as const;
const deedsMax = 3;
/** How long what passes by itself lasts: EKS gives up on nodes and pods after 15 or 20 minutes, which are 6 or 8 seconds here. */
const deedMs = [3_000, 20_000] as const;

/** A moment of a run: so long (wall clock) after that step, counted from 0, or the first step of its rollback, has been begun. */
export interface Moment {
  step: number | 'rollback';
  afterMs: number;
}

/**
 * What befalls the cluster meanwhile. `cordon`: somebody cordons a node by hand. `uncordon`: somebody lifts a cordon of the run.
 * `scale`: a workload, by one pod. `update`: a node group, through EKS. For a while only: `tighten`: a budget lets no pod go.
 * `ail`: no instance of a node group starts. `storm`: every call fails. What runs mind most is there more than once.
 */
const deedKinds = [
  'cordon',
  'uncordon',
  'scale',
  'update',
  'update',
  'update',
  'tighten',
  'tighten',
  'ail',
  'ail',
  'ail',
  'storm',
] as const;

/**
 * The same for an Aurora cluster. `fail-over`: somebody fails it over. RDS gives up the next failover (`give-up`), does not tell of it
 * (`untell`), or promotes another reader (`misdirect`). For a while only: `restart`, `lag`: a reader; `storm`: every call fails.
 */
const databaseDeedKinds = [
  'fail-over',
  'fail-over',
  'give-up',
  'give-up',
  'untell',
  'misdirect',
  'restart',
  'restart',
  'lag',
  'storm',
] as const;

export interface Deed {
  at: Moment;
  kind: (typeof deedKinds)[number] | (typeof databaseDeedKinds)[number];
  /** At least 0 and less than 1: to which of the objects there are. */
  choice: number;
  /** How long it lasts, if it passes by itself. */
  forMs: number;
}

/** What happens to a run besides what its people do with it. */
export interface Circumstances {
  /** When its worker is killed (SIGKILL), to be started anew at once; a run without any shares its worker with others. */
  kills: Moment[];
  /** Somebody pauses the run, and has it go on a moment later. */
  pause?: Moment;
  /** Somebody aborts the run whatever it does. */
  abort?: Moment;
  deeds: Deed[];
  faults: FaultSettings;
}

/** Deals what happens to the run of a seed: always the same for the same arguments. `rate` is the share of calls that go wrong. */
export function circumstancesOf(seed: number, runbook: string, rate: number): Circumstances {
  const random = new Random(seed).stream(`circumstances of ${runbook}`);
  const moment = (): Moment => ({ step: random.below(stepsMet), afterMs: Math.floor(random.between(0, momentMaxMs)) });
  const kinds = isForDatabases(runbook) ? databaseDeedKinds : deedKinds;
  const now = (share: number): boolean => random.next() < share;
  const kills = now(shares.kills) ? Array.from({ length: 1 + random.below(2) }, moment) : [];
  const [pause, abort] = [now(shares.pause) ? moment() : undefined, now(shares.abort) ? moment() : undefined];
  // As old as EKS has been seen to answer: some seconds of the wall clock, by which actions look again.
  const staleMs = Math.floor(random.between(0, 2_000) * speed);
  const faults = { rate, seed, timeoutMs: 200, delayMs: 150, staleMs };
  if (kills.length > 0 && now(shares.killOnWayBack)) kills.push({ ...moment(), step: 'rollback' });
  const deeds = now(shares.deeds) ? Array.from({ length: 1 + random.below(deedsMax) }, () => deedOf(random, moment(), kinds)) : [];
  return { kills, pause, abort, deeds, faults };
}

/** Whether a runbook works on an Aurora cluster. */
export function isForDatabases(runbook: string): boolean {
  return runbook.startsWith('aurora-') || runbook.startsWith('rds-');
}

function deedOf(random: Random, at: Moment, kinds: readonly Deed['kind'][]): Deed {
  const kind = kinds[random.below(kinds.length)] ?? 'storm';
  return { at, kind, choice: random.next(), forMs: Math.floor(random.between(...deedMs)) };
}

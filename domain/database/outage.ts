import type { Json } from '../json.ts';

/** Outages that are told one by one; further ones are only counted. */
const outagesMax = 10;
const unseenMax = 10;
const reasonsMax = 10;

/** Something that a probe has seen. Times are milliseconds since 1970. */
export type Seen =
  /** A heartbeat that was begun at `startedMs` was acknowledged by a server. */
  | { kind: 'accepted'; startedMs: number; endedMs: number; server: string }
  /** It was refused, or its answer never came. */
  | { kind: 'failed'; startedMs: number; endedMs: number; reason: string; isUnanswered: boolean }
  /** The probe itself did not run, as when its process was stopped or its machine stood still. */
  | { kind: 'unseen'; fromMs: number; toMs: number };

/** A stretch without an acknowledged heartbeat in which some failed, or none was answered. */
export type Outage = {
  /** When the last heartbeat before it was acknowledged; null where none was since the probe began. */
  lastAcceptedMs: number | null;
  /** When the first and the last heartbeat were begun that failed; null where none failed, as they were only answered late. */
  firstRefusedMs: number | null;
  lastRefusedMs: number | null;
  /** When a heartbeat was acknowledged again; null as long as none is. */
  firstAcceptedMs: number | null;
  /** The servers before and after it. */
  from: string | null;
  to: string | null;
  failures: number;
  /** How often which reason was given. */
  reasons: Record<string, number>;
  /** How much of it the probe did not see: it was shorter by up to that. */
  unseenMs: number;
};

/** What a probe has measured so far; plain data, of limited size. */
export type OutageMeter = {
  beganMs: number;
  accepted: number;
  refused: number;
  unanswered: number;
  lastAccepted: { atMs: number; server: string } | null;
  /** The outage that goes on now. */
  open: Outage | null;
  outages: Outage[];
  outagesLeftOut: number;
  /** Stretches that the probe did not see. */
  unseen: { fromMs: number; toMs: number }[];
  unseenLeftOut: number;
  /** How much was not seen since the last acknowledged heartbeat. */
  unseenSinceMs: number;
};

/** A meter that has seen nothing yet. */
export function newMeter(beganMs: number): OutageMeter {
  const counts = { accepted: 0, refused: 0, unanswered: 0, outagesLeftOut: 0, unseenLeftOut: 0, unseenSinceMs: 0 };
  return { beganMs, ...counts, lastAccepted: null, open: null, outages: [], unseen: [] };
}

/**
 * A meter after one thing more was seen.
 *
 * @param stallMs heartbeats that are answered this late count as an outage although none of them failed.
 */
export function meterAfter(meter: OutageMeter, seen: Seen, stallMs: number): OutageMeter {
  switch (seen.kind) {
    case 'accepted':
      return afterAccepted(meter, seen, stallMs);
    case 'failed':
      return afterFailed(meter, seen);
    case 'unseen':
      return afterUnseen(meter, seen);
  }
}

function afterAccepted(meter: OutageMeter, { endedMs, server }: Seen & { kind: 'accepted' }, stallMs: number): OutageMeter {
  const { lastAccepted, unseenSinceMs } = meter;
  const next = { ...meter, accepted: meter.accepted + 1, lastAccepted: { atMs: endedMs, server }, open: null, unseenSinceMs: 0 };
  const gapMs = endedMs - (lastAccepted?.atMs ?? meter.beganMs);
  // A writer that has changed while nobody looked was away in between, for how long is not known.
  const wasMissed = unseenSinceMs > 0 && lastAccepted !== null && lastAccepted.server !== server;
  const wasLate = lastAccepted !== null && gapMs - unseenSinceMs > stallMs;
  const open = meter.open ?? (wasMissed || wasLate ? outageSince(meter) : null);
  if (!open) return next;
  const over = { ...open, firstAcceptedMs: endedMs, to: server, unseenMs: Math.min(unseenSinceMs, gapMs) };
  if (meter.outages.length >= outagesMax) return { ...next, outagesLeftOut: meter.outagesLeftOut + 1 };
  return { ...next, outages: [...meter.outages, over] };
}

function outageSince({ lastAccepted }: OutageMeter): Outage {
  return {
    lastAcceptedMs: lastAccepted?.atMs ?? null,
    firstRefusedMs: null,
    lastRefusedMs: null,
    firstAcceptedMs: null,
    from: lastAccepted?.server ?? null,
    to: null,
    failures: 0,
    reasons: {},
    unseenMs: 0,
  };
}

function afterFailed(meter: OutageMeter, { startedMs, reason, isUnanswered }: Seen & { kind: 'failed' }): OutageMeter {
  const next = {
    ...meter,
    refused: meter.refused + (isUnanswered ? 0 : 1),
    unanswered: meter.unanswered + (isUnanswered ? 1 : 0),
  };
  // Another one was acknowledged after this one was begun: it was the connection that failed, and writes were taken.
  if (meter.lastAccepted && startedMs < meter.lastAccepted.atMs) return next;
  const open = meter.open ?? outageSince(meter);
  const counted = reason in open.reasons || Object.keys(open.reasons).length < reasonsMax ? reason : 'other reasons';
  return {
    ...next,
    open: {
      ...open,
      firstRefusedMs: Math.min(open.firstRefusedMs ?? startedMs, startedMs),
      lastRefusedMs: Math.max(open.lastRefusedMs ?? startedMs, startedMs),
      failures: open.failures + 1,
      reasons: { ...open.reasons, [counted]: (open.reasons[counted] ?? 0) + 1 },
    },
  };
}

function afterUnseen(meter: OutageMeter, { fromMs, toMs }: Seen & { kind: 'unseen' }): OutageMeter {
  const next = { ...meter, unseenSinceMs: meter.unseenSinceMs + Math.max(0, toMs - fromMs) };
  if (meter.unseen.length >= unseenMax) return { ...next, unseenLeftOut: meter.unseenLeftOut + 1 };
  return { ...next, unseen: [...meter.unseen, { fromMs, toMs }] };
}

/** How long an outage was, or is by now: between the acknowledged heartbeats before and after it. */
export function durationOf(outage: Outage, meter: OutageMeter, nowMs: number): { atLeastMs: number; atMostMs: number } {
  const atMostMs = (outage.firstAcceptedMs ?? nowMs) - (outage.lastAcceptedMs ?? meter.beganMs);
  return { atLeastMs: Math.max(0, atMostMs - outage.unseenMs), atMostMs };
}

/** All outages with the one that goes on, as they are told. */
export function outagesOf(meter: OutageMeter): Outage[] {
  const { open } = meter;
  if (!open) return meter.outages;
  return [...meter.outages, { ...open, unseenMs: meter.unseenSinceMs }];
}

/** The meter that an earlier attempt has left, read from plain data; undefined where it is none. */
export function meterFrom(value: Json | undefined): OutageMeter | undefined {
  const isOne = typeof value === 'object' && value !== null && !Array.isArray(value) && typeof value.beganMs === 'number';
  return isOne ? (value as unknown as OutageMeter) : undefined;
}

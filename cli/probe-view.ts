import { durationOf, outagesOf, type OutageMeter } from '../domain/database/outage.ts';
import type { ProbeReport } from '../domain/database/probe-report.ts';

/** What a probe has measured, for programs: times in ISO 8601. */
export function probeJson({ atMs, writes, reads, held, addressChanges, rowsCheck }: ProbeReport): object {
  return {
    until: iso(atMs),
    writes: meterJson(writes, atMs),
    reads: reads && meterJson(reads, atMs),
    heldConnection: held && {
      server: held.server,
      openedAt: iso(held.openedMs),
      lastAnswer: held.lastAnswer,
      lastAnswerAt: iso(held.lastAnswerMs),
      refusedFrom: iso(held.refusedFromMs),
      cutAt: iso(held.cutMs),
    },
    addressChanges: addressChanges.map(({ host, atMs: changedMs, from, to }) => ({ host, at: iso(changedMs), from, to })),
    rows: rowsCheck,
  };
}

function meterJson(meter: OutageMeter, nowMs: number): object {
  const { beganMs, accepted, refused, unanswered, lastAccepted, unseen, unseenLeftOut, outagesLeftOut } = meter;
  const outages = outagesOf(meter).map((outage) => ({
    ...durationOf(outage, meter, nowMs),
    lastAcceptedAt: iso(outage.lastAcceptedMs),
    firstRefusedAt: iso(outage.firstRefusedMs),
    lastRefusedAt: iso(outage.lastRefusedMs),
    firstAcceptedAt: iso(outage.firstAcceptedMs),
    from: outage.from,
    to: outage.to,
    failures: outage.failures,
    reasons: outage.reasons,
  }));
  return {
    from: iso(beganMs),
    accepted,
    refused,
    unanswered,
    server: lastAccepted?.server ?? null,
    outages,
    outagesLeftOut,
    notSeen: unseen.map(({ fromMs, toMs }) => ({ from: iso(fromMs), to: iso(toMs) })),
    notSeenLeftOut: unseenLeftOut,
  };
}

function iso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

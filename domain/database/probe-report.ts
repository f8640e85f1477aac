import { durationOf, outagesOf, type Outage, type OutageMeter } from './outage.ts';
import type { RowsCheck } from './heartbeats.ts';

/** What became of a connection that was open from the beginning and is never made anew, as those of a pool that tests none. */
export type HeldConnection = {
  server: string;
  openedMs: number;
  /** When it was last answered, and whether its writes were taken then. */
  lastAnswerMs: number;
  lastAnswer: string;
  /** When it was first answered that its server takes no writes; null where it never was. */
  refusedFromMs: number | null;
  /** When it was found to be cut; null where it is open. */
  cutMs: number | null;
};

/** That a name has led to other addresses from a time on. */
export type AddressChange = { host: string; atMs: number; from: string[]; to: string[] };

/** All that a probe has measured so far. */
export type ProbeReport = {
  atMs: number;
  writes: OutageMeter;
  /** Null where no address for reads was given. */
  reads: OutageMeter | null;
  /** Null where none could be opened. */
  held: HeldConnection | null;
  addressChanges: AddressChange[];
  /** Null as long as the rows were not compared, or where they could not be read. */
  rowsCheck: RowsCheck | null;
};

/** Milliseconds as they are told of an outage: `840 ms`, `1.24 s`, `12.3 s`, `3 min 5 s`. */
export function preciseDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** How long something was, where a part of it was not seen. */
export function measuredDuration({ atLeastMs, atMostMs }: { atLeastMs: number; atMostMs: number }): string {
  if (atLeastMs === atMostMs) return preciseDuration(atMostMs);
  if (atLeastMs === 0) return `at most ${preciseDuration(atMostMs)}`;
  return `between ${preciseDuration(atLeastMs)} and ${preciseDuration(atMostMs)}`;
}

/** How long writes or reads were refused all together. */
export function refusedFor(meter: OutageMeter, nowMs: number): { atLeastMs: number; atMostMs: number } {
  const each = outagesOf(meter).map((outage) => durationOf(outage, meter, nowMs));
  const sum = (key: 'atLeastMs' | 'atMostMs'): number => each.reduce((total, one) => total + one[key], 0);
  return { atLeastMs: sum('atLeastMs'), atMostMs: sum('atMostMs') };
}

/** One line on how writes go just now, as for somebody who watches. */
export function momentOf({ atMs, writes, reads }: ProbeReport): string {
  const { open, lastAccepted } = writes;
  const now = open
    ? `writes refused for ${measuredDuration(durationOf({ ...open, unseenMs: writes.unseenSinceMs }, writes, atMs))} (${mostOften(open)})`
    : `writes accepted by ${lastAccepted?.server ?? 'nobody yet'}`;
  const counts = `${writes.accepted} accepted, ${writes.refused} refused, ${writes.unanswered} unanswered`;
  const outages = outagesOf(writes).length + writes.outagesLeftOut;
  const before = outages > 0 && !open ? [`outages: ${outages}, ${measuredDuration(refusedFor(writes, atMs))}`] : [];
  const reading = reads?.open ? [`reads refused for ${measuredDuration(durationOf(reads.open, reads, atMs))}`] : [];
  return [now, ...reading, ...before, counts].join(' · ');
}

function mostOften({ reasons }: Outage): string {
  return Object.entries(reasons).sort(([, one], [, other]) => other - one)[0]?.[0] ?? 'no answer in time';
}

/** What was measured, in sentences. `timeText` writes a time with its milliseconds. */
export function summaryOf(report: ProbeReport, timeText: (ms: number) => string): string[] {
  const { writes, reads } = report;
  return [
    ...meterSentences('Writes', writes, report.atMs, timeText),
    ...(reads ? meterSentences('Reads', reads, report.atMs, timeText) : []),
    ...heldSentences(report, timeText),
    ...report.addressChanges.map(
      ({ host, atMs, from, to }) => `The name ${host} led from ${from.join(', ')} to ${to.join(', ')} at ${timeText(atMs)}.`,
    ),
    rowsSentence(report),
  ];
}

function meterSentences(what: string, meter: OutageMeter, nowMs: number, timeText: (ms: number) => string): string[] {
  const { accepted, refused, unanswered, unseen, unseenLeftOut, outagesLeftOut } = meter;
  const outages = outagesOf(meter);
  const counts = `${accepted} accepted, ${refused} refused, ${unanswered} unanswered`;
  const none = unseen.length === 0 ? `${what} were never refused` : `${what} were not refused while the probe looked`;
  return [
    outages.length === 0 ? `${none}: ${counts}.` : `${what} were refused for ${measuredDuration(refusedFor(meter, nowMs))}: ${counts}.`,
    ...outages.map((outage) => outageSentence(outage, meter, nowMs, timeText)),
    ...(outagesLeftOut > 0 ? [`${outagesLeftOut} more outages are not told one by one, nor in the time above.`] : []),
    ...unseen.map(({ fromMs, toMs }) => `The probe did not look from ${timeText(fromMs)} to ${timeText(toMs)}.`),
    ...(unseenLeftOut > 0 ? [`The probe did not look at ${unseenLeftOut} more times.`] : []),
  ];
}

function outageSentence(outage: Outage, meter: OutageMeter, nowMs: number, timeText: (ms: number) => string): string {
  const { lastAcceptedMs, firstRefusedMs, lastRefusedMs, firstAcceptedMs, from, to } = outage;
  const span = measuredDuration(durationOf(outage, meter, nowMs));
  const began = lastAcceptedMs === null ? 'none accepted before' : `last accepted ${timeText(lastAcceptedMs)} by ${from ?? ''}`;
  const refused =
    firstRefusedMs === null || lastRefusedMs === null
      ? 'answered late'
      : `refused ${timeText(firstRefusedMs)} to ${timeText(lastRefusedMs)} (${reasonsText(outage)})`;
  const ended = firstAcceptedMs === null ? 'not accepted since' : `accepted again ${timeText(firstAcceptedMs)} by ${to ?? ''}`;
  return `  ${span}: ${began}; ${refused}; ${ended}.`;
}

function reasonsText({ reasons }: Outage): string {
  return Object.entries(reasons)
    .sort(([, one], [, other]) => other - one)
    .map(([reason, count]) => `${reason}: ${count}`)
    .join(', ');
}

function heldSentences({ held, writes }: ProbeReport, timeText: (ms: number) => string): string[] {
  if (!held) return [];
  const { server, refusedFromMs, cutMs, lastAnswerMs, lastAnswer } = held;
  const moved = writes.lastAccepted !== null && writes.lastAccepted.server !== server;
  if (refusedFromMs !== null) {
    const until = cutMs === null ? 'is still open' : `was cut at ${timeText(cutMs)}`;
    const told = `from ${timeText(refusedFromMs)} on it was answered "${lastAnswer}" there`;
    const means = 'Clients that test no connection are refused.';
    return [`Stale connection: one that was opened before ${until} to ${server}; ${told}. ${means}`];
  }
  if (cutMs !== null) return [`A connection that was opened before to ${server} was cut at ${timeText(cutMs)}.`];
  if (!moved) return [];
  return [`Stale connection: one that was opened before is still open to ${server}; it was answered last at ${timeText(lastAnswerMs)}.`];
}

function rowsSentence({ rowsCheck, writes }: ProbeReport): string {
  if (!rowsCheck) return `The rows of ${writes.accepted} accepted writes were not compared: nothing is known of lost or doubled ones.`;
  const { acknowledged, lost, doubled, writtenUnanswered, numbers, isComplete } = rowsCheck;
  const part = isComplete ? '' : ' The first ones were not compared, as there were too many interruptions.';
  const told = (all: number[]): string => (all.length === 0 ? '' : ` (${all.join(', ')})`);
  return (
    `Of ${acknowledged} accepted writes ${lost} are lost${told(numbers.lost)} and ${doubled} are there twice${told(numbers.doubled)}; ` +
    `${writtenUnanswered} were written without an answer.${part}`
  );
}

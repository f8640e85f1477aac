import { describe, expect, test } from '@jest/globals';
import { acknowledge, checkRows, noneAcknowledged } from '../../../domain/database/heartbeats.ts';
import { durationOf, meterAfter, newMeter, outagesOf, type OutageMeter, type Seen } from '../../../domain/database/outage.ts';
import { momentOf, refusedFor, summaryOf, type ProbeReport } from '../../../domain/database/probe-report.ts';

const stallMs = 1_000;
const accepted = (atMs: number, server = 'a'): Seen => ({ kind: 'accepted', startedMs: atMs - 2, endedMs: atMs, server });
const failed = (startedMs: number, reason = 'connection refused', endedMs = startedMs + 1): Seen => {
  return { kind: 'failed', startedMs, endedMs, reason, isUnanswered: false };
};
const unseen = (fromMs: number, toMs: number): Seen => ({ kind: 'unseen', fromMs, toMs });
const meterOf = (...all: Seen[]): OutageMeter => all.reduce((meter, seen) => meterAfter(meter, seen, stallMs), newMeter(0));
const reportOf = (writes: OutageMeter, atMs: number): ProbeReport => {
  return { atMs, writes, reads: null, held: null, addressChanges: [], rowsCheck: null };
};
/** Of each outage: how long at least and at most, and from which server to which. */
const told = (meter: OutageMeter, nowMs = 10_000): unknown[] =>
  outagesOf(meter).map((outage) => {
    const { atLeastMs, atMostMs } = durationOf(outage, meter, nowMs);
    return [atLeastMs, atMostMs, outage.from, outage.to];
  });

describe('an outage', () => {
  test.each<[string, Seen[], unknown[]]>([
    [
      'lasts from the last acknowledged write to the next one',
      [accepted(100), failed(150), failed(200), accepted(900, 'b')],
      [[800, 800, 'a', 'b']],
    ],
    ['goes on as long as nothing is acknowledged', [accepted(100), failed(150)], [[9_900, 9_900, 'a', null]]],
    ['is there from the beginning where nothing was acknowledged before', [failed(50), accepted(300)], [[300, 300, null, 'a']]],
    [
      'is none where an old connection fails late, while others write',
      [accepted(100), accepted(150), failed(90, 'no answer in time', 2_090), accepted(200)],
      [],
    ],
    ['is one though nothing was refused, where answers came much too late', [accepted(100), accepted(1_300)], [[1_200, 1_200, 'a', 'a']]],
    ['is none where answers are a little late', [accepted(100), accepted(1_050)], []],
    [
      'is told twice where there are two',
      [accepted(1), failed(5), accepted(11), failed(20), accepted(41)],
      [
        [10, 10, 'a', 'a'],
        [30, 30, 'a', 'a'],
      ],
    ],
    [
      'has bounds where the probe was away for a part of it',
      [accepted(100), failed(150), unseen(200, 700), accepted(1_100, 'b')],
      [[500, 1_000, 'a', 'b']],
    ],
    [
      'is at most the time that the probe was away where the writer is another one after it',
      [accepted(100), unseen(110, 700), accepted(720, 'b')],
      [[30, 620, 'a', 'b']],
    ],
    ['is none where only the probe was away', [accepted(100), unseen(110, 5_000), accepted(5_020)], []],
  ])('%s', (_title, seen, expected) => {
    expect(told(meterOf(...seen))).toEqual(expected);
  });

  test('has its reasons counted, and the times of the first and last refusal', () => {
    const meter = meterOf(accepted(100), failed(150), failed(130, 'server is read-only'), failed(170), accepted(300, 'b'));
    expect(meter.outages).toMatchObject([
      { firstRefusedMs: 130, lastRefusedMs: 170, failures: 3, reasons: { 'connection refused': 2, 'server is read-only': 1 } },
    ]);
  });

  test('takes limited room however often writes are refused', () => {
    const all = Array.from({ length: 500 }, (_, index) => [
      accepted(index * 10),
      failed(index * 10 + 5, `reason ${index}`),
      unseen(index * 10 + 6, index * 10 + 7),
    ]);
    const meter = meterOf(...all.flat(), accepted(6_000));
    expect(meter.outages.length + meter.outagesLeftOut).toBe(500);
    expect(JSON.stringify(meter).length).toBeLessThan(5_000);
    const many = meterOf(...Array.from({ length: 100 }, (_, index) => failed(index, `reason ${index}`)));
    expect(Object.values(many.open?.reasons ?? {}).reduce((sum, count) => sum + count, 0)).toBe(100);
    expect(Object.keys(many.open?.reasons ?? {}).length).toBeLessThan(12);
  });

  test('is told in sentences, with what is not known', () => {
    const meter = meterOf(accepted(100), failed(150), unseen(200, 700), accepted(1_300, 'b'));
    expect(refusedFor(meter, 2_000)).toEqual({ atLeastMs: 700, atMostMs: 1_200 });
    expect(summaryOf(reportOf(meter, 2_000), (ms) => `${ms}`)).toEqual([
      'Writes were refused for between 700 ms and 1.20 s: 2 accepted, 1 refused, 0 unanswered.',
      '  between 700 ms and 1.20 s: last accepted 100 by a; refused 150 to 150 (connection refused: 1); accepted again 1300 by b.',
      'The probe did not look from 200 to 700.',
      'The rows of 2 accepted writes were not compared: nothing is known of lost or doubled ones.',
    ]);
    expect(momentOf(reportOf(meterOf(accepted(100), failed(150)), 3_400))).toBe(
      'writes refused for 3.30 s (connection refused) · 1 accepted, 1 refused, 0 unanswered',
    );
  });

  test('has a stale connection named', () => {
    const held = { server: 'a', openedMs: 1, lastAnswerMs: 900, lastAnswer: 'server is read-only', refusedFromMs: 400, cutMs: null };
    const sentences = summaryOf({ ...reportOf(meterOf(accepted(100, 'b')), 1_000), held }, (ms) => `${ms}`);
    expect(sentences[1]).toBe(
      'Stale connection: one that was opened before is still open to a; from 400 on it was answered "server is read-only" there. ' +
        'Clients that test no connection are refused.',
    );
  });
});

describe('the rows that are there in the end', () => {
  const acknowledgedOf = (...numbers: number[]) => numbers.reduce(acknowledge, noneAcknowledged);
  const once = (...numbers: number[]) => numbers.map((number) => ({ number, count: 1 }));

  test.each<[number[], [number, number][]]>([
    [[1, 2, 3], [[1, 3]]],
    [[1, 3, 2], [[1, 3]]],
    [[2, 1], [[1, 2]]],
    [
      [1, 5, 3, 3],
      [
        [1, 1],
        [3, 3],
        [5, 5],
      ],
    ],
    [
      [1, 5, 4, 2],
      [
        [1, 2],
        [4, 5],
      ],
    ],
  ])('acknowledged %j are kept as %j', (numbers, ranges) => {
    expect(acknowledgedOf(...numbers)).toEqual({ ranges, isComplete: true });
  });

  test('show what is lost, what is there twice, and what was written without an answer', () => {
    const rows = [...once(1, 2), { number: 4, count: 2 }, ...once(7)];
    expect(checkRows(acknowledgedOf(1, 2, 3, 4), rows)).toEqual({
      acknowledged: 4,
      lost: 1,
      doubled: 1,
      writtenUnanswered: 1,
      numbers: { lost: [3], doubled: [4] },
      isComplete: true,
    });
  });

  test('are not called complete where more stretches were acknowledged than are kept', () => {
    const { ranges, isComplete } = acknowledgedOf(...Array.from({ length: 150 }, (_, index) => index * 2));
    expect({ kept: ranges.length, isComplete }).toEqual({ kept: 100, isComplete: false });
  });
});

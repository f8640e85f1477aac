import { expect, test } from '@jest/globals';
import type { JsonObject } from '../../../domain/json.ts';
import { durationsIn, estimateOf, summaryOf } from '../../../domain/plan/past.ts';
import { sealSpan } from '../../../domain/plan/plan.ts';

const entry = (second: number, kind: string, body: JsonObject): { at: string; kind: string; body: JsonObject } => {
  return { at: `2026-11-28T10:00:${String(second).padStart(2, '0')}.000Z`, kind, body };
};
const begun = (second: number, step: string): ReturnType<typeof entry> => entry(second, 'step.started', { step, uses: 'kubernetes.drain' });
const done = (second: number, step: string, more: JsonObject = {}): ReturnType<typeof entry> => {
  return entry(second, 'step.done', { step, ...more });
};

test('what a step took is read from the record, where it went through by itself', () => {
  const one = { step: 'a', uses: 'kubernetes.drain', ms: 5_000 };
  expect(durationsIn([begun(1, 'a'), done(6, 'a')])).toEqual([one]);
  expect(durationsIn([begun(1, 'a'), begun(2, 'b'), done(6, 'a'), done(8, 'b')])).toEqual([one, { ...one, step: 'b', ms: 6_000 }]);
  for (const kind of ['step.stuck', 'step.failed', 'run.paused']) {
    expect(durationsIn([begun(1, 'a'), entry(2, kind, { step: 'a' }), done(6, 'a')])).toEqual([]);
  }
  expect(durationsIn([begun(1, 'a'), done(6, 'a', { byHand: true })])).toEqual([]);
  expect(durationsIn([done(6, 'a')])).toEqual([]);
});

test('median and 95th percentile are durations that were there', () => {
  expect(summaryOf([])).toBeUndefined();
  expect(summaryOf([7])).toEqual({ runs: 1, medianMs: 7, p95Ms: 7 });
  expect(summaryOf(Array.from({ length: 20 }, (_, index) => 20 - index))).toEqual({ runs: 20, medianMs: 10, p95Ms: 19 });
});

test('the past goes before the forecast, and is not signed', () => {
  const past = { runs: 3, medianMs: 4_000, p95Ms: 9_000 };
  const plan = { effects: [], facts: {}, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 1_000 };
  const step = { id: 'a', uses: 'kubernetes.drain', input: {}, plan };
  expect(estimateOf(step)).toEqual({ ms: 1_000 });
  expect(estimateOf({ ...step, past })).toEqual({ ms: 4_000, past });
  const span = { target: 'kubernetes/lab', runbook: '', title: '', inputs: {}, steps: [step] };
  expect(sealSpan({ ...span, steps: [{ ...step, past }] }).hash).toBe(sealSpan(span).hash);
});

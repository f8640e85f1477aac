import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { nextEventOf, type HoldEvent } from '../../../domain/approval/hold-events.ts';
import { standingOf, type ApprovalRequest, type Decision } from '../../../domain/approval/request.ts';

const at = (minutes: number): string => new Date(Date.UTC(2026, 10, 28, 2, minutes)).toISOString();
const requestedMs = Date.parse(at(0));
const minute = 60_000;

function request(policy: Partial<ApprovalRequest['policy']> = {}): ApprovalRequest {
  const terms = { name: 'p', exclude: [], reason: 'optional' as const, expiresMs: 60 * minute, ...policy };
  const words = { hold: 'h', number: 1, question: '', planHash: '', requestedAt: at(0), expiresAt: at(60) };
  return { ...words, policy: { atLeast: 1, of: 'sre', ...terms }, members: ['ada', 'grace'], requester: 'dana' };
}

function approval(person: string, from?: string): Decision {
  return { person, decision: 'approve', reason: '', at: at(0), jws: '', ...(from !== undefined && { from }) };
}

/** Plays a hold from event to event, as the engine does, and tells what happened when. */
function played(held: ApprovalRequest, decisions: readonly Decision[], beginMs = requestedMs): string[] {
  const told: string[] = [];
  for (let nowMs = beginMs; ;) {
    const event: HoldEvent = nextEventOf(held, decisions, nowMs);
    nowMs = Math.max(nowMs, event.atMs);
    told.push(`${Math.round((nowMs - requestedMs) / minute)} ${event.event}`);
    if (event.event === 'escalates') held.escalatedAt = new Date(nowMs).toISOString();
    if (event.event === 'reminds') held.reminders = event.number;
    if (event.event === 'expires' || told.length > 200) return told;
  }
}

test('a hold reminds, escalates and closes in the order of their times', () => {
  const policy = { remindMs: 20 * minute, escalate: { afterMs: 30 * minute, to: 'leads' } };
  expect(played(request(policy), [])).toEqual(['20 reminds', '30 escalates', '40 reminds', '60 expires']);
});

test('what comes at the same time escalates before it reminds', () => {
  const policy = { remindMs: 30 * minute, escalate: { afterMs: 30 * minute, to: 'leads' } };
  expect(played(request(policy), [])).toEqual(['30 escalates', '30 reminds', '60 expires']);
});

test('what was due while no worker was there comes at once, and of reminders only the last', () => {
  const policy = { remindMs: 10 * minute, escalate: { afterMs: 30 * minute, to: 'leads' } };
  expect(played(request(policy), [], requestedMs + 45 * minute)).toEqual(['45 escalates', '45 reminds', '50 reminds', '60 expires']);
});

test('an approval for later is waited for, and does not count before', () => {
  const later = [approval('ada', at(25))];
  expect(nextEventOf(request(), later, requestedMs)).toEqual({ event: 'takes-effect', atMs: requestedMs + 25 * minute, person: 'ada' });
  expect(standingOf(request(), later, requestedMs + 25 * minute - 1)).toMatchObject({ state: 'waiting', maySign: ['grace'] });
  expect(standingOf(request(), later, requestedMs + 25 * minute)).toMatchObject({ state: 'approved', by: ['ada'] });
  expect(standingOf(request(), [approval('ada', 'tomorrow')], Number.MAX_SAFE_INTEGER).state).toBe('waiting');
});

test('whatever a policy says, a hold comes to its close, in the order of time and within few steps', () => {
  const minutes = fc.integer({ min: 1, max: 90 });
  fc.assert(
    fc.property(fc.option(minutes), fc.option(minutes), fc.array(minutes, { maxLength: 3 }), minutes, (remind, escalate, laters, late) => {
      const policy = {
        ...(remind !== null && { remindMs: remind * minute }),
        ...(escalate !== null && { escalate: { afterMs: escalate * minute, to: 'leads' } }),
      };
      const decisions = laters.map((later, index) => approval(`p${index}`, at(later)));
      const told = played(request(policy), decisions, requestedMs + (late % 50) * minute);
      const times = told.map((line) => Number.parseInt(line, 10));
      expect(times).toEqual([...times].sort((one, other) => one - other));
      expect(told.at(-1)).toBe('60 expires');
      expect(told.filter((line) => line.endsWith('escalates')).length).toBe(escalate !== null && escalate < 60 ? 1 : 0);
      expect(told.length).toBeLessThan(70);
    }),
  );
});

import { describe, expect, test } from '@jest/globals';
import { mayBreakGlass, reviewPolicyOf } from '../../../domain/approval/break-glass.ts';
import type { Parties, Policy } from '../../../domain/approval/policy.ts';
import { standingOf, type ApprovalRequest, type Decision } from '../../../domain/approval/request.ts';
import { isAtLeast } from '../../../domain/approval/rules.ts';

const policy: Policy = {
  name: 'x',
  atLeast: 2,
  of: 'sre',
  exclude: ['requester'],
  reason: 'optional',
  expiresMs: 1_000,
  deny: 2,
  breakGlass: ['dana'],
};
const parties: Parties = { policy, members: ['ada', 'grace', 'linus'], requester: 'dana' };
const request = { ...parties, hold: 'sign', number: 1, question: '', planHash: '', requestedAt: '', expiresAt: '' } as ApprovalRequest;

const word = (person: string, more: Partial<Decision> = {}): Decision => {
  return { person, decision: 'approve', reason: '', at: '', jws: '', ...more };
};
const glass = (person: string): Decision => word(person, { breaksGlass: true });

/** Every order of some decisions. */
function ordersOf(decisions: Decision[]): Decision[][] {
  if (decisions.length < 2) return [decisions];
  return decisions.flatMap((first) => ordersOf(decisions.filter((other) => other !== first)).map((rest) => [first, ...rest]));
}

describe('a hold', () => {
  test.each<[string, Decision[], object]>([
    ['is released alone by whom its policy names, even if excluded', [glass('dana')], { state: 'approved', brokenBy: 'dana' }],
    ['is not by anybody else', [glass('ada')], { state: 'waiting', missing: 2 }],
    ['has their word besides those of others', [word('ada'), glass('dana')], { state: 'approved', brokenBy: 'dana' }],
    ['is not broken where it has its signatures', [word('ada'), word('grace'), glass('dana')], { state: 'approved', by: ['ada', 'grace'] }],
    ['is broken against a rejection that does not close it', [word('ada', { decision: 'reject' }), glass('dana')], { brokenBy: 'dana' }],
    [
      'stays rejected where it is',
      [word('ada', { decision: 'reject' }), word('grace', { decision: 'reject' }), glass('dana')],
      { state: 'rejected' },
    ],
  ])('%s, in whatever order', (_what, decisions, expected) => {
    for (const order of ordersOf(decisions)) {
      const standing = standingOf(request, order, 0);
      const { by, ...rest } = standing as { by?: string[] | string };
      expect({ ...rest, ...(Array.isArray(by) ? { by: [...by].sort() } : {}) }).toMatchObject(expected);
      expect('brokenBy' in standing).toBe('brokenBy' in expected);
    }
  });
});

test('nobody may break the glass of a policy that names nobody, and one that names somebody is weaker', () => {
  const { breakGlass: _breakGlass, ...without } = policy;
  const strict = without as Policy;
  expect(mayBreakGlass(strict, 'dana')).toBe(false);
  const book = { people: {}, groups: { sre: ['ada', 'grace', 'linus'] } };
  expect(isAtLeast(policy, strict, book)).toBe(false);
  expect(isAtLeast(strict, policy, book)).toBe(true);
  expect(isAtLeast({ ...policy, breakGlass: ['dana', 'oscar'] }, policy, book)).toBe(false);
});

test('a review is signed by the people of the policy without who broke the glass: as many, else one, else nobody', () => {
  expect(reviewPolicyOf({ ...parties, askedBy: 'dana' })).toMatchObject({ atLeast: 2 });
  expect(reviewPolicyOf({ ...parties, askedBy: 'dana' })?.breakGlass).toBeUndefined();
  expect(reviewPolicyOf({ ...parties, members: ['ada', 'grace'], askedBy: 'ada' })).toMatchObject({ atLeast: 1 });
  expect(reviewPolicyOf({ ...parties, members: ['ada'], askedBy: 'ada' })).toBeUndefined();
});

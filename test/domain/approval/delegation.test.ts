import { expect, test } from '@jest/globals';
import { readDelegation, refusalOfDelegation } from '../../../domain/approval/delegation.ts';
import type { Parties, Policy } from '../../../domain/approval/policy.ts';
import { signedWith, type DelegationStatement } from '../../../domain/approval/statement.ts';
import { statements } from '../../support/statements.ts';

const delegation: DelegationStatement = { ...statements.delegation, until: '2026-11-28T10:00:00.000Z' };
const nowMs = Date.parse('2026-11-22T10:00:00Z');
const policy: Policy = {
  name: 'production-change',
  atLeast: 1,
  of: 'sre',
  exclude: [],
  reason: 'optional',
  expiresMs: 1,
  delegate: 'allowed',
};
const parties: Parties = { policy, members: ['ann', 'cleo'], requester: 'rita' };
const ofTwo: Parties = {
  ...parties,
  policy: {
    ...policy,
    all: [
      { atLeast: 1, of: 'sre' },
      { atLeast: 1, of: 'dba' },
    ],
  },
  groups: { sre: ['ann'], dba: ['ann', 'cleo'] },
};

test('a delegation is read out of what was signed, and nothing else is one', () => {
  expect(readDelegation(signedWith(delegation, new Uint8Array(64)))).toEqual(delegation);
  expect(readDelegation(signedWith(statements.decision, new Uint8Array(64)))).toBeUndefined();
  for (const text of ['', 'a.b.c', '..', 'e30.e30.e30']) expect(readDelegation(text)).toBeUndefined();
});

test.each<[string, Partial<DelegationStatement>, Parties, string, string | undefined]>([
  ['for the policy', {}, parties, 'bob', undefined],
  ['for the group', { scope: 'group/sre' }, parties, 'bob', undefined],
  ['for another policy', { scope: 'policy/other' }, parties, 'bob', 'delegation-out-of-scope'],
  ['for another group', { scope: 'group/dba' }, parties, 'bob', 'delegation-out-of-scope'],
  ['for one of two groups that its signer could stand for', { scope: 'group/sre' }, ofTwo, 'bob', 'delegation-out-of-scope'],
  ['for somebody else', {}, parties, 'cleo', 'delegation-out-of-scope'],
  ['to oneself', { to: 'ann' }, parties, 'ann', 'delegation-out-of-scope'],
  ['that has ended', { until: '2026-11-22T09:59:59.999Z' }, parties, 'bob', 'delegation-ended'],
  ['that ends this moment', { until: '2026-11-22T10:00:00.000Z' }, parties, 'bob', undefined],
  ['that lasts too long', { until: '2026-12-28T10:00:00.000Z' }, parties, 'bob', 'delegation-malformed'],
  ['that ends before it begins', { until: '2026-11-20T10:00:00.000Z' }, parties, 'bob', 'delegation-malformed'],
  ['under a policy that allows none', {}, { ...parties, policy: { ...policy, delegate: undefined } }, 'bob', 'delegation-out-of-scope'],
])('a delegation %s', (_title, rest, held, delegate, code) => {
  expect(refusalOfDelegation({ ...delegation, ...rest }, held, delegate, nowMs)?.code).toBe(code);
});

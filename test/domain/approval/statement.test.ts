import { describe, expect, test } from '@jest/globals';
import { differingClaim, isPersonId, type DecisionStatement } from '../../../domain/approval/statement.ts';

describe('the id of a person', () => {
  test.each(['ann', 'a', 'ann.b-c_9', 'a'.repeat(63)])('may be %s', (text) => expect(isPersonId(text)).toBe(true));

  test.each(['', 'Ann', '9ann', '.ann', '../ann', 'ann/bob', 'ann bob', 'ann\n', 'änn', 'a'.repeat(64)])('cannot be %j', (text) =>
    expect(isPersonId(text)).toBe(false),
  );
});

describe('claims', () => {
  const statement: DecisionStatement = {
    kind: 'decision',
    person: 'ann',
    run: 'r-1',
    hold: 'sign',
    request: 1,
    planHash: 'sha256:00',
    decision: 'approve',
    reason: 'read it',
    at: '2026-11-21T10:00:00Z',
    nonce: 'n',
  };
  const { at: _at, nonce: _nonce, ...expected } = statement;

  test('agree when all but time and nonce are as expected', () => {
    expect(differingClaim(statement, expected)).toBeUndefined();
  });

  test.each(Object.keys(expected))('differ when %s does', (claim) => {
    expect(differingClaim({ ...statement, [claim]: 'other' }, expected)?.claim).toBe(claim);
  });
});

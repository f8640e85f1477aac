import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { preApprovalAgeMaxMs, refusalOfPeriod, refusalOfPreApproval, type PreApprovalUse } from '../../../domain/approval/pre-approval.ts';
import type { PreApprovalStatement } from '../../../domain/approval/statement.ts';
import { statements } from '../../support/statements.ts';

const statement = statements['pre-approval'];
const { kind: _kind, person: _person, reason: _reason, at: _at, nonce: _nonce, ...use } = statement;
const beginMs = Date.parse(statement.notBefore);
const endMs = Date.parse(statement.notAfter);
const midMs = (beginMs + endMs) / 2;

function codeAt(nowMs: number, signed: PreApprovalStatement = statement): string | undefined {
  return refusalOfPreApproval(signed, { ...use, notBefore: signed.notBefore, notAfter: signed.notAfter }, nowMs)?.code;
}

describe('a pre-approval counts', () => {
  test('for exactly what was signed, from the first to the last moment of its opening', () => {
    const moment = fc.integer({ min: beginMs, max: endMs });
    fc.assert(fc.property(moment, (nowMs) => refusalOfPreApproval(statement, use, nowMs) === undefined));
    expect([beginMs - 1, beginMs, endMs, endMs + 1].map((nowMs) => codeAt(nowMs))).toEqual([
      'pre-approval-early',
      undefined,
      undefined,
      'pre-approval-expired',
    ]);
  });

  test('for nothing that differs in any claim, at any time', () => {
    const claim = fc.constantFrom(...(Object.keys(use) as (keyof PreApprovalUse)[]));
    const moment = fc.integer({ min: beginMs - 86_400_000, max: endMs + 86_400_000 });
    fc.assert(
      fc.property(claim, fc.string(), moment, (claim, value, nowMs) => {
        fc.pre(value !== statement[claim]);
        return refusalOfPreApproval(statement, { ...use, [claim]: value }, nowMs)?.code === 'pre-approval-differs';
      }),
    );
  });

  test.each<[keyof PreApprovalUse, string]>([
    ['target', 'is for target eks/eu-central-1/demo, but the run asks for x.'],
    ['runbook', 'is for runbook sha256:2222'],
    ['inputs', 'is for inputs sha256:3333'],
    ['hold', 'is for hold sign-drain, but the run asks for x.'],
    ['policy', 'is for policy production-change, but the run asks for x.'],
    ['planHash', 'is for plan sha256:1111'],
    ['notBefore', 'is for an opening from 2026-11-28T20:00:00.000Z, but the run asks for x.'],
    ['notAfter', 'is for an opening until 2026-11-29T02:00:00.000Z, but the run asks for x.'],
  ])('not with another %s, and says so', (claim, sentence) => {
    const refusal = refusalOfPreApproval(statement, { ...use, [claim]: 'x' }, midMs);
    expect(refusal?.reason).toContain(`The pre-approval of ann ${sentence}`);
  });
});

describe('the period of a pre-approval', () => {
  const signedAgo = (ms: number): PreApprovalStatement => ({ ...statement, at: new Date(endMs - ms).toISOString() });

  test('may end as long after the signature as the limit says, and no longer', () => {
    expect(codeAt(midMs, signedAgo(preApprovalAgeMaxMs))).toBeUndefined();
    expect(refusalOfPreApproval(signedAgo(preApprovalAgeMaxMs + 1), use, midMs)).toMatchObject({
      code: 'pre-approval-malformed',
      reason: expect.stringContaining('more than 31 days after it was signed'),
    });
  });

  test.each<[string, Partial<PreApprovalStatement>]>([
    ['ends as it begins', { notAfter: statement.notBefore }],
    ['ends before it begins', { notAfter: '2026-11-28T19:00:00.000Z' }],
    ['has no beginning', { notBefore: 'soon' }],
    ['was signed at no time', { at: 'yesterday' }],
  ])('that %s counts at no time', (_what, change) => {
    const changed = { ...statement, ...change };
    for (const nowMs of [0, beginMs, midMs, endMs, Infinity]) expect(codeAt(nowMs, changed)).toBe('pre-approval-malformed');
  });

  test('is good to be sent before it begins', () => {
    expect(refusalOfPeriod(statement, Date.parse(statement.at))).toBeUndefined();
    expect(refusalOfPeriod(statement, endMs + 1)?.reason).toBe(
      'The pre-approval of ann counted until 2026-11-29T02:00:00.000Z, when its opening ended.',
    );
  });
});

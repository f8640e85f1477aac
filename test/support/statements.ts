import { questionDigest } from '../../domain/approval/request.ts';
import type { Statement, StatementKind, StatementOf } from '../../domain/approval/statement.ts';

const freshness = { at: '2026-11-21T10:00:00.000Z', nonce: 'n-1' };
const hash = (digit: string): string => `sha256:${digit.repeat(64)}`;

/** The question that the decision answers. */
export const statedQuestion = 'Go on?';

/** A statement of each kind, all signed by ann at the same time. */
export const statements: { [Kind in StatementKind]: StatementOf<Kind> } = {
  start: {
    kind: 'start',
    person: 'ann',
    run: 'r-1',
    target: 'eks/eu-central-1/demo',
    runbook: hash('2'),
    planHash: hash('1'),
    ...freshness,
  },
  schedule: {
    kind: 'schedule',
    person: 'ann',
    schedule: 'nightly',
    target: 'eks/eu-central-1/demo',
    runbook: hash('2'),
    inputsHash: hash('3'),
    calendar: 'weekend',
    jitterMs: 0,
    catchUpMs: 3_600_000,
    ...freshness,
  },
  decision: {
    kind: 'decision',
    person: 'ann',
    run: 'r-1',
    hold: 'sign-drain',
    request: 2,
    planHash: hash('1'),
    question: questionDigest({ question: statedQuestion }),
    decision: 'approve',
    reason: 'read it: Grüße, 확인했습니다',
    ...freshness,
  },
  'deferred-approval': {
    kind: 'deferred-approval',
    person: 'ann',
    run: 'r-1',
    hold: 'sign-drain',
    request: 2,
    planHash: hash('1'),
    question: questionDigest({ question: statedQuestion }),
    from: '2026-11-22T02:00:00.000Z',
    reason: 'in the night',
    ...freshness,
  },
  'delegated-approval': {
    kind: 'delegated-approval',
    person: 'ann',
    run: 'r-1',
    hold: 'sign-drain',
    request: 2,
    planHash: hash('1'),
    question: questionDigest({ question: statedQuestion }),
    delegation: hash('6'),
    reason: 'bob is away',
    ...freshness,
  },
  'break-glass': {
    kind: 'break-glass',
    person: 'ann',
    run: 'r-1',
    hold: 'sign-drain',
    request: 2,
    planHash: hash('1'),
    question: questionDigest({ question: statedQuestion }),
    reason: 'nobody answers and the disk is full',
    ...freshness,
  },
  delegation: {
    kind: 'delegation',
    person: 'ann',
    to: 'bob',
    scope: 'policy/production-change',
    until: '2026-11-28T20:00:00.000Z',
    reason: 'on leave',
    ...freshness,
  },
  withdrawal: {
    kind: 'withdrawal',
    person: 'ann',
    run: 'r-1',
    hold: 'sign-drain',
    request: 2,
    planHash: hash('1'),
    approval: hash('5'),
    reason: 'on second thoughts',
    ...freshness,
  },
  command: { kind: 'command', person: 'ann', run: 'r-1', command: 'retry', step: 'drain', reason: 'network is back', ...freshness },
  'pre-approval': {
    kind: 'pre-approval',
    person: 'ann',
    target: 'eks/eu-central-1/demo',
    runbook: hash('2'),
    inputs: hash('3'),
    hold: 'sign-drain',
    policy: 'production-change',
    planHash: hash('1'),
    notBefore: '2026-11-28T20:00:00.000Z',
    notAfter: '2026-11-29T02:00:00.000Z',
    reason: 'Sunday night',
    ...freshness,
  },
};

/** Each of them with its kind, for tables of tests. */
export const statementsByKind = Object.entries(statements) as [StatementKind, Statement][];

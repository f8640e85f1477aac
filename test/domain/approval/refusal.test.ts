import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Policy } from '../../../domain/approval/policy.ts';
import { questionDigest, standingOf, type Closing, type Decision, type ApprovalRequest } from '../../../domain/approval/request.ts';
import { reasonCharactersMax, refusalOf, type Attempt, type RefusalCode } from '../../../domain/approval/refusal.ts';
import { digestOfText } from '../../../domain/plan/plan.ts';

const run = 'r-20261121-7kq2m';
const planHash = digestOfText('the plan');
const nowMs = Date.parse('2026-11-21T10:10:00Z');
const otherHash = digestOfText('another plan');

const policy: Policy = {
  name: 'production-change',
  atLeast: 2,
  of: 'sre',
  exclude: ['requester'],
  reason: 'required',
  expiresMs: 3_600_000,
};

const request: ApprovalRequest = {
  hold: 'sign-drain',
  number: 2,
  question: 'Move 12 pods?',
  planHash,
  policy,
  members: ['ann', 'bob', 'cleo', 'rita'],
  requester: 'rita',
  requestedAt: '2026-11-21T10:00:00Z',
  expiresAt: '2026-11-21T11:00:00Z',
};

const attempt: Attempt = {
  person: 'ann',
  run,
  hold: 'sign-drain',
  request: 2,
  planHash,
  decision: 'approve',
  reason: 'read it',
};

function decided(person: string, decision: Decision['decision'] = 'approve', reason = 'read it'): Decision {
  return { person, decision, reason, at: '2026-11-21T10:05:00Z', jws: `jws of ${person}` };
}

function closedBecause(because: Closing['because']): ApprovalRequest {
  return { ...request, closed: { because, at: '2026-11-21T11:00:00Z' } };
}

interface Case {
  title: string;
  request?: ApprovalRequest | null;
  decisions?: Decision[];
  attempt?: Partial<Attempt> | { decision: string };
  code: RefusalCode;
  reason: string;
  remedy: string;
}

const cases: Case[] = [
  {
    title: 'is for another run on the same target',
    attempt: { run: 'r-20261120-aaaaa', hold: 'elsewhere' },
    code: 'run-differs',
    reason: 'The decision is for run r-20261120-aaaaa, but the open run of this target is r-20261121-7kq2m.',
    remedy: 'Look at the run again',
  },
  {
    title: 'comes when no hold waits',
    request: null,
    code: 'hold-not-waiting',
    reason: 'Run r-20261121-7kq2m is not waiting at a hold now, so nothing can be decided on hold sign-drain.',
    remedy: 'See with `holdpoint show`',
  },
  {
    title: 'is for another hold',
    attempt: { hold: 'sign-delete', request: 1 },
    code: 'hold-differs',
    reason: 'The decision is for hold sign-delete, but the run is waiting at hold sign-drain.',
    remedy: 'Look at the run again',
  },
  {
    title: 'is for a request that drift has replaced',
    attempt: { request: 1, planHash: otherHash },
    code: 'request-replaced',
    reason:
      `The signatures of hold sign-drain were requested anew at 2026-11-21T10:00:00Z (request 2, plan ${planHash.slice(0, 39)}); ` +
      'request 1, which the decision is for, no longer counts.',
    remedy: 'Read the new plan',
  },
  {
    title: 'is for a request that has not been yet',
    attempt: { request: 3 },
    code: 'request-unknown',
    reason: 'Hold sign-drain is at request 2; there is no request 3 yet.',
    remedy: 'Look at the run again',
  },
  {
    title: 'comes after the hold expired',
    request: closedBecause('expired'),
    attempt: { person: 'mallory' },
    code: 'hold-expired',
    reason: 'Request 2 of hold sign-drain expired at 2026-11-21T11:00:00Z. Nothing was approved by that.',
    remedy: 'Ask an operator to `retry`, which requests the signatures anew',
  },
  {
    title: 'comes while the hold is closed for drift',
    request: closedBecause('drift'),
    code: 'plan-drifted',
    reason: 'Request 2 of hold sign-drain was closed at 2026-11-21T11:00:00Z, because the plan is no longer the one it showed.',
    remedy: 'Wait until the signatures are requested anew',
  },
  {
    title: 'comes after the run was aborted',
    request: closedBecause('aborted'),
    code: 'run-aborted',
    reason: 'The run was aborted at 2026-11-21T11:00:00Z, which closed hold sign-drain.',
    remedy: 'Nothing is left to decide',
  },
  {
    title: 'is for another plan',
    attempt: { planHash: otherHash, person: 'mallory' },
    code: 'plan-differs',
    reason:
      `The decision is for plan ${otherHash.slice(0, 39)}, but request 2 of hold sign-drain ` + `asks for plan ${planHash.slice(0, 39)}.`,
    remedy: 'Read the plan with `holdpoint show`',
  },
  {
    title: 'has a reason that a terminal would obey',
    attempt: { reason: 'fine\u001b[8m' },
    code: 'reason-unreadable',
    reason: 'The reason has the character \\x1b, which nobody sees or a terminal obeys.',
    remedy: 'Give a reason of one line that can be read.',
  },
  {
    title: 'has a reason of several lines',
    attempt: { reason: 'fine\n✓ signed by grace' },
    code: 'reason-unreadable',
    reason: 'The reason has the character \\n',
    remedy: 'Give a reason of one line',
  },
  {
    title: 'answers another question',
    attempt: { question: questionDigest({ question: 'Is the weather fine?' }) },
    code: 'question-differs',
    reason: 'The decision answers another question than request 2 of hold sign-drain asks.',
    remedy: 'Read the question with `holdpoint show`',
  },
  {
    title: 'is neither yes nor no',
    attempt: { decision: 'Approve' },
    code: 'decision-unknown',
    reason: 'A decision is "approve" or "reject", not "Approve".',
    remedy: 'Decide with `holdpoint approve` or `holdpoint reject`.',
  },
  {
    title: 'repeats an approval',
    decisions: [decided('ann')],
    code: 'already-decided',
    reason: 'ann has already approved request 2 of hold sign-drain, at 2026-11-21T10:05:00Z.',
    remedy: 'A person counts once. To take an approval back, use `holdpoint withdraw`',
  },
  {
    title: 'takes a rejection back',
    decisions: [decided('ann', 'reject')],
    code: 'already-decided',
    reason: 'ann has already rejected request 2 of hold sign-drain, at 2026-11-21T10:05:00Z.',
    remedy: 'A rejection stands.',
  },
  {
    title: 'comes after enough approvals',
    decisions: [decided('bob'), decided('cleo')],
    code: 'verdict-reached',
    reason: 'Request 2 of hold sign-drain has already been approved by bob, cleo.',
    remedy: 'To stop the run now, use `holdpoint abort`.',
  },
  {
    title: 'comes after a rejection',
    decisions: [decided('bob', 'reject')],
    code: 'verdict-reached',
    reason: 'Request 2 of hold sign-drain has already been rejected by bob.',
    remedy: 'Start a new run',
  },
  {
    title: 'is the approval of the requester',
    attempt: { person: 'rita' },
    code: 'requester-excluded',
    reason: 'rita started the run, and policy production-change does not let the requester decide on hold sign-drain.',
    remedy: 'Ask somebody else of group sre: ann, bob, cleo.',
  },
  {
    title: 'is the approval of a requester who is not in the group either',
    request: { ...request, members: ['ann', 'bob'] },
    attempt: { person: 'rita' },
    code: 'requester-excluded',
    reason: 'rita started the run, and policy production-change does not let the requester decide on hold sign-drain.',
    remedy: 'Ask somebody else of group sre: ann, bob.',
  },
  {
    title: 'is the rejection of the requester, who can abort',
    attempt: { person: 'rita', decision: 'reject' },
    code: 'requester-excluded',
    reason: 'rita started the run, and policy production-change does not let the requester decide on hold sign-drain.',
    remedy: 'The run is yours: stop it with `holdpoint abort` instead.',
  },
  {
    title: 'is from somebody who has signed at a hold before, where others must',
    request: { ...request, policy: { ...policy, exclude: ['earlier-approvers'] }, earlierApprovers: ['ann'] },
    code: 'earlier-approver-excluded',
    reason: 'ann has signed at an earlier hold, and policy production-change wants others to decide on hold sign-drain.',
    remedy: 'Ask somebody else of group sre: bob, cleo, rita.',
  },
  {
    title: 'is from somebody whom the policy names as one who does not count',
    request: { ...request, policy: { ...policy, exclude: ['ann'] } },
    code: 'person-excluded',
    reason: 'Policy production-change does not let ann decide on hold sign-drain.',
    remedy: 'Ask somebody else of group sre: bob, cleo, rita.',
  },
  {
    title: 'is from somebody outside of several groups',
    request: {
      ...request,
      policy: {
        all: [
          { atLeast: 1, of: 'sre' },
          { atLeast: 1, of: 'dba' },
        ],
        name: 'both',
        exclude: [],
        reason: 'optional',
        expiresMs: 1,
      },
      members: ['bob', 'cleo'],
      groups: { sre: ['bob'], dba: ['cleo'] },
    },
    code: 'not-in-group',
    reason: 'Policy both wants hold sign-drain decided by 1 of sre and 1 of dba, and ann was not in it when',
    remedy: 'Ask somebody of 1 of sre and 1 of dba: bob, cleo.',
  },
  {
    title: 'is from somebody outside of the group',
    attempt: { person: 'mallory', reason: '' },
    code: 'not-in-group',
    reason:
      'Policy production-change wants hold sign-drain decided by group sre, and mallory was not in it ' +
      'when the signatures were requested at 2026-11-21T10:00:00Z.',
    remedy: 'Ask somebody of group sre: ann, bob, cleo.',
  },
  {
    title: 'is asked of a group without anybody',
    request: { ...request, members: [] },
    code: 'not-in-group',
    reason: 'was not in it',
    remedy: 'nobody else is in it, so the platform team must add people',
  },
  {
    title: 'has no reason where the policy requires one',
    attempt: { reason: ' \n' },
    code: 'reason-missing',
    reason: 'Policy production-change requires a reason, and the decision to approve has none.',
    remedy: 'Say why, with `--reason`.',
  },
  {
    title: 'has a reason that is too long',
    attempt: { reason: 'x'.repeat(reasonCharactersMax + 1) },
    code: 'reason-too-long',
    reason: 'The reason has 2001 characters; at most 2000 are kept.',
    remedy: 'Give a shorter reason, with a link to the rest.',
  },
];

describe('an attempt to decide', () => {
  test.each(cases)('is refused when it $title', (row) => {
    const asked = row.request === null ? undefined : (row.request ?? request);
    const refusal = refusalOf(asked, row.decisions ?? [], { ...attempt, ...row.attempt } as Attempt, run, nowMs);
    expect(refusal?.code).toBe(row.code);
    expect(refusal?.reason).toContain(row.reason);
    expect(refusal?.remedy).toContain(row.remedy);
  });

  test('counts when it is what the hold asks for, also with a reason of the full length', () => {
    expect(refusalOf(request, [], attempt, run, nowMs)).toBeUndefined();
    expect(refusalOf(request, [decided('bob')], { ...attempt, decision: 'reject' }, run, nowMs)).toBeUndefined();
    expect(refusalOf(request, [], { ...attempt, reason: 'x'.repeat(reasonCharactersMax) }, run, nowMs)).toBeUndefined();
  });

  test('needs no reason, and may be of the requester, where the policy says so', () => {
    const lenient: ApprovalRequest = { ...request, policy: { ...policy, exclude: [], reason: 'optional' } };
    expect(refusalOf(lenient, [], { ...attempt, person: 'rita', reason: '' }, run, nowMs)).toBeUndefined();
    expect(standingOf(lenient, [decided('rita'), decided('ann')], nowMs).state).toBe('approved');
  });
});

describe('the standing of a hold', () => {
  test('names how many are missing and who may still sign', () => {
    expect(standingOf(request, [], nowMs)).toMatchObject({ state: 'waiting', missing: 2, maySign: ['ann', 'bob', 'cleo'] });
    expect(standingOf(request, [decided('bob')], nowMs)).toMatchObject({ state: 'waiting', missing: 1, maySign: ['ann', 'cleo'] });
  });

  test('is approved by enough different people, and rejected by one', () => {
    expect(standingOf(request, [decided('bob'), decided('ann')], nowMs)).toEqual({ state: 'approved', by: ['bob', 'ann'] });
    expect(standingOf(request, [decided('bob'), decided('ann', 'reject', 'it is Friday')], nowMs)).toEqual({
      state: 'rejected',
      by: 'ann',
      reason: 'it is Friday',
    });
  });

  test('is rejected by as many different people as the policy asks for, who approve nothing any more', () => {
    const lenient = { ...request, policy: { ...policy, deny: 2 } };
    const [ann, bob] = [decided('ann', 'reject'), decided('bob', 'reject', 'nor me')];
    expect(standingOf(lenient, [ann, decided('cleo')], nowMs)).toMatchObject({ state: 'waiting', missing: 1, maySign: ['bob'] });
    expect(standingOf(lenient, [ann, decided('bob'), decided('cleo')], nowMs)).toMatchObject({ state: 'approved', by: ['bob', 'cleo'] });
    expect(standingOf(lenient, [ann, decided('ann', 'reject')], nowMs).state).toBe('waiting');
    expect(standingOf(lenient, [ann, bob], nowMs)).toEqual({ state: 'rejected', by: 'bob', reason: 'nor me' });
  });

  test('counts neither strangers, nor the requester, nor one person twice, even if they were let in', () => {
    const smuggled = [decided('mallory'), decided('rita'), decided('ann'), decided('ann'), decided('mallory', 'reject')];
    expect(standingOf(request, smuggled, nowMs)).toMatchObject({ state: 'waiting', missing: 1, maySign: ['bob', 'cleo'] });
  });

  test('does not count one person twice because the group lists them twice', () => {
    const doubled = { ...request, members: ['ann', 'ann'] };
    expect(standingOf(doubled, [decided('ann')], nowMs)).toMatchObject({ state: 'waiting', missing: 1, maySign: [] });
  });

  test('is never approved by nobody, whatever the policy asks for', () => {
    expect(standingOf({ ...request, policy: { ...policy, atLeast: 0 } }, [], nowMs).state).toBe('waiting');
  });
});

/** Plays attempts against a hold as the engine does: what is not refused is accepted. */
function play(attempts: readonly Attempt[]): Decision[] {
  const decisions: Decision[] = [];
  for (const each of attempts) {
    if (refusalOf(request, decisions, each, run, nowMs) === undefined) decisions.push({ ...decided(each.person), ...each });
  }
  return decisions;
}

/** Attempts of which most fit in each single respect, so that many sequences get as far as a verdict. */
function attemptsOf(people: fc.Arbitrary<string>): fc.Arbitrary<Attempt[]> {
  const mostly = <Value>(usual: Value, ...others: Value[]) =>
    fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });
  return fc.array(
    fc.record<Attempt>({
      person: people,
      run: mostly(run, 'r-other'),
      hold: mostly('sign-drain', 'sign-delete'),
      request: mostly(2, 1, 3),
      planHash: mostly(planHash, otherHash),
      decision: mostly<Attempt['decision']>('approve', 'reject'),
      reason: mostly('read it', ''),
    }),
    { maxLength: 40 },
  );
}

describe('no sequence of attempts', () => {
  test.each([
    ['people outside of the group', fc.constantFrom('mallory', 'trudy', 'eve', 'Ann', 'ann ')],
    ['the requester', fc.constant('rita')],
    ['one member alone', fc.constant('ann')],
    ['one member with the requester and strangers', fc.constantFrom('ann', 'rita', 'mallory', 'eve')],
  ])('of %s approves a hold that needs two', (_who, people) => {
    fc.assert(fc.property(attemptsOf(people), (attempts) => standingOf(request, play(attempts), nowMs).state !== 'approved'));
  });

  test('of anybody approves otherwise than by two fitting approvals of different members before any fitting rejection', () => {
    let approvals = 0;
    fc.assert(
      fc.property(attemptsOf(fc.constantFrom('ann', 'bob', 'cleo', 'rita', 'mallory')), (attempts) => {
        const approved = standingOf(request, play(attempts), nowMs).state === 'approved';
        if (approved) approvals += 1;
        expect(approved).toBe(isApprovedByHand(attempts));
      }),
      { numRuns: 500 },
    );
    expect(approvals).toBeGreaterThan(100);
  });
});

/** The rule once more, told another way: the first words of the members, up to the second approval or the first rejection. */
function isApprovedByHand(attempts: readonly Attempt[]): boolean {
  const approvers = new Set<string>();
  for (const { person, decision, reason, ...asked } of attempts) {
    const fits = asked.run === run && asked.hold === 'sign-drain' && asked.request === 2 && asked.planHash === planHash;
    if (!fits || reason === '' || !['ann', 'bob', 'cleo'].includes(person) || approvers.has(person)) continue;
    if (decision === 'reject') return false;
    approvers.add(person);
    if (approvers.size === 2) return true;
  }
  return false;
}

import { describe, expect, test } from '@jest/globals';
import type { ChangeKind } from '../../../domain/action.ts';
import type { Policy, PolicyTerms, Requirement } from '../../../domain/approval/policy.ts';
import {
  isAtLeast,
  judge,
  matchesTarget,
  refusalOfOperator,
  type JudgedSpan,
  type Rule,
  type RuleBook,
} from '../../../domain/approval/rules.ts';
import type { JsonObject } from '../../../domain/json.ts';

const policy = (name: string, rest: Partial<Policy> = {}): Policy => {
  return { name, atLeast: 1, of: 'sre', exclude: [], reason: 'optional', expiresMs: 1000, ...rest };
};
const policies = {
  one: policy('one'),
  two: policy('two', { atLeast: 2, exclude: ['requester'] }),
  few: policy('few', { of: 'leads' }),
  anybody: policy('anybody', { of: 'people' }),
  reasoned: policy('reasoned', { reason: 'required' }),
};
const groups = { sre: ['ada', 'grace', 'linus'], leads: ['ada', 'grace'] };
const people = { ada: {}, grace: {}, linus: {}, dana: {}, oscar: {} };
const book = (...rules: Rule[]): RuleBook => ({ rules, policies, groups, people });

const target = 'eks/eu-central-1/prod-a';
const uses = { reads: 'eks.preflight', adds: 'eks.createNodegroup', changes: 'kubernetes.drain', destroys: 'eks.deleteNodegroup' };

function span(change: ChangeKind, rest: Partial<JudgedSpan> = {}, settings: JsonObject = {}): JudgedSpan {
  return { target, requester: 'dana', steps: [{ id: 'step', uses: uses[change], change, settings }], ...rest };
}

describe('what rules say of a span', () => {
  test.each<[string, Rule[], JudgedSpan, string[]]>([
    ['reading needs nothing', [], span('reads'), []],
    ['adding needs nothing without a rule', [], span('adds'), []],
    ['changing needs a hold', [], span('changes'), ['rule-hold rules']],
    ['destroying needs a hold', [], span('destroys'), ['rule-hold rules']],
    ['any hold is enough without a rule', [], span('destroys', { policy: policies.one }), []],
    ['a start may be enough', [{ start: ['dana'] }], span('destroys'), []],
    ['a start of a group may be enough', [{ start: ['sre'] }], span('changes', { requester: 'ada' }), []],
    ['a start of anybody may be enough', [{ start: ['people'] }], span('changes', { requester: 'oscar' }), []],
    ['a start of somebody else is not', [{ start: ['sre'] }], span('changes'), ['rule-hold rules']],
    ['a start is taken for enough before anybody has started', [{ start: ['sre'] }], span('changes', { requester: undefined }), []],
    ['a start on other targets is not enough', [{ targets: ['eks/*/test-*'], start: ['dana'] }], span('changes'), ['rule-hold rules']],
    ['a start for other changes is not enough', [{ changes: ['changes'], start: ['dana'] }], span('destroys'), ['rule-hold rules']],
    ['a policy must be there', [{ policy: 'two' }], span('changes'), ['rule-hold rules[0]']],
    ['a policy must be there for what adds, too', [{ policy: 'two' }], span('adds'), ['rule-hold rules[0]']],
    ['a policy is not asked for what reads', [{ policy: 'two' }], span('reads'), []],
    ['a weaker policy', [{ policy: 'two' }], span('changes', { policy: policies.one }), ['rule-policy rules[0]']],
    ['the policy itself', [{ policy: 'two' }], span('changes', { policy: policies.two }), []],
    ['a stronger policy', [{ policy: 'one' }], span('changes', { policy: policies.two }), []],
    ['a policy that is gone', [{ policy: 'gone' }], span('changes', { policy: policies.two }), ['rule-policy rules[0]']],
    ['a policy called constructor', [{ policy: 'constructor' }], span('changes', { policy: policies.two }), ['rule-policy rules[0]']],
    ['the start is enough in the place of the policy', [{ policy: 'two', start: ['dana'] }], span('changes'), []],
    ['one rule does not let another go', [{ policy: 'two' }, { start: ['dana'] }], span('changes'), ['rule-hold rules[0]']],
    ['whoever may not start', [{ operate: ['sre'] }], span('reads'), ['rule-operator rules[0]']],
    ['whoever may start', [{ operate: ['sre', 'dana'] }], span('reads'), []],
    ['whoever is not known yet', [{ operate: ['sre'] }], span('reads', { requester: undefined }), []],
    ['a group called constructor', [{ operate: ['constructor'] }], span('reads'), ['rule-operator rules[0]']],
    [
      'a forbidden setting',
      [{ settings: [{ action: 'kubernetes.drain', setting: 'force', is: true }] }],
      span('changes', { policy: policies.two }, { force: true }),
      ['rule-setting rules[0].settings[0]'],
    ],
    [
      'the same setting with another value',
      [{ settings: [{ action: 'kubernetes.drain', setting: 'force', is: true }] }],
      span('changes', { policy: policies.two }, { force: false }),
      [],
    ],
    [
      'the same setting of another action',
      [{ settings: [{ action: 'eks.updateNodegroupVersion', setting: 'force', is: true }] }],
      span('changes', { policy: policies.two }, { force: true }),
      [],
    ],
    [
      'a setting that needs a policy',
      [{ settings: [{ action: 'kubernetes.drain', setting: 'onDeadline', is: 'delete', policy: 'two' }] }],
      span('changes', { policy: policies.one }, { onDeadline: 'delete' }),
      ['rule-policy rules[0].settings[0]'],
    ],
    [
      'a setting that needs a policy and has it',
      [{ settings: [{ action: 'kubernetes.drain', setting: 'onDeadline', is: 'delete', policy: 'two' }] }],
      span('changes', { policy: policies.two }, { onDeadline: 'delete' }),
      [],
    ],
    [
      'numbers that are too large or too small',
      [
        { settings: [{ action: 'kubernetes.drain', setting: 'nodesAtOnce', above: 10 }] },
        { settings: [{ action: 'kubernetes.drain', setting: 'gracePeriodSeconds', below: 30 }] },
      ],
      span('changes', { policy: policies.one }, { nodesAtOnce: 11, gracePeriodSeconds: 0 }),
      ['rule-setting rules[0].settings[0]', 'rule-setting rules[1].settings[0]'],
    ],
    [
      'numbers that are neither',
      [
        { settings: [{ action: 'kubernetes.drain', setting: 'nodesAtOnce', above: 10 }] },
        { settings: [{ action: 'kubernetes.drain', setting: 'gracePeriodSeconds', below: 30 }] },
      ],
      span('changes', { policy: policies.one }, { nodesAtOnce: 10, gracePeriodSeconds: 30 }),
      [],
    ],
    [
      'a setting that must not be there at all',
      [{ settings: [{ action: 'kubernetes.drain', setting: 'podDeadline' }] }],
      span('changes', { policy: policies.one }, { podDeadline: '1s' }),
      ['rule-setting rules[0].settings[0]'],
    ],
    [
      'a setting whose start would be enough otherwise',
      [{ start: ['dana'], settings: [{ action: 'kubernetes.drain', setting: 'force', is: true, policy: 'one' }] }],
      span('changes', {}, { force: true }),
      ['rule-hold rules[0].settings[0]'],
    ],
  ])('%s', (_title, rules, judged, expected) => {
    expect(judge(book(...rules), judged).map(({ code, rule }) => `${code} ${rule}`)).toEqual(expected);
  });

  test('is said in sentences that name step, action, target, rule and remedy', () => {
    const rules = [{ targets: ['eks/*/prod-*'], operate: ['sre', 'leads'], policy: 'two' }];
    expect(judge(book(...rules), span('changes', { policy: policies.one }))).toEqual([
      {
        code: 'rule-operator',
        step: 'step',
        rule: 'rules[0]',
        reason: `dana may not start kubernetes.drain on ${target}: sre and leads may.`,
        remedy: 'Have one of them start it.',
      },
      {
        code: 'rule-policy',
        step: 'step',
        rule: 'rules[0]',
        reason: `kubernetes.drain changes what is in use on ${target}. It needs the policy two, at least, and one is weaker.`,
        remedy: 'Put a hold of the policy two above it.',
      },
    ]);
  });
});

describe('a policy that is at least as strong as another', () => {
  test.each<[keyof typeof policies, keyof typeof policies, boolean]>([
    ['one', 'one', true],
    ['two', 'one', true],
    ['one', 'two', false],
    ['few', 'one', true],
    ['one', 'few', false],
    ['one', 'anybody', true],
    ['anybody', 'one', false],
    ['reasoned', 'one', true],
    ['one', 'reasoned', false],
  ])('%s for %s: %s', (given, least, expected) => {
    expect(isAtLeast(policies[given], policies[least], book())).toBe(expected);
  });
});

describe('whether a policy of several groups is at least another one', () => {
  const sre = (atLeast: number): Requirement => ({ atLeast, of: 'sre' });
  const leads = (atLeast: number): Requirement => ({ atLeast, of: 'leads' });
  const terms = { name: 'p', exclude: [], reason: 'optional' as const, expiresMs: 1 };
  test.each<[string, Requirement & Partial<PolicyTerms>, Requirement & Partial<PolicyTerms>, boolean]>([
    ['one of each for one of the wider one', { all: [sre(1), leads(1)] }, sre(1), true],
    ['one of each for two of the wider one', { all: [sre(1), leads(1)] }, sre(2), true],
    ['two of the wider one for one of each', sre(2), { all: [sre(1), leads(1)] }, false],
    ['two of the smaller one for one of each', leads(2), { all: [sre(1), leads(1)] }, true],
    ['one of the smaller one for one of each', leads(1), { all: [sre(1), leads(1)] }, false],
    ['either, of which one is too weak', { any: [sre(2), leads(1)] }, sre(2), false],
    ['either, both strong enough', { any: [sre(2), leads(2)] }, sre(2), true],
    ['one of what the other leaves a choice of', leads(1), { any: [leads(1), sre(2)] }, true],
    ['one that takes more rejections', { ...sre(1), deny: 2 }, sre(1), false],
    ['one that takes fewer rejections', sre(1), { ...sre(1), deny: 2 }, true],
    ['one that others may sign later', { ...leads(1), escalate: { afterMs: 1, to: 'sre' } }, leads(1), false],
    [
      'one that the same may sign sooner',
      { ...leads(1), escalate: { afterMs: 1, to: 'sre' } },
      { ...leads(1), escalate: { afterMs: 2, to: 'sre' } },
      false,
    ],
    [
      'one that fewer may sign later',
      { ...leads(1), escalate: { afterMs: 2, to: 'leads' } },
      { ...leads(1), escalate: { afterMs: 1, to: 'sre' } },
      true,
    ],
  ])('%s', (_title, given, least, expected) => {
    expect(isAtLeast({ ...terms, ...given }, { ...terms, ...least }, book())).toBe(expected);
  });
});

test.each([
  ['eks/eu-central-1/prod-a', true],
  ['eks/*/prod-*', true],
  ['*/*/*', true],
  ['eks/eu-*-1/*-a', true],
  ['eks/eu-*-*-*/prod-a', false],
  ['eks/*', false],
  ['*', false],
  ['eks/*/test-*', false],
  ['eks/*/prod-a*a', false],
  ['eks/*/prod-*a', true],
  ['eks/*/PROD-a', false],
  ['eks/.*/prod-a', false],
])('the pattern %s covers eks/eu-central-1/prod-a: %s', (pattern, expected) => {
  expect(matchesTarget(pattern, target)).toBe(expected);
});

test.each<[string, Rule[], string, string | undefined]>([
  ['without rules', [], 'dana', undefined],
  ['by a rule for other targets', [{ targets: ['kubernetes/*'], operate: ['sre'] }], 'dana', undefined],
  ['of the group', [{ operate: ['sre'] }], 'ada', undefined],
  ['outside of it', [{ operate: ['sre'] }], 'dana', `dana may not operate runs on ${target}: sre may.`],
])('commands are taken %s', (_title, rules, person, expected) => {
  expect(refusalOfOperator(book(...rules), target, person)).toBe(expected);
});

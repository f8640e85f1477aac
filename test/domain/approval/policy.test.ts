import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  alternativesOf,
  exclusionOf,
  fulfilmentOf,
  groupsOf,
  policyInWords,
  readRequirement,
  requirementProblem,
  satisfied,
  secondPersonOf,
  shortfallOf,
  type Approval,
  type Parties,
  type Policy,
  type Requirement,
} from '../../../domain/approval/policy.ts';
import { isAtLeast } from '../../../domain/approval/rules.ts';
import { standingOf, type ApprovalRequest, type Decision } from '../../../domain/approval/request.ts';

const terms = { name: 'p', exclude: [], reason: 'optional', expiresMs: 1000 } as const;
const groups = { sre: ['ada', 'grace', 'linus'], dba: ['ada', 'edgar'], leads: ['grace'] };

function parties(requirement: Requirement, rest: Partial<Parties> = {}): Parties {
  const policy: Policy = { ...requirement, ...terms, exclude: [] };
  return { policy, members: [...new Set(Object.values(groups).flat())], groups, requester: 'dana', ...rest };
}
const by = (...people: string[]): Approval[] => people.map((person) => ({ person }));
const oneOfEach: Requirement = {
  all: [
    { atLeast: 1, of: 'sre' },
    { atLeast: 1, of: 'dba' },
  ],
};

describe('who meets a policy of several groups', () => {
  test.each<[string, Requirement, string[], boolean]>([
    ['one of each group', oneOfEach, ['grace', 'edgar'], true],
    ['somebody who is in both, alone', oneOfEach, ['ada'], false],
    ['somebody who is in both, and another', oneOfEach, ['ada', 'grace'], true],
    ['the same two the other way round', oneOfEach, ['ada', 'edgar'], true],
    ['two of one group', oneOfEach, ['grace', 'linus'], false],
    ['one of the ways', { any: [oneOfEach, { atLeast: 1, of: 'leads' }] }, ['grace'], true],
    ['a part of each way', { any: [oneOfEach, { atLeast: 2, of: 'sre' }] }, ['ada'], false],
    ['a chain in which each has to move up', { all: [{ atLeast: 2, of: 'sre' }, oneOfEach] }, ['ada', 'grace', 'linus', 'edgar'], true],
  ])('%s', (_title, requirement, people, expected) => {
    expect(satisfied(parties(requirement), by(...people))).toBe(expected);
  });

  test('what is missing is told in words, with the people who could give it', () => {
    expect(fulfilmentOf(parties(oneOfEach), [])).toMatchObject({
      missing: 2,
      inWords: '1 signature of sre and 1 signature of dba',
      maySign: ['ada', 'grace', 'linus', 'edgar'],
    });
    // ada can stand for either group, so whoever is of one of them helps.
    expect(fulfilmentOf(parties(oneOfEach), by('ada'))).toMatchObject({ missing: 1, maySign: ['grace', 'linus', 'edgar'] });
    expect(fulfilmentOf(parties(oneOfEach), by('grace'))).toMatchObject({
      missing: 1,
      inWords: '1 signature of dba',
      maySign: ['ada', 'edgar'],
    });
    const either: Requirement = { any: [oneOfEach, { atLeast: 2, of: 'leads' }] };
    expect(fulfilmentOf(parties(either), by('grace')).inWords).toBe('1 signature of dba, or 1 signature of leads');
    expect(fulfilmentOf(parties(oneOfEach), by('ada', 'grace'))).toMatchObject({ missing: 0, inWords: '', maySign: [] });
  });

  test('somebody who signs in the place of another counts for them, and each of both once', () => {
    const [forAda, forEdgar] = ['ada', 'edgar'].map((inPlaceOf) => ({ person: 'oscar', inPlaceOf }));
    expect(satisfied(parties({ atLeast: 1, of: 'dba' }), [forAda!])).toBe(true);
    expect(satisfied(parties({ atLeast: 2, of: 'dba' }), [forAda!, forEdgar!])).toBe(false);
    expect(satisfied(parties({ atLeast: 2, of: 'dba' }), [forAda!, ...by('ada')])).toBe(false);
    expect(satisfied(parties({ atLeast: 2, of: 'dba' }), [forAda!, ...by('edgar')])).toBe(true);
    // ada is in both groups: she and whoever signs for her must not fill a place of each.
    expect(satisfied(parties(oneOfEach), [forAda!, ...by('ada')])).toBe(false);
  });

  test('whoever is excluded counts neither themselves nor through somebody else, nor does anybody through them', () => {
    const excluding = (...exclude: string[]): Partial<Parties> => ({ policy: { atLeast: 1, of: 'dba', ...terms, exclude } });
    const policy = excluding('requester').policy;
    const asRequester = { ...parties(oneOfEach), policy: policy!, requester: 'ada' };
    expect(satisfied(asRequester, by('ada'))).toBe(false);
    expect(satisfied(asRequester, [{ person: 'oscar', inPlaceOf: 'ada' }])).toBe(false);
    expect(satisfied(asRequester, [{ person: 'ada', inPlaceOf: 'edgar' }])).toBe(false);
    expect(exclusionOf(parties(oneOfEach, excluding('edgar')), 'edgar')).toBe('person');
    const earlier = parties(oneOfEach, { ...excluding('earlier-approvers'), earlierApprovers: ['ada'] });
    expect(satisfied(earlier, by('ada'))).toBe(false);
    expect(satisfied(earlier, by('edgar'))).toBe(true);
    expect(satisfied(parties(oneOfEach, { askedBy: 'ada' }), by('ada', 'grace'))).toBe(false);
  });

  test('people of the group that it escalates to count from then on, in the place of anybody', () => {
    const policy: Policy = { ...oneOfEach, ...terms, exclude: [], escalate: { afterMs: 1, to: 'leads' } };
    const before = {
      policy,
      members: ['ada', 'edgar', 'zoe'],
      groups: { sre: ['ada'], dba: ['edgar'], leads: ['zoe'] },
      requester: 'dana',
    };
    expect(satisfied(before, by('ada', 'zoe'))).toBe(false);
    expect(satisfied({ ...before, escalatedAt: '2026-11-28T02:00:00Z' }, by('ada', 'zoe'))).toBe(true);
    expect(satisfied({ ...before, escalatedAt: '2026-11-28T02:00:00Z' }, by('zoe'))).toBe(false);
    expect(groupsOf(before, 'zoe')).toEqual([]);
    expect(groupsOf({ ...before, escalatedAt: '2026-11-28T02:00:00Z' }, 'zoe')).toEqual(['leads']);
    const askedFromTheFirst = {
      all: [oneOfEach, { atLeast: 1, of: 'leads' }],
      ...terms,
      exclude: [],
      escalate: { afterMs: 1, to: 'leads' },
    };
    expect(groupsOf({ ...before, policy: askedFromTheFirst }, 'zoe')).toEqual(['leads']);
  });

  test('why nobody can meet it is told', () => {
    const twoOfDba = parties({
      all: [
        { atLeast: 2, of: 'dba' },
        { atLeast: 3, of: 'sre' },
      ],
    });
    expect(shortfallOf(twoOfDba)).toBe(
      'Policy p asks for 2 of dba and 3 of sre, but only 4 of its people may sign for a run of dana. ' +
        'If they all sign, 1 signature of dba or sre is missing.',
    );
    expect(shortfallOf(parties(oneOfEach))).toBeUndefined();
    expect(shortfallOf(parties({ atLeast: 1, of: 'leads' }, { askedBy: 'grace' }))).toMatch(/1 of leads, .* as grace has asked for it\.$/);
  });
});

test('a policy is told in words', () => {
  const requirement: Requirement = { any: [oneOfEach, { atLeast: 2, of: 'leads' }] };
  const exclude = ['requester', 'earlier-approvers', 'oscar'];
  expect(policyInWords({ ...requirement, ...terms, exclude })).toBe(
    '(1 of sre and 1 of dba) or 2 of leads, not the requester, earlier approvers, oscar',
  );
});

test('one other person is one of any of its groups', () => {
  const policy = secondPersonOf({ ...oneOfEach, ...terms, exclude: [] });
  expect(satisfied({ ...parties(oneOfEach), policy }, by('edgar'))).toBe(true);
  expect(satisfied({ ...parties(oneOfEach), policy }, by('oscar'))).toBe(false);
});

describe('the limits of a policy', () => {
  const leaf = { atLeast: 1, of: 'sre' };
  const nested = (depth: number): Requirement => (depth === 0 ? leaf : { all: [nested(depth - 1)] });
  const manyWays: Requirement = { all: Array.from({ length: 7 }, () => ({ any: [leaf, leaf] })) };
  test.each<[string, Requirement, string | undefined]>([
    ['five deep', nested(5), undefined],
    ['six deep', nested(6), '`all` and `any` stand in each other 5 deep at most.'],
    ['twenty-one groups', { any: Array.from({ length: 21 }, () => leaf) }, 'Names 21 groups; at most 20 are allowed.'],
    ['128 ways', manyWays, 'Leaves 128 ways to meet it; at most 64 are allowed.'],
    ['101 signatures', { all: [{ atLeast: 100, of: 'sre' }, leaf] }, 'Asks for 101 signatures; at most 100 are allowed.'],
    ['nothing', { all: [] }, '`all` and `any` need at least one part.'],
  ])('%s', (_title, requirement, problem) => {
    expect(requirementProblem(requirement)).toBe(problem);
    expect(readRequirement(requirement) === undefined).toBe(problem !== undefined);
  });

  test.each([[{}], [{ all: 1 }], [{ all: [{}] }], [{ any: [leaf], all: [leaf] }], [{ atLeast: '1', of: 'sre' }], [[]], ['all'], [null]])(
    '%j is none',
    (value) => {
      expect(readRequirement(value)).toBeUndefined();
    },
  );
});

const people = ['ada', 'bob', 'cleo', 'dana', 'edgar', 'fay'];
const groupNames = ['one', 'two', 'three'];
const somePeople = fc.subarray(people);
const leaves = fc.record({ atLeast: fc.integer({ min: 1, max: 3 }), of: fc.constantFrom(...groupNames) });
const requirements: fc.Arbitrary<Requirement> = fc.letrec<{ any: Requirement }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 2 },
    leaves,
    fc.array(tie('any'), { minLength: 1, maxLength: 3 }).map((all) => ({ all })),
    fc.array(tie('any'), { minLength: 1, maxLength: 3 }).map((any) => ({ any })),
  ),
})).any;

interface Scene {
  request: ApprovalRequest;
  decisions: Decision[];
}

const scenes: fc.Arbitrary<Scene> = fc
  .record({
    requirement: requirements,
    groups: fc.record({ one: somePeople, two: somePeople, three: somePeople, later: somePeople }),
    exclude: fc.subarray(['requester', 'earlier-approvers', 'fay']),
    earlierApprovers: fc.subarray(people, { maxLength: 1 }),
    askedBy: fc.option(fc.constantFrom(...people), { nil: undefined }),
    deny: fc.integer({ min: 1, max: 3 }),
    escalatedAt: fc.option(fc.constant('2026-11-28T02:00:00Z'), { nil: undefined }),
    decisions: fc.array(
      fc.record({
        person: fc.constantFrom(...people, 'mallory'),
        decision: fc.oneof(
          { weight: 9, arbitrary: fc.constant('approve' as const) },
          { weight: 1, arbitrary: fc.constant('reject' as const) },
        ),
        inPlaceOf: fc.oneof(
          { weight: 3, arbitrary: fc.constant(undefined) },
          { weight: 1, arbitrary: fc.constantFrom(...people, 'mallory') },
        ),
      }),
      { maxLength: 6 },
    ),
  })
  .filter(({ requirement }) => requirementProblem(requirement) === undefined)
  .map(({ requirement, groups, exclude, earlierApprovers, askedBy, deny, escalatedAt, decisions }) => {
    const policy: Policy = { ...requirement, ...terms, exclude, deny, escalate: { afterMs: 1, to: 'later' } };
    const members = [...new Set(Object.values(groups).flat())];
    const words = { hold: 'h', number: 1, question: '', planHash: '', requestedAt: '', expiresAt: '' };
    const request = { ...words, policy, members, groups, requester: 'dana', earlierApprovers, askedBy, escalatedAt };
    return { request, decisions: decisions.map((decision) => ({ ...decision, reason: '', at: '', jws: '' })) };
  });

/** The same once more, by trying: every way, every place, everybody who could fill it. */
function metByTrying(
  { policy, groups = {}, requester, askedBy, earlierApprovers, escalatedAt }: Parties,
  approvals: readonly Approval[],
): boolean {
  const isOut = (person: string): boolean =>
    person === askedBy ||
    (policy.exclude.includes('requester') && person === requester) ||
    (policy.exclude.includes('earlier-approvers') && earlierApprovers?.includes(person) === true) ||
    policy.exclude.includes(person);
  const fill = (places: readonly string[], used: readonly string[], left: readonly Approval[]): boolean => {
    const [group, ...rest] = places;
    if (group === undefined) return true;
    return left.some(({ person, inPlaceOf = person }, index) => {
      const isOf = groups[group]?.includes(inPlaceOf) === true || (escalatedAt !== undefined && groups.later?.includes(inPlaceOf) === true);
      if (!isOf || isOut(person) || isOut(inPlaceOf) || used.includes(`by ${person}`) || used.includes(`for ${inPlaceOf}`)) return false;
      const others = left.filter((_, other) => other !== index);
      return fill(rest, [...used, `by ${person}`, `for ${inPlaceOf}`], others);
    });
  };
  return alternativesOf(policy).some((way) =>
    fill(
      way.flatMap(({ atLeast, of }) => Array.from({ length: atLeast }, () => of)),
      [],
      approvals,
    ),
  );
}

const runs = { numRuns: 500 };

describe('for random policies, groups, delegations and decisions', () => {
  test('a policy is met exactly where trying every assignment finds one', () => {
    let met = 0;
    fc.assert(
      fc.property(scenes, ({ request, decisions }) => {
        const isMet = metByTrying(request, decisions);
        if (isMet) met += 1;
        expect(satisfied(request, decisions)).toBe(isMet);
      }),
      runs,
    );
    // Most that is random would meet nothing, and would show little.
    expect(met).toBeGreaterThan(30);
  });

  test('the order of decisions matters for nothing but names', () => {
    fc.assert(
      fc.property(scenes, fc.nat(), ({ request, decisions }, seed) => {
        const shuffled = decisions.map((decision, index) => ({ decision, key: (seed * (index + 7) * 2_654_435_761) % 1_009 }));
        shuffled.sort((one, other) => one.key - other.key);
        const [one, other] = [decisions, shuffled.map(({ decision }) => decision)].map((order) => standingOf(request, order, 0));
        expect(one?.state).toBe(other?.state);
        if (one?.state === 'waiting' && other?.state === 'waiting') expect(one.missing).toBe(other.missing);
      }),
      runs,
    );
  });

  test('another approval never takes away what is met, and brings it no more than one signature nearer', () => {
    fc.assert(
      fc.property(scenes, ({ request, decisions }) => {
        const [first, ...rest] = decisions;
        if (!first) return;
        const before = fulfilmentOf(request, rest).missing;
        const after = fulfilmentOf(request, [...rest, first]).missing;
        expect(before - after).toBeGreaterThanOrEqual(0);
        expect(before - after).toBeLessThanOrEqual(1);
      }),
      runs,
    );
  });

  test('whoever may sign brings it nearer, and whoever is not named does not', () => {
    fc.assert(
      fc.property(scenes, ({ request, decisions }) => {
        const { missing, maySign } = fulfilmentOf(request, decisions);
        const used = decisions.flatMap(({ person, inPlaceOf }) => [person, inPlaceOf]);
        for (const person of people.filter((each) => !used.includes(each))) {
          const after = fulfilmentOf(request, [...decisions, { person }]).missing;
          expect([person, after]).toEqual([person, missing - (maySign.includes(person) ? 1 : 0)]);
        }
      }),
      runs,
    );
  });

  test('nobody counts who is excluded, has rejected or belongs to no group, however many of them there are', () => {
    fc.assert(
      fc.property(scenes, ({ request, decisions }) => {
        const rejecters = decisions.flatMap(({ person, decision }) => (decision === 'reject' ? [person] : []));
        const worthless = decisions.filter(({ person }) => exclusionOf(request, person) !== undefined || rejecters.includes(person));
        const [without, whole] = [decisions.filter((decision) => !worthless.includes(decision)), decisions];
        if (standingOf(request, whole, 0).state === 'approved') expect(standingOf(request, without, 0).state).toBe('approved');
      }),
      runs,
    );
  });

  test('whatever meets a policy meets each one that it is at least as strong as', () => {
    let stronger = 0;
    fc.assert(
      fc.property(scenes, requirements, ({ request, decisions }, requirement) => {
        if (requirementProblem(requirement) !== undefined) return;
        const { escalate: _escalate, ...given } = request.policy;
        const least: Policy = { ...requirement, ...terms, exclude: [] };
        if (!isAtLeast(given, { ...least, deny: 3 }, { groups: request.groups as Record<string, string[]>, people: {} })) return;
        stronger += 1;
        if (satisfied({ ...request, policy: given }, decisions)) expect(satisfied({ ...request, policy: least }, decisions)).toBe(true);
      }),
      runs,
    );
    expect(stronger).toBeGreaterThan(30);
  });

  test('what says that nobody can meet it is right', () => {
    fc.assert(
      fc.property(scenes, ({ request }) => {
        const everybody = people.map((person) => ({ person }));
        expect(shortfallOf(request) === undefined).toBe(metByTrying({ ...request, escalatedAt: 'later' }, everybody));
      }),
      runs,
    );
  });
});

import { describe, expect, test } from '@jest/globals';
import { chooseSource, compareHashes, problemsOfMembers, type EtcdMember, type EtcdStatus } from '../../../domain/etcd/members.ts';

const status: EtcdStatus = {
  clusterId: '13455796455940752355',
  version: '3.7.3',
  revision: 500,
  raftIndex: 1000,
  raftAppliedIndex: 1000,
  leader: '1',
  sizeBytes: 100,
  usedBytes: 100,
  errors: [],
};

function member(id: string, differences: Partial<EtcdMember> = {}, ofStatus: Partial<EtcdStatus> = {}): EtcdMember {
  return {
    id,
    name: `m${id}`,
    endpoint: `https://m${id}:2379`,
    isLearner: false,
    alarms: [],
    status: { ...status, ...ofStatus },
    ...differences,
  };
}

const well = [member('1'), member('2'), member('3')];

test('a cluster whose members are well has no problems, though one of them is a little behind', () => {
  expect(problemsOfMembers(well)).toEqual([]);
  expect(problemsOfMembers([member('1'), member('2', {}, { raftAppliedIndex: 900 }), member('3')])).toEqual([]);
});

describe('what is wrong is told with the member that it is wrong with', () => {
  test.each<[string, EtcdMember[], string, RegExp]>([
    [
      'a member that is silent',
      [member('1'), member('2', { status: undefined, silence: 'connection refused' })],
      'm2',
      /connection refused/,
    ],
    ['one that nobody can ask', [member('1'), member('2', { status: undefined, endpoint: undefined })], 'm2', /`endpoints`/],
    ['an alarm', [member('1'), member('2', { alarms: ['NOSPACE'] })], 'm2', /alarm NOSPACE/],
    ['an alarm of a member that is silent', [member('1'), member('2', { status: undefined, alarms: ['CORRUPT'] })], 'm2', /alarm CORRUPT/],
    ['a learner', [member('1'), member('2', { isLearner: true })], 'm2', /learner/],
    ['lag', [member('1'), member('2', {}, { raftAppliedIndex: 899 })], 'm2', /101 entries behind/],
    ['errors', [member('1'), member('2', {}, { errors: ['etcdserver: slow'] })], 'm2', /slow/],
    ['two clusters', [member('1'), member('2', {}, { clusterId: '7' })], 'cluster', /2 clusters: 13455796455940752355, 7/],
    ['no leader', [member('1', {}, { leader: '0' }), member('2', {}, { leader: '0' })], 'cluster', /no leader/],
    ['two leaders', [member('1'), member('2', {}, { leader: '2' })], 'cluster', /do not agree/],
  ])('%s', (_title, members, name, reason) => {
    const problems = problemsOfMembers(members);
    expect(problems).toContainEqual(expect.objectContaining({ member: name, reason: expect.stringMatching(reason) }));
    expect(problems.every(({ member: one }) => one === name)).toBe(true);
  });

  test('an alarm is told once, of the member that has it, though every member reports it as an error', () => {
    const errors = ['memberID:2  alarm:NOSPACE '];
    const members = [member('1', {}, { errors }), member('2', { alarms: ['NOSPACE'] }, { errors })];
    expect(problemsOfMembers(members)).toHaveLength(1);
  });
});

describe('the source of a snapshot', () => {
  test.each<[string, EtcdMember[], string | undefined]>([
    ['is a follower, the first by name where all are alike', well, 'm2'],
    ['is the follower that is least behind', [member('1'), member('2', {}, { raftAppliedIndex: 990 }), member('3')], 'm3'],
    ['is the leader where the followers lag', [member('1'), member('2', {}, { raftAppliedIndex: 1 })], 'm1'],
    ['is the only member there is', [member('1')], 'm1'],
    ['is no learner', [member('1'), member('2', { isLearner: true })], 'm1'],
    ['is no member with an alarm', [member('1'), member('2', { alarms: ['CORRUPT'] })], 'm1'],
    ['is none that is silent', [member('1'), member('2', { status: undefined })], 'm1'],
    ['is nobody where none is fit', [member('1', { alarms: ['CORRUPT'] })], undefined],
  ])('%s', (_title, members, name) => {
    expect(chooseSource(members)?.name).toBe(name);
  });
});

describe('hashes of members at one revision', () => {
  const hashes = (...values: [number, number][]): Parameters<typeof compareHashes>[0] => {
    return new Map(values.map(([hash, compactRevision], index) => [`m${index + 1}`, { hash, compactRevision, hashRevision: 9 }]));
  };
  test.each<[string, Parameters<typeof compareHashes>[0], unknown]>([
    ['are equal', hashes([7, -1], [7, -1], [7, -1]), 'equal'],
    ['name the member that differs', hashes([7, 2], [7, 2], [8, 2]), { different: ['m3'] }],
    ['name all of them where nobody is right', hashes([7, 2], [8, 2]), { different: ['m1', 'm2'] }],
    ['cannot be compared over a compaction', hashes([7, 2], [8, 5]), 'compacted-meanwhile'],
  ])('%s', (_title, given, expected) => {
    expect(compareHashes(given)).toEqual(expected);
  });
});

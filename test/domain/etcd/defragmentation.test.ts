import { describe, expect, test } from '@jest/globals';
import { isFragmented, nextTurn, withoutNoSpace } from '../../../domain/etcd/defragmentation.ts';
import { problemsOfMembers, type EtcdMember, type EtcdStatus } from '../../../domain/etcd/members.ts';

function statusOf(differences: Partial<EtcdStatus> = {}): EtcdStatus {
  const status = { clusterId: '7', version: '3.7.3', revision: 5, raftIndex: 9, raftAppliedIndex: 9, leader: '2', errors: [] };
  return { ...status, sizeBytes: 200, usedBytes: 100, ...differences };
}

function member(id: string, differences: Partial<EtcdMember> = {}): EtcdMember {
  return { id, name: `m${id}`, endpoint: `http://m${id}:1`, isLearner: false, alarms: [], status: statusOf(), ...differences };
}

describe('a member is worth it', () => {
  test.each([
    ['where the share and the size are reached', 200, 100, true],
    ['not where less is unused', 200, 101, false],
    ['not where the file is small', 99, 0, false],
    ['not where it is empty', 0, 0, false],
  ])('%s', (_title, sizeBytes, usedBytes, isWorthIt) => {
    expect(isFragmented(statusOf({ sizeBytes, usedBytes }), { unusedPercentMin: 50, sizeBytesMin: 100 })).toBe(isWorthIt);
  });
});

describe('the next turn', () => {
  const three = ['1', '2', '3'].map((id) => member(id));
  test.each([
    ['is of a follower, whatever the order', three, ['2', '3'], { defragment: three[2] }],
    ['of the leader hands it over first', three, ['2'], { leader: three[1], handTo: three[0] }],
    ['of the only member is its own', [member('2')], ['2'], { defragment: member('2') }],
    ['is none where nobody is left', three, [], undefined],
    ['is none for a member that is gone', three, ['9'], undefined],
    [
      'hands over to no learner',
      [member('2'), member('4', { isLearner: true }), member('5')],
      ['2'],
      { leader: member('2'), handTo: member('5') },
    ],
  ])('%s', (_title, members, left, turn) => {
    expect(nextTurn(members, left)).toEqual(turn);
  });
});

test('a full store stands in the way of nothing, another alarm does', () => {
  const full = member('1', { alarms: ['NOSPACE'], status: statusOf({ errors: ['memberID:1 alarm:NOSPACE'] }) });
  expect(problemsOfMembers(withoutNoSpace([full, member('2')]))).toEqual([]);
  expect(problemsOfMembers(withoutNoSpace([member('1', { alarms: ['CORRUPT', 'NOSPACE'] }), member('2')]))).toHaveLength(1);
});

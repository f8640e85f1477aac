import { expect, test } from '@jest/globals';
import type { EtcdMember, EtcdStatus } from '../../../domain/etcd/members.ts';
import { hexadecimal, stageOf } from '../../../domain/etcd/replacement.ts';

const peerUrl = 'https://m9:2380';
const replacement = { outgoingId: '3', peerUrl };

function statusAt(raftAppliedIndex: number): EtcdStatus {
  const status = { clusterId: '7', version: '3.7.3', revision: 5, raftIndex: 1000, leader: '1', sizeBytes: 1, usedBytes: 1, errors: [] };
  return { ...status, raftAppliedIndex };
}

function member(id: string, differences: Partial<EtcdMember> = {}): EtcdMember {
  return {
    id,
    name: `m${id}`,
    endpoint: 'x',
    peerUrls: [`https://m${id}:2380`],
    isLearner: false,
    alarms: [],
    status: statusAt(1000),
    ...differences,
  };
}

const rest = [member('1'), member('2')];

test.each<[string, EtcdMember[], string]>([
  ['the old one is there', [...rest, member('3')], 'remove'],
  ['the old one is there at the address of the new one', [...rest, member('3', { peerUrls: [peerUrl] })], 'remove'],
  ['nobody is announced', rest, 'add'],
  ['it was not started', [...rest, member('9', { isLearner: true, endpoint: undefined, status: undefined })], 'start'],
  ['it is behind', [...rest, member('9', { isLearner: true, status: statusAt(899) })], 'catch-up'],
  ['it is near enough', [...rest, member('9', { isLearner: true, status: statusAt(900) })], 'promote'],
  ['it votes, and does not answer', [...rest, member('9', { status: undefined })], 'start'],
  ['it votes', [...rest, member('9')], 'done'],
])('a replacement where %s', (_title, members, stage) => {
  expect(stageOf(members, replacement, 100).stage).toBe(stage);
});

test('etcdctl takes ids in hexadecimal digits, with all of their places', () => {
  expect(hexadecimal('13455796455940752355')).toBe(BigInt('13455796455940752355').toString(16));
  expect(hexadecimal('10')).toBe('a');
});

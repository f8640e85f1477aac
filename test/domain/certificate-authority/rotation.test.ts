import { describe, expect, test } from '@jest/globals';
import {
  activationProblem,
  datesOf,
  deletionProblem,
  olderNodes,
  rollbackProblem,
  signerOf,
  successorOf,
  type CertificateAuthority,
} from '../../../domain/certificate-authority/rotation.ts';
import { pinnedTo } from '../../../domain/certificate-authority/trust-bundle.ts';

function authority(differences: Partial<CertificateAuthority> = {}): CertificateAuthority {
  const base = { id: 'old', createdAt: '2020-01-01T00:00:00.000Z', createdBy: 'EKS', activatedAt: '2020-01-01T00:00:00.000Z' };
  return { ...base, signing: 'IN_USE', distribution: 'COMPLETE', data: '', ...differences };
}

const fresh: Partial<CertificateAuthority> = {
  id: 'new',
  createdAt: '2026-11-28T10:00:00.000Z',
  createdBy: 'CUSTOMER',
  activatedAt: undefined,
  signing: 'NOT_USED',
};
const old = authority();
const successor = authority(fresh);
const activated = authority({ ...fresh, signing: 'IN_USE', activatedAt: '2026-11-28T11:00:00.000Z' });
const retired = authority({ signing: 'NOT_USED' });

test('the successor is the one that is newer than the one that signs, also after a rollback', () => {
  expect([signerOf([old, successor])?.id, successorOf([old, successor])?.id]).toEqual(['old', 'new']);
  expect([signerOf([retired, activated])?.id, successorOf([retired, activated])?.id]).toEqual(['new', undefined]);
  const rolledBack = authority({ ...fresh, activatedAt: '2026-11-28T11:00:00.000Z' });
  expect(successorOf([old, rolledBack])?.id).toBe('new');
  expect([signerOf([]), successorOf([successor])]).toEqual([undefined, undefined]);
});

describe('what can be activated', () => {
  test.each([
    ['a successor that is distributed', successor, [old, successor], undefined],
    ['one that is being distributed', authority({ ...fresh, distribution: 'IN_PROGRESS' }), [old], /still distributing new/],
    ['one whose distribution has failed', authority({ ...fresh, distribution: 'FAILED' }), [old], /is FAILED, not COMPLETE/],
    ['one that is being deleted', authority({ ...fresh, distribution: 'DELETING' }), [old], /is DELETING, not COMPLETE/],
    ['one of which EKS says nothing', authority({ ...fresh, distribution: 'unknown' }), [old], /is unknown, not COMPLETE/],
    ['the one before, in time', authority({ signing: 'NOT_USED', rollbackAvailable: true }), [activated], undefined],
    ['the one before, too late', authority({ signing: 'NOT_USED', rollbackAvailable: false }), [activated], /rollbackAvailable is false/],
    ['the one before, where EKS says nothing', retired, [activated], undefined],
  ] as const)('%s', (_title, wanted, others, reason) => {
    const problem = activationProblem(wanted, [wanted, ...others]);
    if (reason === undefined) expect(problem).toBeUndefined();
    else expect(problem?.reason).toMatch(reason);
  });

  test('either of the two authorities may say that a rollback is available', () => {
    expect(rollbackProblem({ ...retired, rollbackAvailable: false }, { ...activated, rollbackAvailable: true })).toBeUndefined();
  });
});

describe('what can be deleted', () => {
  test.each([
    ['the outgoing one', retired, [activated], undefined],
    ['the one that signs', old, [successor], /signs certificates \(IN_USE\)/],
    ['one that is being activated', authority({ ...fresh, signing: 'ACTIVATING' }), [old], /ACTIVATING/],
    ['one that is being distributed', authority({ ...fresh, distribution: 'IN_PROGRESS' }), [old], /still distributing/],
    ['one whose distribution has failed', authority({ ...fresh, distribution: 'FAILED' }), [old], undefined],
    ['a successor of a person', successor, [old], undefined],
    ['the only successor, which EKS has appended', authority({ ...fresh, createdBy: 'EKS' }), [old], /keeps it as the only successor/],
  ] as const)('%s', (_title, going, others, reason) => {
    const problem = deletionProblem(going, [going, ...others]);
    if (reason === undefined) expect(problem).toBeUndefined();
    else expect(problem?.reason).toMatch(reason);
  });
});

describe('the nodes that have to be replaced', () => {
  const node = (name: string, createdAt: string, labels: Record<string, string> = {}) => ({ name, createdAt, labels });
  test.each([
    ['that joined before the successor', node('a', '2026-11-28T09:59:59Z'), ['Node/a']],
    ['that joined so soon after it that they may have booted before', node('a', '2026-11-28T10:04:59Z'), ['Node/a']],
    ['that joined later', node('a', '2026-11-28T10:05:00Z'), []],
    ['whose time cannot be read', node('a', ''), ['Node/a']],
    ['of a node group', node('a', '2025-01-01T00:00:00Z', { 'eks.amazonaws.com/nodegroup': 'blue' }), ['Nodegroup/demo/blue']],
    ['of Karpenter', node('a', '2025-01-01T00:00:00Z', { 'karpenter.sh/nodepool': 'general' }), ['NodePool/general']],
    ['of Fargate', node('a', '2025-01-01T00:00:00Z', { 'eks.amazonaws.com/compute-type': 'fargate' }), []],
    ['of Auto Mode', node('a', '2025-01-01T00:00:00Z', { 'eks.amazonaws.com/compute-type': 'auto' }), []],
    ['of hybrid nodes', node('a', '2025-01-01T00:00:00Z', { 'eks.amazonaws.com/compute-type': 'hybrid' }), ['Node/a']],
  ])('%s', (_title, one, owners) => {
    expect(olderNodes([one], successor, 'demo').map(({ owner }) => owner)).toEqual(owners);
  });

  test('are named by what brings them up, sorted', () => {
    const labels = { 'eks.amazonaws.com/nodegroup': 'blue' };
    const nodes = [node('c', ''), node('b', '', labels), node('a', '', labels)];
    expect(olderNodes(nodes, successor, 'demo')).toEqual([
      { owner: 'Node/c', nodes: ['c'] },
      { owner: 'Nodegroup/demo/blue', nodes: ['a', 'b'] },
    ]);
  });
});

test('the dates say until when things can wait', () => {
  const dated = { ...successor, mayBeActivatedFrom: '2029-06-01T00:00:00.000Z', isActivatedBy: '2029-11-01T00:00:00.000Z' };
  expect(datesOf([{ ...old, validUntil: '2030-01-01T00:00:00.000Z' }, dated])).toEqual([
    'old, which signs now, is valid until 2030-01-01T00:00:00.000Z.',
    'EKS may activate new by itself from 2029-06-01T00:00:00.000Z, and does so by 2029-11-01T00:00:00.000Z.',
  ]);
  expect(datesOf([old, successor])).toEqual([]);
});

describe('bundles that are pinned to the outgoing authority', () => {
  const pem = (body: string): string => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const [outgoing, incoming] = [{ data: base64(pem('T0xE')) }, { data: base64(pem('TkVX')) }];
  test.each([
    ['the outgoing one only', base64(pem('T0xE')), true],
    ['the outgoing one in other lines', base64(pem('T0\nxE')), true],
    ['the outgoing one beside a third one', base64(pem('T0xE') + pem('T1RI')), true],
    ['both', base64(pem('T0xE') + pem('TkVX')), false],
    ['another one', base64(pem('T1RI')), false],
    ['nothing', '', false],
    ['no Base64', '?', false],
    ['no PEM', base64('hello'), false],
  ])('%s', (_title, data, isPinned) => {
    const object = 'APIService/v1.example.com';
    expect(pinnedTo([{ object, data }], outgoing, incoming)).toEqual(isPinned ? [object] : []);
  });

  test('are named once, and nothing is said where a certificate is unknown', () => {
    const bundle = { object: 'APIService/b', data: outgoing.data };
    expect(pinnedTo([bundle, bundle, { ...bundle, object: 'APIService/a' }], outgoing, incoming)).toEqual(['APIService/a', 'APIService/b']);
    expect(pinnedTo([bundle], outgoing, { data: '' })).toEqual([]);
  });
});

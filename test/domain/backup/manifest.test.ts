import { describe, expect, test } from '@jest/globals';
import { digestOfManifest, manifestFormat, nameOfBackup, problemsOfChain, type BackupManifest } from '../../../domain/backup/manifest.ts';

const digest = { sha256: `sha256:${'0'.repeat(64)}`, bytes: 1 };

function manifest(sequence: number, before: BackupManifest | undefined, revision = sequence * 10, clusterId = '7'): BackupManifest {
  const statement = {
    ...{ target: 'etcd/lab', clusterId, run: `r-${sequence}`, step: 'backup', takenAt: '2026-11-29T00:00:00Z', member: 'm1' },
    ...{ etcdVersion: '3.7.3', revision, compactRevision: -1, hashKv: 5, equalTo: ['m1', 'm2'], keys: 3, snapshot: digest },
  };
  return { format: manifestFormat, sequence, previous: before ? digestOfManifest(before) : null, statement, file: digest, key: 'k' };
}

const first = manifest(1, undefined);
const second = manifest(2, first);
const third = manifest(3, second);
const edited = { ...second, statement: { ...second.statement, takenAt: '2026-11-30T00:00:00Z' } };

test('the names of backups sort as they follow each other', () => {
  expect([nameOfBackup(9), nameOfBackup(10), nameOfBackup(1_234_567)]).toEqual(['000009', '000010', '1234567']);
});

describe('the chain of manifests', () => {
  test.each<[string, BackupManifest[], RegExp | undefined]>([
    ['is whole', [first, second, third], undefined],
    ['is whole where nothing was written between two backups', [first, manifest(2, first, 10)], undefined],
    ['is whole where there is none', [], undefined],
    ['has a gap', [first, third], /^000003 stands where 000002 should be: the chain has a gap$/],
    ['has lost its beginning', [second, third], /^000002 stands where 000001 should be/],
    ['was changed in the middle', [first, edited, third], /^000002 is not the manifest that 000003 names before it/],
    ['begins with one that follows another', [{ ...first, previous: 'sha256:00' }], /^000001 is the first one/],
    ['goes back', [first, manifest(2, first, 9)], /^000002: its revision 9 is older than 10/],
    ['is of two clusters', [first, manifest(2, first, 20, '8')], /^000002: it is of the cluster 8, and the backups before it are of 7$/],
  ])('%s', (_title, manifests, problem) => {
    const problems = problemsOfChain(manifests);
    if (problem) expect(problems[0]).toMatch(problem);
    else expect(problems).toEqual([]);
  });
});

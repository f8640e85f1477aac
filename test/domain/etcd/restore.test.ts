import { expect, test } from '@jest/globals';
import { bumpRevisionFor, exchangeStageOf, restorePathsOf } from '../../../domain/etcd/restore.ts';

test('which of three directories are there says how far an exchange is; whatever no step of it leaves is unknown', () => {
  const stages = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) =>
    exchangeStageOf({ data: (bits & 4) > 0, restored: (bits & 2) > 0, kept: (bits & 1) > 0 }),
  );
  expect(stages).toEqual(['unknown', 'unknown', 'unknown', 'between', 'unknown', 'after', 'before', 'unknown']);
});

test('all that a restore makes stands beside the data, under the name of its run', () => {
  const { data, ...made } = restorePathsOf('/var/lib/etcd', 'r-1');
  expect(data).toBe('/var/lib/etcd');
  for (const path of Object.values(made)) expect(path).toMatch(/^\/var\/lib\/etcd\.(restored|before)-r-1/);
  expect(new Set(Object.values(made)).size).toBe(5);
});

test.each([
  [5, 1_000_000_000],
  [4_999_999_999, 1_000_000_000],
  [10_000_000_001, 2_000_000_001],
])('revisions after %i are raised by %i', (revision, bump) => {
  expect(bumpRevisionFor(revision)).toBe(bump);
});

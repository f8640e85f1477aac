import { describe, expect, test } from '@jest/globals';
import { sizeOf, type Database, type DatabaseInstance } from '../../../domain/database/database.ts';
import { bestReader, unfitnessOf } from '../../../domain/database/reader-fitness.ts';

function instance(name: string, differences: Partial<DatabaseInstance> = {}): DatabaseInstance {
  const ca = { certificateAuthority: 'rds-ca-rsa2048-g1' };
  const fixed = {
    instanceClass: 'db.r6g.xlarge',
    zone: 'z',
    engineVersion: '16.4',
    promotionTier: 1,
    parameterGroupStatus: 'in-sync',
    ...ca,
  };
  return { name, resourceId: `db-${name}`, isWriter: false, status: 'available', pendingChanges: [], ...fixed, ...differences };
}

const writer = instance('a', { isWriter: true });
const limits = { lagMaxMs: 1_000, acceptsSmaller: false };
const known = { lag: { lagMs: 20 }, maintenance: [] };

function problemsOf(differences: Partial<DatabaseInstance>, more = known as Parameters<typeof unfitnessOf>[2], own = limits): string {
  const reader = instance('b', differences);
  const version = { engine: 'e', engineVersion: '16.4', pendingChanges: [] };
  const database: Database = { name: 'o', resourceId: 'c', status: 'available', ...version, instances: [writer, reader] };
  return unfitnessOf(reader, database, more, own)
    .map(({ reason }) => reason)
    .join(' ');
}

describe('whether a reader is fit to become the writer', () => {
  test.each<[string, string, RegExp]>([
    ['fit', problemsOf({}), /^$/],
    ['larger', problemsOf({ instanceClass: 'db.r7g.2xlarge' }), /^$/],
    ['smaller', problemsOf({ instanceClass: 'db.r6g.large' }), /class is smaller/],
    ['smaller, and people sign for it', problemsOf({ instanceClass: 'db.r6g.large' }, known, { ...limits, acceptsSmaller: true }), /^$/],
    ['not to be compared', problemsOf({ instanceClass: 'db.r6g.metal' }), /which is larger is not known/],
    ['serverless of a late tier', problemsOf({ instanceClass: 'db.serverless', promotionTier: 2 }), /promotion tier 2/],
    ['a status nobody knows', problemsOf({ status: 'storage-optimization' }), /status is storage-optimization/],
    ['parameters wait', problemsOf({ parameterGroupStatus: 'pending-reboot' }), /parameter group is pending-reboot/],
    ['another version', problemsOf({ engineVersion: '16.3' }), /engine version is 16\.3/],
    ['changes wait', problemsOf({ pendingChanges: ['DBInstanceClass'] }), /wait for its maintenance window: DBInstanceClass/],
    ['maintenance', problemsOf({}, { ...known, maintenance: ['system-update'] }), /has its time already: system-update/],
    ['lags', problemsOf({}, { ...known, lag: { lagMs: 1_001 } }), /lags by more than 1000 ms/],
    ['lags by who knows what', problemsOf({}, { ...known, lag: undefined }), /not known/],
  ])('%s', (_title, found, wanted) => {
    expect(found).toMatch(wanted);
  });

  test('the best one has the same class, then the first tier, then the first name', () => {
    const readers = [
      instance('e', { instanceClass: 'db.r6g.2xlarge', promotionTier: 0 }),
      instance('d'),
      instance('c'),
      instance('b', { promotionTier: 2 }),
    ];
    const judged = readers.map((reader) => ({ reader, problems: [] as { reason: string; remedy: string }[] }));
    expect(bestReader(judged, writer)?.name).toBe('c');
    const unfit = judged.map((one) => ({ ...one, problems: one.reader.name === 'e' ? [] : [{ reason: 'r', remedy: 'm' }] }));
    expect(bestReader(unfit, writer)?.name).toBe('e');
    expect(bestReader([], writer)).toBeUndefined();
  });

  test.each([
    ['db.t4g.medium', 1],
    ['db.r6g.large', 2],
    ['db.r6g.xlarge', 4],
    ['db.r6g.16xlarge', 64],
    ['db.serverless', undefined],
  ])('size of %s', (name, size) => {
    expect(sizeOf(name)).toBe(size);
  });
});

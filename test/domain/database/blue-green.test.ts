import { describe, expect, test } from '@jest/globals';
import {
  creationStanding,
  deletionStanding,
  switchoverStanding,
  type BlueGreen,
  type BlueGreenDeletionFacts,
  type SwitchoverFacts,
} from '../../../domain/database/blue-green.ts';
import type { Database } from '../../../domain/database/database.ts';

const deployment: BlueGreen = {
  ...{ id: 'bgd-1', name: 'to-17', status: 'AVAILABLE', statusDetails: '', source: 'orders', target: 'orders-green-x', run: 'r-1' },
  tasks: [{ name: 'CONFIGURE_BACKUPS', status: 'COMPLETED' }],
  memberStatuses: ['AVAILABLE', 'AVAILABLE'],
};

function cluster(name: string, resourceId: string, status = 'available', instanceStatus = 'available'): Database {
  const instance = {
    ...{
      name: `${name}-a`,
      resourceId: `${resourceId}-a`,
      isWriter: true,
      status: instanceStatus,
      instanceClass: 'db.r6g.large',
      zone: 'a',
    },
    ...{ engineVersion: '17.4', promotionTier: 1, parameterGroupStatus: 'in-sync', certificateAuthority: 'c', pendingChanges: [] },
  };
  return { name, resourceId, status, engine: 'aurora-postgresql', engineVersion: '17.4', pendingChanges: [], instances: [instance] };
}

describe('a green cluster', () => {
  const green = cluster('orders-green-x', 'green');
  const cases: [string, Partial<BlueGreen> | undefined, Database | undefined, string, RegExp][] = [
    ['that is not asked for', undefined, undefined, 'todo', /no blue\/green deployment/],
    ['with everything', {}, green, 'done', /follows with 17.4/],
    ['that RDS calls available too early', { tasks: [{ name: 'T', status: 'IN_PROGRESS' }] }, green, 'moving', /T IN_PROGRESS/],
    ['whose pairs are not ready', { memberStatuses: ['AVAILABLE', 'PROVISIONING'] }, green, 'moving', /AVAILABLE/],
    [
      'whose instance is not ready',
      {},
      cluster('g', 'green', 'available', 'storage-optimization'),
      'moving',
      /g-a is storage-optimization/,
    ],
    ['in a status that is new', { status: 'WARMING' }, green, 'moving', /WARMING/],
    ['of another run', { run: 'r-2' }, green, 'stuck', /which this run has not made/],
    ['of nobody known', { run: undefined }, green, 'stuck', /which this run has not made/],
    ['that cannot follow', { status: 'INVALID_CONFIGURATION', statusDetails: 'no key' }, green, 'stuck', /RDS says "no key"/],
    ['with a failed task', { tasks: [{ name: 'T', status: 'FAILED' }] }, green, 'stuck', /its task T has failed/],
    ['that somebody switches over', { status: 'SWITCHOVER_IN_PROGRESS' }, green, 'stuck', /Somebody else/],
  ];
  test.each(cases)('%s', (_what, changed, seen, state, words) => {
    const standing = creationStanding('r-1', 'to-17', changed && { ...deployment, ...changed }, seen);
    expect(standing.state).toBe(state);
    expect(JSON.stringify(standing).replaceAll('\\\\"', '"').replaceAll('\\"', '"')).toMatch(words);
  });
});

describe('a switchover', () => {
  const facts: SwitchoverFacts = {
    ...{ deployment: 'bgd-1', name: 'to-17', blueResourceId: 'blue', greenResourceId: 'green' },
    ...{ engineVersion: '17.4', timeoutSeconds: 300 },
  };
  const [blue, green] = [cluster('orders', 'blue'), cluster('orders', 'green')];
  const gone = { id: 'none' };
  const cases: [string, Partial<BlueGreen> | undefined, Database, number | undefined, boolean, string][] = [
    ['not begun', {}, blue, undefined, false, 'todo'],
    ['after one that failed before', { status: 'SWITCHOVER_FAILED' }, blue, undefined, true, 'todo'],
    ['asked for, and nothing shows', {}, blue, 1_000, false, 'moving'],
    ['asked for long ago, and nothing shows', {}, blue, 200_000, false, 'stuck'],
    ['asked for, and rolled back', { status: 'SWITCHOVER_FAILED' }, blue, 1_000, false, 'stuck'],
    ['asked for again, and the old failure still shows', { status: 'SWITCHOVER_FAILED' }, blue, 1_000, true, 'moving'],
    ['in progress', { status: 'SWITCHOVER_IN_PROGRESS' }, blue, undefined, false, 'moving'],
    ['with the name, and not yet completed', { status: 'SWITCHOVER_IN_PROGRESS' }, green, 1_000, false, 'moving'],
    ['completed by the status alone', { status: 'SWITCHOVER_COMPLETED' }, blue, 1_000, false, 'moving'],
    ['completed by the status alone for long', { status: 'SWITCHOVER_COMPLETED' }, blue, 200_000, false, 'stuck'],
    ['with the name alone', {}, green, 1_000, false, 'moving'],
    ['completed', { status: 'SWITCHOVER_COMPLETED' }, green, 1_000, false, 'done'],
    ['completed, and the deployment is gone', undefined, green, undefined, false, 'done'],
    [
      'completed, and an instance is not back',
      { status: 'SWITCHOVER_COMPLETED' },
      cluster('orders', 'green', 'available', 'rebooting'),
      1,
      false,
      'moving',
    ],
    ['of a cluster that was replaced', {}, cluster('orders', 'other'), undefined, false, 'stuck'],
    ['of a deployment that was replaced', gone, blue, undefined, false, 'stuck'],
    ['of a deployment that is gone', undefined, blue, undefined, false, 'stuck'],
    ['of one that cannot follow any more', { status: 'INVALID_CONFIGURATION' }, blue, undefined, false, 'stuck'],
  ];
  test.each(cases)('%s', (_what, changed, database, askedMsAgo, failedBefore, state) => {
    const scene = { deployment: changed && { ...deployment, ...changed }, database, askedMsAgo, failedBefore };
    expect(switchoverStanding(facts, scene).state).toBe(state);
  });
});

describe('a deletion', () => {
  const facts: BlueGreenDeletionFacts = {
    ...{ deployment: 'bgd-1', name: 'to-17', kind: 'old', finalSnapshot: 'f' },
    doomed: { name: 'orders-old1', resourceId: 'blue' },
  };
  const old = { ...cluster('orders-old1', 'blue'), isProtected: false };
  const over = { ...deployment, status: 'SWITCHOVER_COMPLETED' };
  const gone = { ...cluster('orders-old1', 'blue', 'available', 'deleting'), isProtected: false };
  type Seen = Parameters<typeof deletionStanding>[1]['doomed'];
  const cases: [string, Partial<BlueGreenDeletionFacts>, BlueGreen | undefined, Seen, string, string | undefined][] = [
    ['begins with the deployment', {}, over, old, 'todo', 'deployment'],
    ['waits for it', {}, { ...over, status: 'DELETING' }, old, 'moving', undefined],
    ['goes on with the instances', {}, undefined, old, 'todo', 'instances'],
    ['and then with the cluster', {}, undefined, gone, 'todo', 'cluster'],
    ['is over when that is gone', {}, undefined, undefined, 'done', undefined],
    ['never touches another cluster of the name', {}, undefined, { ...old, resourceId: 'other' }, 'done', undefined],
    ['stops at protection', {}, undefined, { ...old, isProtected: true }, 'stuck', undefined],
    ['stops where the green cluster was planned to go, and serves by now', { kind: 'green' }, over, old, 'stuck', undefined],
    ['stops where it was not switched over', {}, deployment, old, 'stuck', undefined],
    ['has nothing to do', { deployment: null }, undefined, undefined, 'done', undefined],
  ];
  test.each(cases)('%s', (_what, changed, seen, doomed, state, next) => {
    expect(deletionStanding({ ...facts, ...changed }, { deployment: seen, doomed })).toMatchObject({ state, ...(next && { next }) });
  });
});

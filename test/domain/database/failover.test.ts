import { describe, expect, test } from '@jest/globals';
import type { Database, DatabaseInstance } from '../../../domain/database/database.ts';
import { failoverStanding, readFailoverEvent, type FailoverFacts, type FailoverScene } from '../../../domain/database/failover.ts';

const before = '2026-11-29T06:00:00.000Z';
const later = '2026-11-29T07:00:00.000Z';
const facts: FailoverFacts = {
  databaseResourceId: 'cluster-A',
  from: { name: 'a', resourceId: 'db-a' },
  to: { name: 'b', resourceId: 'db-b' },
  lastFailoverAt: before,
  waitForFailover: false,
};
const started = 'Started cross AZ failover to DB instance: b';
const completed = 'Completed failover to DB instance: b';
const failed = 'Cluster failover failed, check the health of your cluster instances and try again.';
const returned = 'Promoting previous primary again: a';

function instance(name: string, isWriter: boolean, status = 'available'): DatabaseInstance {
  const ca = { certificateAuthority: 'rds-ca-rsa2048-g1' };
  const fixed = {
    instanceClass: 'db.r6g.large',
    zone: 'z',
    engineVersion: '16.4',
    promotionTier: 1,
    parameterGroupStatus: 'in-sync',
    ...ca,
  };
  return { name, resourceId: `db-${name}`, isWriter, status, pendingChanges: [], ...fixed };
}

function databaseWith(writers: string, status = 'available'): Database {
  const instances = ['a', 'b', 'c'].map((name) => instance(name, writers.includes(name)));
  const version = { engine: 'aurora-postgresql', engineVersion: '16.4', pendingChanges: [] };
  return { name: 'orders', resourceId: 'cluster-A', status, ...version, instances };
}

function standing(
  writers: string,
  messages: string[],
  more: Partial<FailoverScene> & { status?: string; facts?: Partial<FailoverFacts> } = {},
) {
  const { status, facts: differences, ...scene } = more;
  const events = messages.map((message) => readFailoverEvent(message, later));
  const all = { database: databaseWith(writers, status), events, asked: false, failuresAccepted: 0, ...scene };
  return failoverStanding({ ...facts, ...differences }, all);
}

describe('how a failover stands', () => {
  test.each<[string, ReturnType<typeof standing>, string]>([
    ['nothing has begun', standing('a', []), 'todo'],
    ['only events of before the plan', standing('a', [], { events: [readFailoverEvent(completed, before)] }), 'todo'],
    ['asked, and nothing to be seen', standing('a', [], { asked: true }), 'unclear'],
    ['asked, and the cluster is busy with whatever', standing('a', [], { asked: true, status: 'some-new-status' }), 'moving'],
    ['busy, and not by this step', standing('a', [], { status: 'modifying' }), 'stuck'],
    ['failing over, whoever has asked', standing('a', [started], { status: 'failing-over' }), 'moving'],
    ['begun, and no word of the end', standing('a', [started]), 'unclear'],
    ['members and event agree', standing('b', [started, completed]), 'done'],
    ['members only', standing('b', [started]), 'unclear'],
    ['an event only', standing('a', [started, completed]), 'stuck'],
    ['an event of before and members', standing('b', [], { events: [readFailoverEvent(completed, before)] }), 'unclear'],
    ['another reader was promoted', standing('c', [started]), 'stuck'],
    ['no writer', standing('', []), 'unclear'],
    ['two writers', standing('ab', [started]), 'unclear'],
    ['RDS has given up', standing('a', [started, failed]), 'stuck'],
    ['RDS has given up, told in two events', standing('a', [started, failed, returned], { failuresAccepted: 1 }), 'todo'],
    ['given up, and an operator tries again', standing('a', [started, failed], { failuresAccepted: 1 }), 'todo'],
    ['given up a second time', standing('a', [started, failed, started, failed], { failuresAccepted: 1 }), 'stuck'],
    ['begun again after a failure', standing('a', [started, failed, started], { failuresAccepted: 1 }), 'unclear'],
    ['somebody has failed over elsewhere and back', standing('a', ['Completed failover to DB instance: a']), 'stuck'],
    ['another cluster of that name', standing('a', [], { facts: { databaseResourceId: 'cluster-B' } }), 'stuck'],
    ['another instance of that name', standing('a', [], { facts: { to: { name: 'b', resourceId: 'db-x' } } }), 'stuck'],
    ['nothing was to be done', standing('a', [], { facts: { to: facts.from } }), 'done'],
    ['undone while it was moving', standing('b', [], { status: 'failing-over', facts: { waitForFailover: true } }), 'moving'],
    ['undone after it has failed', standing('b', [failed], { facts: { waitForFailover: true } }), 'done'],
  ])('%s', (_title, found, wanted) => {
    expect(found.state).toBe(wanted);
  });

  test('is not over until the old writer is back', () => {
    const database = databaseWith('b');
    const instances = database.instances.map((one) => (one.name === 'a' ? { ...one, status: 'rebooting' } : one));
    const wanted = { state: 'unclear', reason: expect.stringContaining('a has not come back as a reader: it is rebooting') };
    expect(standing('b', [completed], { database: { ...database, instances } })).toMatchObject(wanted);
    // Nor is it undone before that.
    const back = { from: facts.to, to: facts.from, waitForFailover: true };
    expect(standing('b', [], { database: { ...database, instances }, facts: back })).toMatchObject(wanted);
    expect(standing('b', [], { facts: back })).toEqual({ state: 'todo' });
  });

  test.each([
    ['Started same AZ failover to DB instance: orders-2', { kind: 'started', instance: 'orders-2' }],
    ['completed failover to DB instance: orders-2.', { kind: 'completed', instance: 'orders-2' }],
    [returned, { kind: 'failed', instance: 'a' }],
    ['A new writer was promoted, restarting as a reader.', { kind: 'other' }],
  ])('an event: %s', (message, wanted) => {
    expect(readFailoverEvent(message, later)).toMatchObject(wanted);
  });
});

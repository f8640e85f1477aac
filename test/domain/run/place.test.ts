import { expect, test } from '@jest/globals';
import { placeOf, queueAt } from '../../../domain/run/place.ts';

const target = { kind: 'etcd', region: '', name: 'prod' };

test('a place is given by the action, or by an input of the step and its target; two clusters never share one', () => {
  expect(placeOf(undefined, { member: 'm1' }, target)).toBeUndefined();
  expect(placeOf('etcd-a', { member: 'm1' }, target)).toBe('etcd-a');
  expect(placeOf({ input: 'member' }, { member: 'm1' }, target)).toBe('etcd/prod/m1');
  expect(placeOf({ input: 'member' }, { member: 'm1' }, { ...target, name: 'prod.m1' })).not.toBe(
    placeOf({ input: 'member' }, { member: 'm1.m1' }, target),
  );
  expect(queueAt('holdpoint', 'etcd/prod/m1')).toBe('holdpoint.etcd/prod/m1');
});

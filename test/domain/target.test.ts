import { expect, test } from '@jest/globals';
import { formatTarget, TargetError } from '../../domain/target.ts';
import { parseTarget } from '../../runbooks/targets.ts';

test.each([
  ['eks/eu-central-1/demo', { kind: 'eks', region: 'eu-central-1', name: 'demo' }],
  ['eks/us-gov-west-1/Prod_2', { kind: 'eks', region: 'us-gov-west-1', name: 'Prod_2' }],
  ['kubernetes/lab', { kind: 'kubernetes', region: '', name: 'lab' }],
  ['kubernetes/on-premises.prod_2', { kind: 'kubernetes', region: '', name: 'on-premises.prod_2' }],
])('%s is a target, and is written as it was read', (text, target) => {
  expect(parseTarget(text)).toEqual(target);
  expect(formatTarget(parseTarget(text))).toBe(text);
});

test.each([
  '',
  'eks',
  'eks/eu-central-1',
  'etcd/eu-central-1/demo',
  'rds/eu-central-1',
  'rds/eu-central-1/-a',
  'eks/eu-central-1/demo/x',
  'eks//demo',
  'kubernetes',
  'kubernetes/',
  'kubernetes/Lab',
  'kubernetes/eu-central-1/lab',
  'eks/EU/demo',
  'eks/eu-central-1/-a',
  `eks/eu-central-1/${'a'.repeat(101)}`,
])('"%s" is no target', (text) => {
  expect(() => parseTarget(text)).toThrow(TargetError);
});

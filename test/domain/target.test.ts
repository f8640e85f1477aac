import { expect, test } from '@jest/globals';
import { formatTarget, parseTarget, TargetError } from '../../domain/target.ts';

test.each([
  ['eks/eu-central-1/demo', 'eu-central-1', 'demo'],
  ['eks/us-gov-west-1/Prod_2', 'us-gov-west-1', 'Prod_2'],
])('%s is a target, and is written as it was read', (text, region, name) => {
  expect(parseTarget(text)).toEqual({ kind: 'eks', region, name });
  expect(formatTarget(parseTarget(text))).toBe(text);
});

test.each([
  '',
  'eks',
  'eks/eu-central-1',
  'rds/eu-central-1/demo',
  'eks/eu-central-1/demo/x',
  'eks//demo',
  'eks/EU/demo',
  'eks/eu-central-1/-a',
  `eks/eu-central-1/${'a'.repeat(101)}`,
])('"%s" is no target', (text) => {
  expect(() => parseTarget(text)).toThrow(TargetError);
});

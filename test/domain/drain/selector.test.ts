import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { selectorMatches, type LabelSelector } from '../../../domain/drain/selector.ts';

const labels = { app: 'web', tier: 'front', 'example.com/zone': 'a' };

const cases: { title: string; selector: LabelSelector | undefined; matches: boolean }[] = [
  { title: 'An absent selector matches no pod', selector: undefined, matches: false },
  { title: 'An empty selector matches every pod, as policy/v1 has it', selector: {}, matches: true },
  { title: 'Empty lists in a selector ask for nothing', selector: { matchLabels: {}, matchExpressions: [] }, matches: true },
  { title: 'A label with the value matches', selector: { matchLabels: { app: 'web' } }, matches: true },
  { title: 'A label with another value does not match', selector: { matchLabels: { app: 'db' } }, matches: false },
  { title: 'A label that the pod does not have does not match', selector: { matchLabels: { team: '' } }, matches: false },
  { title: 'All labels must match', selector: { matchLabels: { app: 'web', tier: 'back' } }, matches: false },
  { title: 'A key may have a domain in front', selector: { matchLabels: { 'example.com/zone': 'a' } }, matches: true },
  { title: 'In matches one of its values', selector: expression('app', 'In', ['db', 'web']), matches: true },
  { title: 'In does not match other values', selector: expression('app', 'In', ['db']), matches: false },
  { title: 'In does not match where the label is missing', selector: expression('team', 'In', ['a']), matches: false },
  { title: 'In without values matches nothing', selector: expression('app', 'In'), matches: false },
  { title: 'NotIn does not match one of its values', selector: expression('app', 'NotIn', ['web']), matches: false },
  { title: 'NotIn matches other values', selector: expression('app', 'NotIn', ['db']), matches: true },
  { title: 'NotIn matches where the label is missing', selector: expression('team', 'NotIn', ['a']), matches: true },
  { title: 'Exists matches any value', selector: expression('tier', 'Exists'), matches: true },
  { title: 'Exists does not match where the label is missing', selector: expression('team', 'Exists'), matches: false },
  { title: 'DoesNotExist matches where the label is missing', selector: expression('team', 'DoesNotExist'), matches: true },
  { title: 'DoesNotExist does not match where there is one', selector: expression('tier', 'DoesNotExist'), matches: false },
  { title: 'An operator that is not known is heeded as a match', selector: expression('tier', 'Gt', ['1']), matches: true },
  {
    title: 'Labels and expressions must all match',
    selector: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['back'] }] },
    matches: false,
  },
  { title: 'A label called constructor exists only where a pod carries it', selector: expression('constructor', 'Exists'), matches: false },
];

function expression(key: string, operator: string, values?: string[]): LabelSelector {
  return { matchExpressions: [{ key, operator, values }] };
}

test.each(cases)('$title.', ({ selector, matches }) => {
  expect(selectorMatches(selector, labels)).toBe(matches);
});

describe('for any labels', () => {
  const key = fc.constantFrom('app', 'tier', 'team', 'constructor', 'toString');
  const value = fc.constantFrom('', 'a', 'b');
  const anyLabels = fc.dictionary(key, value);

  test('A pod matches the selector made of its own labels.', () => {
    fc.assert(fc.property(anyLabels, (own) => selectorMatches({ matchLabels: own }, own)));
  });

  test('NotIn is the opposite of In, and DoesNotExist that of Exists.', () => {
    fc.assert(
      fc.property(anyLabels, key, fc.array(value), (own, name, values) => {
        const holds = (operator: string): boolean => selectorMatches(expression(name, operator, values), own);
        expect(holds('NotIn')).toBe(!holds('In'));
        expect(holds('DoesNotExist')).toBe(!holds('Exists'));
      }),
    );
  });
});

import { describe, expect, test } from '@jest/globals';
import {
  matchesNodeSelector,
  matchesTerms,
  repellingTaint,
  taintText,
  termsText,
  type NodeRequirement,
  type Taint,
  type Toleration,
} from '../../../domain/drain/node-selection.ts';

const node = { name: 'a', labels: { zone: 'z1', cores: '8' }, taints: [], schedulable: true };

describe('requirements', () => {
  const table: [NodeRequirement, boolean][] = [
    [{ key: 'zone', operator: 'In', values: ['z1', 'z2'] }, true],
    [{ key: 'zone', operator: 'In', values: ['z2'] }, false],
    [{ key: 'none', operator: 'In', values: ['z1'] }, false],
    [{ key: 'zone', operator: 'NotIn', values: ['z1'] }, false],
    [{ key: 'none', operator: 'NotIn', values: ['z1'] }, true],
    [{ key: 'zone', operator: 'Exists' }, true],
    [{ key: 'constructor', operator: 'Exists' }, false],
    [{ key: 'zone', operator: 'DoesNotExist' }, false],
    [{ key: 'none', operator: 'DoesNotExist' }, true],
    [{ key: 'cores', operator: 'Gt', values: ['7'] }, true],
    [{ key: 'cores', operator: 'Gt', values: ['8'] }, false],
    [{ key: 'cores', operator: 'Lt', values: ['9'] }, true],
    [{ key: 'cores', operator: 'Lt', values: ['8'] }, false],
    [{ key: 'zone', operator: 'Gt', values: ['0'] }, false],
    [{ key: 'cores', operator: 'Gt', values: ['1', '2'] }, false],
    [{ key: 'cores', operator: 'Gt', values: ['1.5'] }, false],
    [{ key: 'none', operator: 'Lt', values: ['9'] }, false],
    [{ key: 'zone', operator: 'Near', values: ['z1'] }, false],
  ];
  test.each(table)('%j: %s', (requirement, matches) => {
    expect(matchesTerms(node, [{ matchExpressions: [requirement] }])).toBe(matches);
  });

  test.each([
    { title: 'no term', terms: [], matches: false },
    { title: 'a term without requirements', terms: [{}], matches: false },
    {
      title: 'one term of two',
      terms: [{ matchExpressions: [{ key: 'none', operator: 'Exists' }] }, { matchExpressions: [{ key: 'zone', operator: 'Exists' }] }],
      matches: true,
    },
    {
      title: 'one requirement of two',
      terms: [
        {
          matchExpressions: [
            { key: 'none', operator: 'Exists' },
            { key: 'zone', operator: 'Exists' },
          ],
        },
      ],
      matches: false,
    },
    { title: 'its name', terms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['a'] }] }], matches: true },
    { title: "another's name", terms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['b'] }] }], matches: false },
    { title: 'another field', terms: [{ matchFields: [{ key: 'metadata.uid', operator: 'Exists' }] }], matches: false },
  ])('A node that satisfies $title: $matches.', ({ terms, matches }) => expect(matchesTerms(node, terms)).toBe(matches));

  test('A nodeSelector wants all of its labels.', () => {
    expect(matchesNodeSelector(node, {})).toBe(true);
    expect(matchesNodeSelector(node, { zone: 'z1', cores: '8' })).toBe(true);
    expect(matchesNodeSelector(node, { zone: 'z1', cores: '4' })).toBe(false);
  });
});

describe('taints', () => {
  const taint: Taint = { key: 'dedicated', value: 'search', effect: 'NoSchedule' };
  const table: [Toleration, boolean][] = [
    [{ key: 'dedicated', operator: 'Equal', value: 'search', effect: 'NoSchedule' }, true],
    [{ key: 'dedicated', value: 'search' }, true],
    [{ key: 'dedicated', operator: 'Exists' }, true],
    [{ operator: 'Exists' }, true],
    [{ operator: 'Exists', effect: 'NoExecute' }, false],
    [{ key: 'dedicated', value: 'other' }, false],
    [{ key: 'other', operator: 'Exists' }, false],
    [{ key: 'dedicated', operator: 'Gt', value: 'search' }, false],
    [{ value: 'search' }, false],
  ];
  test.each(table)('%j: %s', (toleration, tolerated) => {
    expect(repellingTaint({ ...node, taints: [taint] }, [toleration])).toEqual(tolerated ? undefined : taint);
  });

  test('NoExecute keeps pods off, PreferNoSchedule does not.', () => {
    const [prefer, execute] = ['PreferNoSchedule', 'NoExecute'].map((effect) => ({ ...taint, effect }));
    expect(repellingTaint({ ...node, taints: [prefer!, execute!] }, [])).toEqual(execute);
  });

  test('A cordon keeps pods off that do not tolerate it.', () => {
    const cordoned = { ...node, schedulable: false };
    expect(repellingTaint(cordoned, [])?.key).toBe('node.kubernetes.io/unschedulable');
    expect(repellingTaint(cordoned, [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }])).toBeUndefined();
  });
});

test('Terms and taints are told as people write them.', () => {
  const requirements: NodeRequirement[] = [
    { key: 'a', operator: 'In', values: ['1'] },
    { key: 'b', operator: 'In', values: ['1', '2'] },
    { key: 'c', operator: 'NotIn', values: ['1', '2'] },
    { key: 'd', operator: 'NotIn', values: ['1'] },
    { key: 'e', operator: 'Exists' },
  ];
  const rest: NodeRequirement[] = [
    { key: 'f', operator: 'DoesNotExist' },
    { key: 'g', operator: 'Gt', values: ['1'] },
    { key: 'h', operator: 'Lt', values: ['1'] },
    { key: 'i', operator: 'Near', values: ['1'] },
  ];
  expect(termsText([{ matchExpressions: requirements }, { matchFields: rest }])).toBe(
    'a=1 and b in (1, 2) and c not in (1, 2) and d!=1 and e present, or f absent and g>1 and h<1 and i Near (1)',
  );
  expect(taintText({ key: 'a', value: 'b', effect: 'NoExecute' })).toBe('a=b:NoExecute');
  expect(taintText({ key: 'a', effect: 'NoSchedule' })).toBe('a:NoSchedule');
});

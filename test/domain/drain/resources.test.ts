import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { amountText, parseMilliQuantity, parseQuantity, podRequests, type PodNeeds } from '../../../domain/drain/resources.ts';

describe('quantities', () => {
  test.each([
    ['0', 0],
    ['128974848', 128974848],
    ['1Gi', 1073741824],
    ['1G', 1e9],
    ['1.5Gi', 1610612736],
    ['.5Ki', 512],
    ['5.', 5],
    ['1e3', 1000],
    ['12E2', 1200],
    ['1E', 1e18],
    ['2Ei', 2 * 2 ** 60],
    ['100m', 1],
    ['1u', 1],
    ['0.1Ki', 103],
    ['-2Ki', -2048],
    ['1e-999999999', 1],
  ])('%s counts as %d units.', (text, units) => expect(parseQuantity(text)).toBe(units));

  test.each([
    ['250m', 250],
    ['0.5', 500],
    ['2', 2000],
    ['0.0001', 1],
    ['1e1', 10_000],
    ['100u', 1],
    ['0.1', 100],
    ['1.1', 1100],
  ])('%s counts as %d thousandths.', (text, thousandths) => expect(parseMilliQuantity(text)).toBe(thousandths));

  test.each(['', 'm', '1 Gi', '1gi', '1.2.3', '1e', 'one', '1KiB'])('"%s" is no quantity.', (text) => {
    expect(() => parseQuantity(text)).toThrow(RangeError);
  });

  test('What is asked for is never counted as less.', () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.constantFrom('n', 'u', 'm', '', 'k'), (number, suffix) => {
        const exact = number * { n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3 }[suffix];
        const counted = parseQuantity(`${number}${suffix}`);
        expect(counted).toBeGreaterThanOrEqual(exact - 1e-6);
        expect(counted).toBeLessThan(exact + 1);
      }),
    );
  });

  test.each([
    ['cpu', 1500, '1.5 cpu'],
    ['memory', 1610612736, '1.5 GiB memory'],
    ['memory', 100, '100 B memory'],
    ['pods', 1, '1 pod slot'],
    ['pods', 2, '2 pod slots'],
    ['nvidia.com/gpu', 1, '1 nvidia.com/gpu'],
  ])('%s %d reads %s.', (name, amount, text) => expect(amountText(name, amount)).toBe(text));
});

describe('what a pod asks for', () => {
  const asks = (cpu: string, restartPolicy?: string) => ({ resources: { requests: { cpu } }, restartPolicy });
  const cases: { title: string; needs: PodNeeds; cpu: number }[] = [
    { title: 'is the sum of its containers', needs: { containers: [asks('1'), asks('500m')] }, cpu: 1500 },
    {
      title: 'is what an init container takes, where that is more',
      needs: { containers: [asks('1')], initContainers: [asks('2')] },
      cpu: 2000,
    },
    {
      title: 'is not raised by a smaller init container',
      needs: { containers: [asks('1')], initContainers: [asks('500m'), asks('900m')] },
      cpu: 1000,
    },
    { title: 'includes its sidecars', needs: { containers: [asks('1')], initContainers: [asks('200m', 'Always')] }, cpu: 1200 },
    {
      title: 'counts the sidecars before an init container beside it, not those after it',
      needs: { containers: [asks('1')], initContainers: [asks('1', 'Always'), asks('3'), asks('200m', 'Always')] },
      cpu: 4000,
    },
    { title: 'includes the overhead of its runtime class', needs: { containers: [asks('1')], overhead: { cpu: '250m' } }, cpu: 1250 },
    {
      title: 'is what the pod as a whole asks for, where it does',
      needs: { containers: [asks('1')], resources: { requests: { cpu: '3' } }, overhead: { cpu: '250m' } },
      cpu: 3250,
    },
  ];
  test.each(cases)('It $title.', ({ needs, cpu }) => expect(podRequests(needs)).toEqual({ cpu, pods: 1 }));

  test('It is one pod, and nothing besides where nothing is asked for.', () => {
    expect(podRequests({ containers: [{}] })).toEqual({ pods: 1 });
  });
});

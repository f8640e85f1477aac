import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { allowedAtOnce, lowerBound, type PodToMove, type Workload } from '../../bench/rotation/lower-bound.ts';

const program = fileURLToPath(new URL('../../bench/rotation.ts', import.meta.url));

const web: Workload = {
  name: 'web',
  namespace: 'shop',
  kind: 'Deployment',
  replicas: 10,
  maxUnavailable: 2,
  startSeconds: 1,
  readinessSeconds: 4,
  shutdownSeconds: 8,
};

/** So many pods of a workload, dealt to so many nodes. */
function pods(workload: Workload, count: number, nodes: number): PodToMove[] {
  return Array.from({ length: count }, (_, index) => ({ workload, node: `node-${index % nodes}` }));
}

describe('the lower bound of a rotation', () => {
  test.each<[string, Partial<Workload>, number, number]>([
    ['waves but the last take until the new pods are Ready, the last one until its pods have ended', {}, 7, 3 * 5 + 8],
    ['a single wave takes the shutdown alone', {}, 2, 8],
    ['a StatefulSet makes its new pod when the old one has ended', { kind: 'StatefulSet' }, 4, 13 + 8],
    ['without a budget all go at once', { maxUnavailable: undefined }, 10, 8],
    ['a rule of minAvailable leaves the rest', { maxUnavailable: undefined, minAvailable: '90%' }, 3, 2 * 5 + 8],
  ])('%s', (_what, differences, count, seconds) => {
    expect(lowerBound(pods({ ...web, ...differences }, count, 1), 1).seconds).toBe(seconds);
  });

  test('names the budget that takes longest', () => {
    const slow = { ...web, name: 'slow', readinessSeconds: 60 };
    expect(lowerBound([...pods(web, 8, 2), ...pods(slow, 4, 2)], 2)).toEqual({ seconds: 61 + 8, by: 'shop/slow: 4 pods, 2 at once' });
  });

  test('nodes that are emptied one after another take the sum of their longest shutdowns', () => {
    const free = { ...web, maxUnavailable: undefined };
    expect(lowerBound(pods(free, 10, 5), 1)).toEqual({ seconds: 40, by: '5 nodes, 1 at once' });
    expect(lowerBound(pods(free, 10, 5), 2).seconds).toBe(20);
    expect(lowerBound(pods(free, 10, 5), 100).seconds).toBe(8);
  });

  test.each<[Partial<Workload>, number]>([
    [{ maxUnavailable: '25%' }, 3],
    [{ maxUnavailable: 20 }, 10],
    [{ maxUnavailable: undefined, minAvailable: '75%' }, 2],
    [{ maxUnavailable: undefined, minAvailable: 10 }, 0],
    [{ maxUnavailable: undefined }, 10],
  ])('of ten pods under %j so many may be away', (rule, allowed) => {
    expect(allowedAtOnce({ ...web, ...rule })).toBe(allowed);
  });
});

/** Exit code and output of `npm run bench:rotation -- …`. */
function benchRotation(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = ['--import', import.meta.resolve('tsx'), program, ...args];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, command, (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }));
  });
}

test('a few nodes are rotated within their budgets; one line says how it went', async () => {
  const { code, stdout, stderr } = await benchRotation('--nodes', '2', '--json');
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const report = JSON.parse(stdout) as Record<string, number>;
  expect(report).toMatchObject({ nodes: 2, nodesAtOnce: 2, violations: 0, podsLeft: 0 });
  expect(report.pods).toBeGreaterThan(10);
  expect(report.lowerBoundSeconds).toBeGreaterThan(20);
  expect(report.makespanSeconds).toBeGreaterThanOrEqual(report.lowerBoundSeconds ?? Infinity);
}, 300_000);

test('settings that make no sense are refused before anything starts', async () => {
  const { code, stdout, stderr } = await benchRotation('--nodes', '0');
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain('--nodes must be a whole number');
});

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { isDone } from '../../bench/upgrade/aftermath.ts';

const program = fileURLToPath(new URL('../../bench/upgrade.ts', import.meta.url));

/** Exit code and output of `npm run bench:upgrade -- …`. */
function benchUpgrade(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = ['--import', import.meta.resolve('tsx'), program, ...args];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, command, (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }));
  });
}

test('EKS at its best takes the cluster to the version, and nothing is left; one line says how long it took', async () => {
  const { code, stdout, stderr } = await benchUpgrade('--only', 'at-best', '--speed', '200', '--json');
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const { contenders } = JSON.parse(stdout) as { contenders: Record<string, { makespanSeconds: number }> };
  const best = contenders['at-best'];
  expect(best).toMatchObject({ violations: 0, left: { nodegroups: [], addons: [], cordonedNodes: [] } });
  // The control plane alone takes eight minutes.
  expect(best?.makespanSeconds).toBeGreaterThan(480);
}, 120_000);

test.each([
  [{ nodegroups: [], addons: [], cordonedNodes: [] }, true],
  [{ controlPlane: '1.32', nodegroups: [], addons: [], cordonedNodes: [] }, false],
  [{ nodegroups: ['general'], addons: [], cordonedNodes: [] }, false],
  [{ nodegroups: [], addons: ['coredns'], cordonedNodes: [] }, false],
  [{ nodegroups: [], addons: [], cordonedNodes: ['a'] }, false],
])('what is left is %j: done %s', (left, done) => {
  expect(isDone(left)).toBe(done);
});

test('settings that make no sense are refused before anything starts', async () => {
  const { code, stdout, stderr } = await benchUpgrade('--speed', '0');
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain('--speed must be a whole number');
});

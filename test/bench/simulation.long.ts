import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { temporalAddress } from '../support/temporal.ts';

const program = fileURLToPath(new URL('../../bench/simulate.ts', import.meta.url));

/** Exit code and lines on stdout of `npm run simulate -- …` on the server that the tests share. */
async function simulate(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const env = { ...process.env, TEMPORAL_ADDRESS: await temporalAddress() };
  const command = ['--import', import.meta.resolve('tsx'), program, ...args];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, command, { env }, (_error, stdout) =>
      resolve({ code: child.exitCode ?? -1, lines: stdout.trimEnd().split('\n') }),
    );
  });
}

/** The one with the most steps: what the others come to is for `npm run simulate`, whose time grows with the runbooks. */
const runbook = 'node-group-rotation';

test('two seeds go through under faults and leave nothing behind', async () => {
  const { code, lines } = await simulate('--seed', '2', '--runs', '2', '--runbook', runbook);
  const summary = JSON.parse(lines.at(-1) ?? '') as Record<string, number>;
  expect({ code, lines: lines.filter((line) => line.includes('WRONG')), ...summary }).toMatchObject({
    code: 0,
    lines: [],
    runs: 2,
    troubles: 0,
    violations: 0,
    leftovers: 0,
    doubleEffects: 0,
  });
  expect(summary.faults).toBeGreaterThan(50);
  // What others did, and where a run was stuck on its way, is told in lines beneath, and depends on which calls failed.
  expect(
    lines
      .filter((line) => line.startsWith('seed '))
      .map((line) => line.split(':')[0])
      .sort(),
  ).toEqual([`seed 2 ${runbook}`, `seed 3 ${runbook}`]);
}, 180_000);

test('a setting that makes no sense is refused before anything starts', async () => {
  const { code, lines } = await simulate('--fault-rate', '2');
  expect({ code, lines }).toEqual({ code: 1, lines: [''] });
});

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { percentile } from '../../bench/measure/figures.ts';
import { wholeNumber } from '../../bench/measure/settings.ts';
import { temporalAddress } from '../support/temporal.ts';

const program = fileURLToPath(new URL('../../bench/parked.ts', import.meta.url));

/** Exit code and output of `npm run bench:parked -- …` on the server that the tests share. */
async function benchParked(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, TEMPORAL_ADDRESS: await temporalAddress() };
  const command = ['--import', import.meta.resolve('tsx'), program, ...args];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, command, { env }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

test('a few runs are opened, approved and compared; one line says how it went', async () => {
  const { code, stdout, stderr } = await benchParked('--runs', '4', '--approve-at-once', '2', '--json');
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const [line = '', ...rest] = stdout.trimEnd().split('\n');
  expect(rest).toEqual([]);
  const report = JSON.parse(line) as Record<string, number> & { oneAtATime: Record<string, number> };
  expect(report).toMatchObject({ runs: 4, approveAtOnce: 2, approvals: 2, wentOn: 1, minimalWentOn: 1, oneAtATime: { approvals: 1 } });
  // The worker that bundles workflows takes far more than 50 MiB; a number of another unit would not fit.
  for (const field of ['workerMemoryMb', 'workerMemoryIdleMb', 'minimalWorkerMemoryMb', 'minimalWorkerMemoryIdleMb']) {
    expect({ field, mb: report[field] }).toEqual({ field, mb: expect.any(Number) });
    expect(report[field]).toBeGreaterThan(50);
    expect(report[field]).toBeLessThan(4_000);
  }
  for (const { approvalToStepMsP50 = NaN, approvalToStepMsP99, minimalMsP50 } of [report, report.oneAtATime]) {
    expect(minimalMsP50).toBeGreaterThan(0);
    expect(approvalToStepMsP50).toBeGreaterThan(0);
    expect(approvalToStepMsP99).toBeGreaterThanOrEqual(approvalToStepMsP50);
  }
}, 180_000);

test.each([
  ['--runs', '3'],
  ['--approve-at-once', '0'],
])('%s %s makes no sense and is refused before anything starts', async (option, value) => {
  const { code, stdout, stderr } = await benchParked(option, value);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain(`${option} must be a whole number`);
});

// Here and not by the program: one that is started takes seconds.
test.each(['0', '101', 'many', '2.5', ''])('a setting from 1 to 100 cannot be "%s"', (text) => {
  const sentence = `--rounds must be a whole number from 1 to 100, not "${text}"`;
  expect(() => wholeNumber('rounds', text, 1, 100)).toThrow(new RangeError(sentence));
});

test.each([
  ['nothing', [], 50, NaN],
  ['one sample', [7], 99, 7],
  ['three samples in any order', [30, 10, 20], 50, 20],
  ['an even number of samples', [4, 1, 3, 2], 50, 2],
  ['1 to 1,000', Array.from({ length: 1_000 }, (_, index) => index + 1), 99, 990],
])('the percentile of %s is one of the samples', (_what, samples, percent, expected) => {
  expect(percentile(samples, percent)).toBe(expected);
});

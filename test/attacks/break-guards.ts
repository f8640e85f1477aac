/**
 * Takes away what stands against each attack (guards.ts), one after another, and sees that its test fails. Changes files of the project
 * while it runs, and puts them back: for a clean checkout, with nothing else at work in it. Arguments: parts of names of attacks.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { guards } from './guards.ts';

/** Some tests wait for two minutes for what does not come. */
const testTimeoutMs = 10 * 60_000;
const asked = process.argv.slice(2);
let missed = 0;
for (const { attack, file, from, to, test, name } of guards) {
  if (asked.length > 0 && !asked.some((part) => attack.includes(part))) continue;
  const text = readFileSync(file, 'utf8');
  if (text.split(from).length !== 2) throw new Error(`${attack}: its guard does not stand once in ${file}`);
  const begunAt = performance.now();
  const isFound = testFails(
    file,
    text,
    text.replace(from, () => to),
    [test, '-t', name],
  );
  if (!isFound) missed += 1;
  const seconds = Math.round((performance.now() - begunAt) / 1000);
  process.stdout.write(`${isFound ? 'seen' : 'NOT SEEN'}  ${attack} (${file}): ${test}, ${name} (${seconds} s)\n`);
}
process.exitCode = missed === 0 ? 0 : 1;

function testFails(file: string, genuine: string, broken: string, testArguments: string[]): boolean {
  try {
    writeFileSync(file, broken);
    // Without its guard a test may leave a worker behind that does not stop.
    const command = testArguments[0]?.endsWith('.long.ts') ? 'test:long' : 'test';
    const ran = spawnSync('npm', ['run', command, '--', '--forceExit', ...testArguments], { stdio: 'ignore', timeout: testTimeoutMs });
    if (ran.status === null) throw ran.error ?? new Error(`the test was ended by ${ran.signal}`);
    return ran.status !== 0;
  } finally {
    writeFileSync(file, genuine);
  }
}

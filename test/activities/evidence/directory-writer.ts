/**
 * A process that writes to an evidence directory. Prints one JSON line per entry that was acknowledged.
 *
 * `same <directory> <run> <count>`: appends entries 1 to count, whose bodies are equal in every process.
 * `killed <directory> <run> <count> <call>`: the same, and dies as by `kill -9` when it calls the file system so for the
 * last entry: `link` after its file is whole, `rm` after it has its name.
 */
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { createEvidenceDirectory } from '../../../activities/evidence/directory.ts';

const [mode, directory = '', run = '', count = '0', call] = process.argv.slice(2);
const store = createEvidenceDirectory(directory);

/** The imports of others see it, too. */
function dieOn(name: 'link' | 'rm'): void {
  Object.assign(fs, { [name]: () => process.kill(process.pid, 'SIGKILL') });
  syncBuiltinESMExports();
}

for (let sequence = 1; sequence <= Number(count); sequence += 1) {
  if (mode === 'killed' && sequence === Number(count)) dieOn(call as 'link' | 'rm');
  const receipt = await store.append(run, { sequence, kind: 'step.performed', body: { sequence, text: 'x'.repeat(20_000) } });
  process.stdout.write(`${JSON.stringify(receipt)}\n`);
}

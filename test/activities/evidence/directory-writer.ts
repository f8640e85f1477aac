/**
 * A process that writes to an evidence directory, for the tests of several processes at once. Prints one JSON line per
 * entry that was acknowledged.
 *
 * `same <directory> <run> <count>`: appends entries 1 to count, whose bodies are equal in every process.
 * `own <directory> <run> <count> <name>`: appends count entries of its own, each wherever the record ends.
 * `lock <path>`: takes a lock and holds it until it is killed.
 */
import { createEvidenceDirectory } from '../../../activities/evidence/directory.ts';
import { withLock } from '../../../activities/evidence/lock.ts';
import { EvidenceError } from '../../../activities/evidence/store.ts';

const [mode, directory = '', run = '', count = '0', name = ''] = process.argv.slice(2);
const store = createEvidenceDirectory(directory);
const triesMax = 2_000;

async function appendSame(): Promise<void> {
  for (let sequence = 1; sequence <= Number(count); sequence += 1) {
    report(await store.append(run, { sequence, kind: 'step.performed', body: { sequence, text: 'x'.repeat(20_000) } }));
  }
}

async function appendOwn(): Promise<void> {
  let written = 0;
  for (let tries = 0; written < Number(count); tries += 1) {
    if (tries >= triesMax) throw new Error(`${name} wrote only ${written} entries`);
    const sequence = (await store.read(run)).length + 1;
    try {
      report(await store.append(run, { sequence, kind: 'step.performed', body: { name, written } }));
      written += 1;
    } catch (error) {
      if (!(error instanceof EvidenceError) || error.code !== 'evidence-conflict') throw error;
    }
  }
}

function report(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

if (mode === 'same') await appendSame();
if (mode === 'own') await appendOwn();
if (mode === 'lock') {
  await withLock(directory, { waitMs: 1_000, staleMs: 60_000 }, async () => {
    report('held');
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  });
}

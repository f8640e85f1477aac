/**
 * A process that writes records to a bucket, for the tests of several processes at once. Prints one JSON line per entry
 * that was acknowledged.
 *
 * `same <bucket> <run> <count>`: appends entries 1 to count, whose bodies are equal in every process.
 * `own <bucket> <run> <count> <name>`: appends count entries of its own, each wherever the record ends.
 */
import { createEvidenceBucket } from '../../../activities/evidence/s3.ts';
import { EvidenceError } from '../../../activities/evidence/store.ts';

const [mode, bucket = '', run = '', count = '0', name = ''] = process.argv.slice(2);
const store = createEvidenceBucket({ bucket, prefix: 'holdpoint', region: 'eu-central-1' });
const triesMax = 2_000;

async function appendSame(): Promise<void> {
  for (let sequence = 1; sequence <= Number(count); sequence += 1) {
    report(await store.append(run, { sequence, kind: 'step.performed', body: { sequence } }));
  }
}

async function appendOwn(): Promise<void> {
  let written = 0;
  let sequence = 1;
  for (let tries = 0; written < Number(count); tries += 1) {
    if (tries >= triesMax) throw new Error(`${name} wrote only ${written} entries`);
    try {
      report(await store.append(run, { sequence, kind: 'step.performed', body: { name, written } }));
      written += 1;
    } catch (error) {
      if (!(error instanceof EvidenceError) || error.code !== 'evidence-conflict') throw error;
    }
    sequence += 1;
  }
}

function report(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

if (mode === 'same') await appendSame();
if (mode === 'own') await appendOwn();

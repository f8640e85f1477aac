import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Sequencer from '@jest/test-sequencer';

/** The files that take longest, in their order: one that began last would keep a core idle at the end. */
const longest = [
  'lab-kubernetes/drain-killed.lab.ts',
  'lab-kubernetes/behaviour.lab.ts',
  'engine-shapes/killed-worker.long.ts',
  'cli/transcripts.test.ts',
  'every-runbook/every-runbook.long.ts',
  'workflows/schedules.test.ts',
  'attacks/secrets.long.ts',
  'workflows/approvals.test.ts',
  'workflows/windows.test.ts',
  'attacks/limits.long.ts',
  'cli/transcripts-of-errors.test.ts',
  'activities/kubernetes/drain/drain.test.ts',
  'activities/eks/update-nodegroup-version.test.ts',
  'bench/simulation.long.ts',
  'bench/parked.long.ts',
  'bench/rotation.long.ts',
  'attacks/fuzzer.long.ts',
].map((name) => fileURLToPath(new URL(`../${name}`, import.meta.url)));
for (const path of longest)
  if (!existsSync(path)) throw new Error(`${path} is not there: correct the list of test/support/longest-first.mjs`);

/** Begins with the longest files also on a clean checkout, where jest remembers no times and goes by the sizes of files. */
export default class LongestFirst extends Sequencer {
  sort(tests) {
    const place = ({ path }) => (longest.includes(path) ? longest.indexOf(path) : longest.length);
    return super.sort(tests).toSorted((one, other) => place(one) - place(other));
  }
}

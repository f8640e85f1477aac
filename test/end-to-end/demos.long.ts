import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { verifyEvidence } from '../../client/evidence.ts';
import { programCommand } from '../../cli/program-files.ts';

/** Faster than people watch it: that it goes through is what counts. */
const speed = '40';

// The other demos: `.ci/run`, and test/lab-kubernetes/demo.lab.ts. That of cluster-upgrade takes two minutes, and its runbook has tests of
// its own (killed-upgrade.long.ts).
test.each([['certificate-authority-rotation', { nodegroups: 3 }]])(
  'the demo %s goes through within all budgets, and its record holds',
  async (name, counts) => {
    const { command, args } = programCommand('cli/main');
    const { stdout } = await promisify(execFile)(command, [...args, 'demo', name, '--speed', speed, '--yes', '--json']);
    const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { evidence: string };
    expect(result).toMatchObject({ ...counts, budgetViolations: 0, evidenceVerified: true });
    expect(await verifyEvidence(result.evidence)).toMatchObject({ ok: true });
    await rm(dirname(dirname(result.evidence)), { recursive: true, force: true });
  },
  300_000,
);

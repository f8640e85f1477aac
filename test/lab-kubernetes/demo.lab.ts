import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { verifyEvidence } from '../../client/evidence.ts';
import { programCommand } from '../../cli/program-files.ts';

test('the demo on the lab takes two nodes out of service and back, and leaves nothing', async () => {
  const { command, args } = programCommand('cli/main');
  const demo = ['demo', 'node-maintenance', '--on', 'lab', '--yes', '--json'];
  const { stdout } = await promisify(execFile)(command, [...args, ...demo]);
  const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { evidence: string; podsMoved: number };
  expect(result).toMatchObject({ status: 'done', nodesMaintained: 2, budgetViolations: 0, evidenceVerified: true });
  expect(result.podsMoved).toBeGreaterThan(0);
  const { ok, ending, signatures } = await verifyEvidence(result.evidence);
  expect({ ok, ending, signatures: signatures.length }).toEqual({ ok: true, ending: 'ended', signatures: 3 });
  await rm(dirname(dirname(result.evidence)), { recursive: true, force: true });
}, 300_000);

import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { verifyEvidence } from '../../client/evidence.ts';
import { programCommand } from '../../cli/program-files.ts';

test('the demo of a failover measures it and the failback on real PostgreSQL', async () => {
  const { command, args } = programCommand('cli/main');
  const { stdout } = await promisify(execFile)(command, [...args, 'demo', 'aurora-failover', '--yes', '--json']);
  const results = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { evidence: string; writesRefusedMs: { atMostMs: number } });
  expect(results).toMatchObject([
    { status: 'done', failovers: 1, writer: 'demo-b', outageMeasured: true, lostWrites: 0, evidenceVerified: true },
    { status: 'done', failovers: 1, writer: 'demo-a', outageMeasured: true, lostWrites: 0, evidenceVerified: true },
  ]);
  expect(results[0]!.writesRefusedMs.atMostMs).toBeGreaterThan(0);
  for (const { evidence } of results) expect(await verifyEvidence(evidence)).toMatchObject({ ok: true });
  await rm(dirname(dirname(results[0]!.evidence)), { recursive: true, force: true });
}, 180_000);

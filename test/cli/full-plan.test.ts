import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { forecastLines, signedTextLines } from '../../cli/plan-view.ts';
import { written } from '../../cli/painted.ts';
import type { Json } from '../../domain/json.ts';
import { digestOf, sealSpan } from '../../domain/plan/plan.ts';
import { runCommand } from '../support/run-command.ts';
import { planOfStep } from '../support/signed-record.ts';
import { newWorkerKey } from '../support/worker-key.ts';

const same = (text: string): string => text;
const colors = { bold: same, dim: same, red: same, green: same, yellow: same, magenta: same, cyan: same };

/** A plan with everything in its facts that a screen could swallow. */
const plan = ((): ReturnType<typeof planOfStep> => {
  const { hash: _hash, steps, ...span } = planOfStep('drain', 'drain');
  const facts = { pods: [{ uid: 'u-1', name: 'a\u202eb\u00ad\u{e0041}\n\u001b[8m' }], note: 'long '.repeat(2_000), 10: 'ten', 9: 'nine' };
  return sealSpan({ ...span, steps: steps.map((step) => ({ ...step, plan: { ...step.plan, facts } })) });
})();

test('all that a hash covers can be shown, and the hash be computed from what is shown', () => {
  const [heading, ...shown] = signedTextLines(plan, colors).map(written);
  expect(heading).toBe('  All that the hash covers:');
  expect(shown.length).toBeGreaterThan(20);
  // As a person would do it: without line ends it is JSON.
  expect(digestOf(JSON.parse(shown.join('')) as Json)).toBe(plan.hash);
});

test('it is shown where it is asked for', () => {
  const terminal = { colors } as Parameters<typeof forecastLines>[1];
  const forecast = { target: plan.target, runbook: { digest: plan.runbook }, spans: [{ plan }] } as unknown as Parameters<
    typeof forecastLines
  >[0];
  expect(forecastLines(forecast, terminal).join('\n')).not.toContain('u-1');
  expect(forecastLines(forecast, terminal, { full: true }).join('\n')).toContain('"uid": "u-1"');
});

test('lint says which rules it could not look at, and refuses nothing for that', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-lint-'));
  try {
    const file = path.join(directory, 'holdpoint.yaml');
    const head = [
      'apiVersion: holdpoint.dev/v1',
      'kind: Configuration',
      `people: { ann: { name: Ann, key: ${newWorkerKey().publicKey} } }`,
    ];
    const rest = ['groups: { sre: [ann] }', 'policies: { production-change: { atLeast: 1, of: sre, expires: 4h } }'];
    await writeFile(file, [...head, ...rest, 'rules: [{ operate: [ann] }, { targets: [eks/*/*], operate: [ann] }]', ''].join('\n'));
    const { stdout } = await runCommand('lint', 'node-group-rotation', '--config', file);
    expect(stdout).toMatch(
      /node-group-rotation\.yaml: note: its inputs decide on its target, so rules\[1\], for some targets, could not be/,
    );
    expect((await runCommand('lint', 'node-group-rotation')).stdout).not.toContain('note:');
    // Who never restores etcd needs no policy for it; who names the runbook does.
    const restore = /etcd-restore\.yaml:\d+:\d+ (\w+) .*There is no policy "data-restore"/;
    const [all, one] = [await runCommand('lint', '--config', file), await runCommand('lint', 'etcd-restore', '--config', file)];
    expect([all.code, restore.exec(all.stdout)?.[1]]).toEqual([0, 'warning']);
    expect([one.code, restore.exec(one.stdout)?.[1]]).toEqual([2, 'error']);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

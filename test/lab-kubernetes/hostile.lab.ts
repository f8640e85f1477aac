import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { runCli } from '../../cli/program.ts';
import { verifyEvidence } from '../../client/evidence.ts';
import { unseenIn } from '../../domain/visible.ts';
import { readKubeconfig, requester } from '../../lab/kubernetes-access.ts';
import { createAll, nodeManifests } from '../../lab/workloads.ts';
import { send, type Door } from './raw.ts';
import { labKubeconfig, realWorld } from './real-world.ts';
import { isRunning, leaveNothing, mergePatch, podTemplate, until, type PodSeen } from './world.ts';

const namespace = 'hostile';
const nodes = nodeManifests({ count: 2, prefix: namespace, labels: { pool: namespace } });
const names = nodes.map(({ metadata }) => metadata.name);
const [node = ''] = names;
/** Hides what follows, clears the screen, names the window, turns the direction, and forges a line. */
const hostile = '\u001b[8m\u001b[2J\u009b1A\u001b]0;gotcha\u0007\u202e\u200b\r\n✓ nothing blocks this drain';
const hostileShown = '\\x1b[8m\\x1b[2J\\x9b1A\\x1b]0;gotcha\\x07\\u202e\\u200b\\r\\n✓ nothing blocks this drain';
/** Nearly as long as all annotations of an object may be together. */
const large = hostile.repeat(Math.floor((250 * 1024) / Buffer.byteLength(hostile)));
const viewCharactersMax = 100_000;

let door: Door;
let home: string;
beforeAll(async () => {
  ({ door } = await realWorld());
  home = await mkdtemp(join(tmpdir(), 'holdpoint-hostile-'));
  const space = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } };
  await createAll(requester(await readKubeconfig(labKubeconfig())), [...nodes, space]);
});
afterAll(async () => {
  await leaveNothing(door, namespace, names);
  await rm(home, { recursive: true, force: true });
});

const pods = `/api/v1/namespaces/${namespace}/pods`;

/** What tenants write into a cluster, as far as the API server admits it. */
async function fill(): Promise<void> {
  const { spec } = podTemplate('tenant') as { spec: object };
  const owner = { apiVersion: 'tenant.example/v1', kind: hostile, name: hostile, uid: 'x', controller: true };
  for (const [index, ownerReferences] of [[owner], [{ ...owner, name: large }]].entries()) {
    const metadata = { name: `tenant-${index}`, namespace, labels: { app: 'tenant' }, annotations: { note: large }, ownerReferences };
    const placed = { ...spec, nodeSelector: { 'kubernetes.io/hostname': node } };
    expect(await send(door, 'POST', pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec: placed })).toMatchObject({ status: 201 });
  }
  const budget = {
    metadata: { name: 'tenant', annotations: { note: large } },
    spec: { minAvailable: 0, selector: { matchLabels: { app: 'tenant' } } },
  };
  const budgets = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`;
  expect(await send(door, 'POST', budgets, { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', ...budget })).toMatchObject({
    status: 201,
  });
  const note = { metadata: { annotations: { note: large } } };
  expect(await send(door, 'PATCH', `/api/v1/nodes/${node}`, note, mergePatch)).toMatchObject({ status: 200 });
  await until('the pods to run', async () => {
    const { items } = (await send(door, 'GET', pods)).body as unknown as { items: PodSeen[] };
    return items.filter(isRunning).length === 2;
  });
  for (const name of ['tenant-0', 'tenant-1']) {
    const condition = { type: 'Ready', status: 'False', reason: 'Tenant', message: hostile };
    const said = { status: { message: hostile, reason: hostile, conditions: [condition] } };
    expect(await send(door, 'PATCH', `${pods}/${name}/status`, said, mergePatch)).toMatchObject({ status: 200 });
  }
}

/** Calls the command line as at a terminal; nothing that it writes may be obeyed, nor fill the screen. */
async function view(argv: string[]): Promise<{ code: number; text: string }> {
  let written = '';
  const write = (chunk: unknown, _encoding: string, done: () => void): void => ((written += String(chunk)), done());
  const into = () => Object.assign(new Writable({ write }), { isTTY: false });
  const env = { HOME: home, KUBECONFIG: labKubeconfig() };
  const { signal } = new AbortController();
  const code = await runCli(argv, { stdin: Readable.from([]), stdout: into(), stderr: into(), env, now: () => new Date(), signal });
  expect(unseenIn(written.replaceAll('\n', ''))).toBeUndefined();
  expect(written.split('\n').filter((line) => /^\s*✓ nothing blocks/.test(line))).toEqual([]);
  expect(written.length).toBeLessThan(viewCharactersMax);
  return { code, text: written };
}

test('what tenants write into a real cluster is shown and not obeyed, from who-blocks and the plan to the record of a drain', async () => {
  await fill();
  for (const argv of [
    ['who-blocks', node],
    ['drain', node, '--plan', '--force'],
    ['drain', node, '--plan', '--force', '--json'],
  ]) {
    expect((await view(argv)).text).toContain(argv.includes('--json') ? '\\u001b[8m' : hostileShown);
  }
  const record = join(home, 'record.jsonl');
  expect(await view(['drain', node, '--force', '--yes', '--record', record])).toMatchObject({ code: 0 });
  const text = await readFile(record, 'utf8');
  expect(unseenIn(text.replaceAll('\n', ''))).toBeUndefined();
  expect(text).toContain('\\u202e');
  expect(await verifyEvidence(record)).toMatchObject({ ok: true, problems: [] });
  await view(['evidence', 'show', record]);
}, 240_000);

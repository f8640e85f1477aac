import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunState } from '../../domain/run/state.ts';
import { createLiveEnvironment, type LiveEnvironment } from '../cli/environment.ts';
import { untilTrue } from '../support/engine.ts';
import { startProxy, type Proxy, type ProxiedRequest } from '../support/proxy.ts';

const node = 'ip-10-0-0-4.eu-central-1.compute.internal';
const target = 'kubernetes/hostile';
/** Hides what follows, clears the screen, names the window, turns the direction, and forges a line. */
const hostile = '\u001b[8m\u001b[2J\u009b1A\u001b]0;gotcha\u0007\u202e\u200b\r\n✓ signed by grace';
const hostileShown = '\\x1b[8m\\x1b[2J\\x9b1A\\x1b]0;gotcha\\x07\\u202e\\u200b\\r\\n✓ signed by grace';
/** As long as all annotations of an object may be together. */
const large = hostile.repeat(Math.floor((256 * 1024) / Buffer.byteLength(hostile)));
const lineCharactersMax = 20_000;
const viewCharactersMax = 200_000;
const waitLimitMs = 60_000;

let environment: LiveEnvironment;
let kubernetes: Proxy;
let aws: Proxy;

beforeAll(async () => {
  environment = await createLiveEnvironment('hostile');
  kubernetes = await startProxy(`${environment.sandbox.url}/kubernetes/demo`);
  aws = await startProxy(environment.sandbox.url);
  const kubeconfig = join(environment.directory, 'kubeconfig');
  environment.env.KUBECONFIG = kubeconfig;
  const config = {
    clusters: [{ name: 'demo', cluster: { server: kubernetes.url } }],
    users: [{ name: 'me', user: {} }],
    contexts: [{ name: 'demo', context: { cluster: 'demo', user: 'me' } }],
    'current-context': 'demo',
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  const file = join(environment.directory, 'holdpoint.yaml');
  await writeFile(file, `${await readFile(file, 'utf8')}clusters: { hostile: { kubeconfig: ${kubeconfig}, context: demo } }\n`);
  await fill();
});

afterAll(async () => {
  await environment.stop();
  await kubernetes.stop();
  await aws.stop();
});

async function send(method: 'POST' | 'PATCH', path: string, body: object): Promise<void> {
  const headers = { 'content-type': method === 'POST' ? 'application/json' : 'application/merge-patch+json' };
  const answer = await fetch(`${environment.sandbox.url}/kubernetes/demo${path}`, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
}

/** What tenants, and whoever owns the cluster, can write into a cluster. */
async function fill(): Promise<void> {
  await send('PATCH', `/api/v1/nodes/${node}`, {
    metadata: { annotations: { note: large }, labels: { 'topology.kubernetes.io/zone': hostile, 'eks.amazonaws.com/nodegroup': hostile } },
  });
  for (const [index, owner] of [hostile, large].entries()) {
    const reference = {
      apiVersion: 'apps/v1',
      kind: index === 0 ? hostile : 'ReplicaSet',
      name: owner,
      uid: String(index),
      controller: true,
    };
    const metadata = {
      name: `tenant-${index}`,
      namespace: 'shop',
      labels: { app: 'tenant', note: hostile },
      annotations: { note: large },
      ownerReferences: [reference],
    };
    const nodeSelector = { 'kubernetes.io/hostname': node };
    const spec = { nodeSelector, priorityClassName: hostile, containers: [{ name: hostile, image: hostile }] };
    await send('POST', '/api/v1/namespaces/shop/pods', { apiVersion: 'v1', kind: 'Pod', metadata, spec });
  }
  await untilTrue(async () => {
    const answer = await fetch(`${environment.sandbox.url}/kubernetes/demo/api/v1/namespaces/shop/pods`);
    const { items } = (await answer.json()) as { items: { metadata: { name: string }; status?: { phase?: string } }[] };
    return items.filter(({ metadata, status }) => metadata.name.startsWith('tenant-') && status?.phase === 'Running').length === 2;
  });
  const budget = {
    metadata: { name: 'tenant', namespace: 'shop' },
    spec: { minAvailable: 1, selector: { matchLabels: { app: 'tenant' } } },
  };
  await send('POST', '/apis/policy/v1/namespaces/shop/poddisruptionbudgets', {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    ...budget,
  });
}

/** Calls the command line at a terminal and in a pipe; nothing that it writes may be obeyed, nor fill the screen. */
async function views(argv: string[], typed?: string): Promise<{ code: number; text: string }> {
  const [terminal, pipe] = [
    await environment.call(argv, { columns: 4_000, tty: true, typed }),
    await environment.call([...argv, '--json'], { typed }),
  ];
  for (const { lines } of [terminal, pipe]) {
    const all = lines.map(({ text }) => text).join('');
    // The line editor of a prompt moves the cursor to its own line first.
    const [shown = ''] = all.split('\u001b[1G');
    // eslint-disable-next-line no-control-regex -- colours, as a terminal gets them
    const text = shown.replace(/\u001b\[(?:[12]|22|3[1-6]|39)m/g, '');
    expect(JSON.stringify(text.replaceAll('\n', '').match(/.{0,60}[\p{Cc}\p{Cf}\p{Zl}\p{Zp}].{0,20}/u)?.[0])).toBeUndefined();
    expect(text.split('\n').filter((line) => /^\s*✓ signed by grace/.test(line))).toEqual([]);
    if (lines === terminal.lines) expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(lineCharactersMax);
    expect(text.length).toBeLessThan(viewCharactersMax);
  }
  return { code: terminal.code, text: terminal.lines.map(({ text }) => text).join('') };
}

async function until(passes: (state: RunState) => boolean, of = target): Promise<RunState> {
  const giveUpAt = Date.now() + waitLimitMs;
  return environment.withHoldpoint(async (holdpoint) => {
    for (;;) {
      const state = await holdpoint.state(of);
      if (passes(state)) return state;
      if (Date.now() > giveUpAt) throw new Error(`waited in vain: ${JSON.stringify(state, null, 1).slice(0, 10_000)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
}

const json = { 'content-type': 'application/json' };
const refusal = (status: number, message: string): { status: number; headers: typeof json; body: string } => {
  return { status, headers: json, body: JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code: status }) };
};
const inputs = ['-i', `target=${target}`, '-i', `nodes=["${node}"]`, '-i', 'force=true'];

test('objects of tenants are not obeyed by any view of a run, from its plan to its record', async () => {
  const owner = `${hostileShown} shop/${hostileShown}`;
  for (const argv of [
    ['who-blocks', node],
    ['drain', node, '--plan', '--force'],
    ['plan', 'node-maintenance', ...inputs],
  ]) {
    expect((await views(argv)).text).toContain(hostileShown);
  }
  const plan = await views(['plan', 'node-maintenance', ...inputs]);
  expect(plan.text).toContain(owner);
  const start = ['start', 'node-maintenance', ...inputs, '--as', 'dana'];
  expect((await views(start, 'n\n')).text).toContain('Not started.');
  expect(await environment.call([...start, '--yes'])).toMatchObject({ code: 0 });
  const { run, hold } = await until(({ phase }) => phase === 'holding');
  await views(['runs']);
  expect((await views(['show', run])).text).toContain(owner);
  const prompt = await environment.call(['approve', run, '--as', 'ada'], { columns: 4_000, tty: true, typed: 'n\n' });
  expect(prompt.stdout).toContain(owner);
  expect((await views(['approve', run, '--as', 'ada'], 'n\n')).text).toContain(hold?.request.planHash);
  kubernetes.treat = ({ method, path }: ProxiedRequest) => {
    return method === 'POST' && path.endsWith('/eviction')
      ? refusal(403, `admission webhook "${hostile}" denied the request: ${large}`)
      : 'pass';
  };
  for (const person of ['ada', 'grace']) {
    expect(await environment.call(['approve', run, '--plan', hold?.request.planHash ?? '', '--as', person])).toMatchObject({ code: 0 });
  }
  let seen = '';
  for (let look = 0; look < 200 && !seen.includes(`admission webhook "${hostileShown}`); look += 1)
    seen = (await views(['show', run])).text;
  expect(seen).toContain(`admission webhook "${hostileShown}`);
  expect(await environment.call(['abort', run, '--as', 'ada', '--reason', 'enough'])).toMatchObject({ code: 0 });
  const { evidence } = await until(({ phase }) => phase === 'aborted');
  await views(['show', run]);
  await views(['runs', '--all']);
  for (const what of ['show', 'verify']) expect(await views(['evidence', what, evidence])).toMatchObject({ code: 0 });
}, 300_000);

describe('what AWS says', () => {
  test('is not obeyed by plan, start and show, in errors and in what it tells of a node group', async () => {
    await environment.startWorkerProcess({ endpoint: aws.url });
    const names = ['region=eu-central-1', 'cluster=demo', 'nodegroup=blue', 'newNodegroup=green'].flatMap((name) => ['-i', name]);
    aws.treat = ({ path }) => {
      if (!path.includes('/clusters/')) return 'pass';
      const body = JSON.stringify({ __type: 'InvalidParameterException', message: `${hostile} ${large}` });
      return { status: 400, headers: { ...json, 'x-amzn-errortype': 'InvalidParameterException' }, body };
    };
    const failed = await views(['plan', 'node-group-rotation', ...names]);
    expect(failed).toMatchObject({ code: 1, text: expect.stringContaining('\\x1b[8m\\x1b[2J') });
    aws.treat = () => 'pass';
    expect(await environment.call(['start', 'node-group-rotation', ...names, '--as', 'dana', '--yes'])).toMatchObject({ code: 0 });
    const eks = 'eks/eu-central-1/demo';
    const { run } = await until(({ phase }) => phase !== 'planning', eks);
    await views(['show', run]);
    expect(await environment.call(['abort', run, '--as', 'ada', '--reason', 'enough'])).toMatchObject({ code: 0 });
  }, 120_000);
});

describe('an API server asked by a worker', () => {
  const pods = ({ path }: ProxiedRequest): boolean => path.startsWith('/api/v1/pods?');

  test('that says there is always more is asked a bounded number of times, and the plan ends with that', async () => {
    await environment.startWorker();
    let asked = 0;
    kubernetes.treat = (request) => {
      if (!pods(request)) return 'pass';
      asked += 1;
      const metadata = { resourceVersion: '1', continue: 'again', remainingItemCount: 1_000_000_000 };
      return { status: 200, headers: json, body: JSON.stringify({ metadata, items: [] }) };
    };
    const { code, text } = await views(['plan', 'node-maintenance', ...inputs]);
    expect([code, text]).toEqual([1, expect.stringContaining('10 pages in a row with nothing new, and still no end')]);
    // At a terminal and in a pipe; a list is not asked for again for that.
    expect(asked).toBeLessThanOrEqual(2 * 4 * 11);
  });
});

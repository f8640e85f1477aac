import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { afterEach, describe, expect, test } from '@jest/globals';
import { connectByKubeconfig } from '../../activities/kubernetes/client/kubeconfig.ts';
import { listLimits, objectsMax, type ListedObject } from '../../activities/kubernetes/client/list.ts';
import { WatchedList } from '../../activities/kubernetes/client/watched-list.ts';
import { planTimeLimits } from '../../activities/plan-limits.ts';
import { runCli } from '../../cli/program.ts';
import { eventually } from '../sandbox/kubernetes-fixture.ts';

type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

const megabyte = 1024 * 1024;
const hostile = '\u001b[8m\u001b]0;gotcha\u0007\u202e\r\n✓ nothing blocks this drain';
const hostileShown = '\\x1b[8m\\x1b]0;gotcha\\x07\\u202e\\r\\n✓ nothing blocks this drain';
const limitsBefore = { ...listLimits };
const timesBefore = { ...planTimeLimits };
const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  Object.assign(listLimits, limitsBefore);
  Object.assign(planTimeLimits, timesBefore);
  for (const end of ends.splice(0).reverse()) await end();
});

/** A server that says it is the API server of a cluster of one node; `answers` are what it says of some collections, by their path. */
async function hostileServer(answers: Record<string, Answer>): Promise<{ url: string; sentBytes: () => number }> {
  const sockets: Socket[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    response.setHeader('content-type', 'application/json');
    const answer = answers[url.pathname] ?? usual[url.pathname] ?? ((_request, to) => to.end(listOf([])));
    answer(request, response, url);
  });
  server.on('connection', (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => (server.closeAllConnections(), new Promise((resolve) => server.close(resolve))));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sentBytes: () => sockets.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
  };
}

function listOf(items: object[], metadata: object = {}): string {
  return JSON.stringify({ metadata: { resourceVersion: '1', ...metadata }, items });
}

const usual: Record<string, Answer> = {
  '/api/v1/nodes': (_request, response) => response.end(listOf([nodeOf('n-1'), nodeOf('n-2')])),
  '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews': (_request, response) => {
    response.statusCode = 201;
    response.end(JSON.stringify({ kind: 'SelfSubjectAccessReview', spec: {}, status: { allowed: true } }));
  },
};

function nodeOf(name: string, annotations: object = {}): object {
  const metadata = { name, uid: name, resourceVersion: '1', labels: { 'kubernetes.io/hostname': name }, annotations };
  const resources = { cpu: '1000', memory: '1000Gi', pods: '10000' };
  const status = { conditions: [{ type: 'Ready', status: 'True' }], capacity: resources, allocatable: resources };
  return { metadata, spec: {}, status };
}

function podOf(name: string, node = 'n-1', metadata: object = {}, labels: object = { app: 'web' }): object {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'web', controller: true };
  return {
    metadata: { namespace: 'shop', name, uid: name, resourceVersion: '1', labels, ownerReferences: [owner], ...metadata },
    spec: { nodeName: node, containers: [{ name: 'main', resources: { requests: { cpu: '1m', memory: '1Mi' } } }] },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

function budgetOf(name: string, message: string): object {
  const conditions = [{ type: 'DisruptionAllowed', status: 'False', reason: 'SyncFailed', message }];
  const status = { observedGeneration: 1, disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1, expectedPods: 2, conditions };
  const metadata = { namespace: 'shop', name, uid: name, generation: 1, resourceVersion: '1' };
  return { metadata, spec: { maxUnavailable: 1, selector: { matchLabels: { app: 'web' } } }, status };
}

interface Planned {
  code: number;
  text: string;
  grownBytes: number;
}

/** A kubeconfig of that server, in a folder of its own. */
async function kubeconfigFor(url: string): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'holdpoint-hostile-'));
  ends.push(() => rm(home, { recursive: true, force: true }));
  const config = {
    clusters: [{ name: 'demo', cluster: { server: url } }],
    users: [{ name: 'me', user: {} }],
    contexts: [{ name: 'demo', context: { cluster: 'demo', user: 'me' } }],
    'current-context': 'demo',
  };
  const file = join(home, 'kubeconfig');
  await writeFile(file, JSON.stringify(config));
  return file;
}

/** What `holdpoint drain n-1 --plan` says at a terminal; nothing in it but colours may be obeyed. */
async function planDrain(url: string): Promise<Planned> {
  const kubeconfig = await kubeconfigFor(url);
  let written = '';
  const into = Object.assign(new Writable({ write: (chunk, _encoding, done) => ((written += String(chunk)), done()) }), { isTTY: true });
  const env = { HOME: dirname(kubeconfig), KUBECONFIG: kubeconfig };
  const { signal } = new AbortController();
  const surroundings = { stdin: Readable.from([]), stdout: into, stderr: into, env, now: () => new Date(), signal };
  const before = process.memoryUsage();
  let grownBytes = 0;
  const watch = setInterval(() => {
    const { heapUsed, external } = process.memoryUsage();
    grownBytes = Math.max(grownBytes, heapUsed + external - before.heapUsed - before.external);
  }, 20);
  const code = await runCli(['drain', 'n-1', '--plan'], surroundings);
  clearInterval(watch);
  // eslint-disable-next-line no-control-regex -- colours, as a terminal gets them
  const text = written.replace(/\u001b\[(?:[12]|22|3[1-6]|39)m/g, '');
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(10_000);
  return { code, text, grownBytes };
}

/** Writes the same again and again until the reader has had enough, or that many bytes were sent. */
function flood(response: ServerResponse, chunk: string, bytesMax: number): void {
  let sent = 0;
  const more = (): void => {
    while (sent < bytesMax && !response.destroyed) {
      sent += chunk.length;
      if (!response.write(chunk)) return void response.once('drain', more);
    }
    response.end();
  };
  more();
}

describe('a drain of a cluster whose API server', () => {
  test('sends a gigabyte is given up, with the name of the list, and keeps none of it', async () => {
    const { url, sentBytes } = await hostileServer({
      '/api/v1/pods': (_request, response) => flood(response, `{"metadata":{},"items":[${'{},'.repeat(100_000)}`, 1024 * megabyte),
    });
    const { code, text, grownBytes } = await planDrain(url);
    expect(code).toBe(1);
    expect(text).toContain('refused list pods: one object has more than 33554432 bytes');
    // 500, 62, 7 and 1 at a time: each is read up to the limit, and what was on its way.
    expect(sentBytes()).toBeLessThan(5 * listLimits.pageBytesMax);
    expect(grownBytes).toBeLessThan(400 * megabyte);
  });

  test('answers anything but a list with a gigabyte is given up, too', async () => {
    const { url } = await hostileServer({
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews': (_request, response) =>
        flood(response, 'x'.repeat(65_536), 1024 * megabyte),
      '/api/v1/pods': (_request, response) => response.end(listOf([podOf('web-1')])),
    });
    const { code, text, grownBytes } = await planDrain(url);
    expect([code, text]).toEqual([1, expect.stringContaining('over limit: 16777216')]);
    expect(grownBytes).toBeLessThan(400 * megabyte);
  });

  test('sends a byte now and then for ever is not waited for', async () => {
    listLimits.pageTimeoutMs = 300;
    const { url } = await hostileServer({
      '/api/v1/pods': (_request, response) => {
        const drip = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(drip));
      },
    });
    const { code, text } = await planDrain(url);
    expect([code, text]).toEqual([1, expect.stringContaining('did not answer list pods: its answer was not complete within 0.3 s')]);
  });

  test('has always one page more is not followed for ever', async () => {
    listLimits.listTimeoutMs = 1_500;
    let pages = 0;
    const { url } = await hostileServer({
      '/api/v1/pods': (_request, response) => {
        pages += 1;
        response.end(listOf([podOf(`web-${pages}`)], { continue: `page-${pages}`, remainingItemCount: -1 }));
      },
    });
    const { code, text } = await planDrain(url);
    expect([code, text]).toEqual([1, expect.stringContaining('did not answer list pods: it was not complete within 1.5 s')]);
  });

  test('answers each list a moment before its limit is not waited for either', async () => {
    planTimeLimits.byHandMs = 300;
    const { url } = await hostileServer({
      '/api/v1/pods': (_request, response) => void setTimeout(() => response.end(listOf([])), 1_000),
    });
    const { code, text } = await planDrain(url);
    expect([code, text]).toEqual([1, expect.stringContaining('was not complete within 0.3 s: the cluster was still being read.')]);
  });

  test.each([
    ['the same page again and again', () => listOf([podOf('web-1')], { continue: 'again', remainingItemCount: 5 })],
    ['empty pages', () => listOf([], { continue: 'again', remainingItemCount: 1_000_000_000 })],
  ])('sends %s is told apart', async (_what, page) => {
    const { url } = await hostileServer({ '/api/v1/pods': (_request, response) => response.end(page()) });
    const { code, text } = await planDrain(url);
    expect([code, text]).toEqual([1, expect.stringContaining('10 pages in a row with nothing new, and still no end')]);
  });

  test('refuses with words that never end, and that a terminal would obey', async () => {
    const { url } = await hostileServer({
      '/api/v1/nodes': (_request, response) => {
        response.statusCode = 403;
        flood(response, `${hostile} `, 64 * megabyte);
      },
    });
    const { code, text } = await planDrain(url);
    expect([code, text]).toEqual([1, expect.stringContaining(`refused list nodes: ${hostileShown}`)]);
    expect(text.length).toBeLessThan(10_000);
  });
});

test('an API server that tells of new objects without end, over a watch, is believed so far only', async () => {
  const told = objectsMax + 20_000;
  let sent = 0;
  let watches = 0;
  const { url } = await hostileServer({
    '/api/v1/pods': (_request, response, { searchParams }) => {
      if (!searchParams.has('watch')) return void response.end(listOf([]));
      watches += 1;
      const more = (): void => {
        while (sent < told && !response.destroyed) {
          sent += 1;
          const metadata = { namespace: 'shop', name: `pod-${sent}`, resourceVersion: String(sent + 1) };
          if (!response.write(`${JSON.stringify({ type: 'ADDED', object: { metadata } })}\n`)) return void response.once('drain', more);
        }
      };
      more();
    },
  });
  const kubeconfig = await kubeconfigFor(url);
  const kind = { title: 'pods', path: '/api/v1/pods', view: (object: object) => object as ListedObject };
  const list = new WatchedList(kind, 'demo', async () => connectByKubeconfig({ kubeconfig, env: {} }).apis);
  const follower = { onChange: () => undefined, onFailure: () => undefined };
  list.join(follower);
  await list.load();
  list.follow();

  await eventually('the watch to be given up, and begun again', () => (watches > 2 ? true : undefined), 60_000);
  expect(sent).toBeGreaterThanOrEqual(objectsMax);
  expect(list.items().length).toBeLessThanOrEqual(objectsMax);
  await list.leave(follower);
}, 120_000);

describe('tenants', () => {
  test('with objects of 256 KB do not keep a drain from being planned', async () => {
    const annotations = { note: hostile.repeat(5_000), 'karpenter.sh/do-not-disrupt': `${'9'.repeat(200_000)}h` };
    const pods = Array.from({ length: 250 }, (_, index) => podOf(`web-${index}`, 'n-1', { annotations: index % 2 ? annotations : {} }));
    const { url } = await hostileServer({
      '/api/v1/pods': (_request, response, { searchParams }) => {
        const from = Number(searchParams.get('continue') ?? 0);
        const to = from + Number(searchParams.get('limit'));
        const metadata = { resourceVersion: '1', ...(to < pods.length && { continue: String(to) }) };
        // The server must not need the memory that is measured.
        const parts = function* (): Generator<string> {
          yield `{"metadata":${JSON.stringify(metadata)},"items":[`;
          for (const [index, pod] of pods.slice(from, to).entries()) yield (index > 0 ? ',' : '') + JSON.stringify(pod);
          yield ']}';
        };
        Readable.from(parts()).pipe(response);
      },
      '/api/v1/nodes': (_request, response) =>
        response.end(listOf([nodeOf('n-1', { 'holdpoint.dev/cordon': hostile.repeat(5_000) }), nodeOf('n-2')])),
    });
    const { text, grownBytes } = await planDrain(url);
    expect(text).toContain('250 pods to move in all');
    expect(grownBytes).toBeLessThan(600 * megabyte);
  });

  test('with 5,000 budgets for one pod, each with words of 64 KB, are told of in bounded time and words', async () => {
    const budgets = Array.from({ length: 5_000 }, (_, index) => budgetOf(`b-${index}`, index < 50 ? hostile.repeat(2_000) : hostile));
    const { url } = await hostileServer({
      '/apis/policy/v1/poddisruptionbudgets': (_request, response, { searchParams }) => {
        const from = Number(searchParams.get('continue') ?? 0);
        const to = from + Number(searchParams.get('limit'));
        response.end(listOf(budgets.slice(from, to), to < budgets.length ? { continue: String(to) } : {}));
      },
      '/api/v1/pods': (_request, response) => response.end(listOf(['web-1', 'web-2'].map((name) => podOf(name)))),
    });
    const { code, text } = await planDrain(url);
    expect(code).toBe(1);
    expect(text).toContain('blocked');
    expect(text.length).toBeLessThan(10 * megabyte);
  });

  test('with 150,000 pods elsewhere are read in bounded memory', async () => {
    const pods = 150_000;
    let pages = 0;
    // The server must not need the time and memory that are measured: it writes one page, with other names.
    const page = listOf(Array.from({ length: 500 }, (_, index) => podOf(`web-PAGE-${index}`, 'NODE'))).replace(
      '"metadata":{',
      '"metadata":{CONTINUE',
    );
    const { url } = await hostileServer({
      '/api/v1/pods': (_request, response, { searchParams }) => {
        pages += 1;
        const from = Number(searchParams.get('continue') ?? 0);
        const more = from + 500 < pods ? `"continue":"${from + 500}",` : '';
        response.end(
          page
            .replace('CONTINUE', more)
            .replaceAll('PAGE', String(from))
            .replaceAll('NODE', from === 0 ? 'n-1' : 'n-2'),
        );
      },
    });
    const { code, text, grownBytes } = await planDrain(url);
    expect([code, text]).toEqual([0, expect.stringContaining('500 pods to move in all')]);
    expect(pages).toBe(pods / 500);
    expect(grownBytes).toBeLessThan(600 * megabyte);
  }, 120_000);
});

import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ApiException } from '@kubernetes/client-node';
import { expect, test } from '@jest/globals';
import type { KubernetesApis } from '../../../../activities/kubernetes/client/connect.ts';
import { kinds, viewedAs } from '../../../../activities/kubernetes/client/kinds.ts';
import { itemsOf, readList, type ListOptions } from '../../../../activities/kubernetes/client/list.ts';
import { inParallel, listNodes, podsOnNodes } from '../../../../activities/kubernetes/client/read.ts';

interface Answer {
  names: string[];
  version?: string;
  next?: string;
}

/** An API that gives these answers one after another, and notes what it was asked. */
function apiOf(...answers: (Answer | Error)[]): { apis: KubernetesApis; asked: string[] } {
  const asked: string[] = [];
  const open = async (path: string, query: Record<string, string>): Promise<IncomingMessage> => {
    asked.push(`${path}?${decodeURIComponent(new URLSearchParams(query).toString())}`);
    const answer = answers.shift() ?? new Error('there is no further answer');
    if (answer instanceof Error) throw answer;
    const { names, version = '1', next } = answer;
    const items = names.map((name) => ({ metadata: { name } }));
    return Readable.from([
      Buffer.from(JSON.stringify({ metadata: { resourceVersion: version, continue: next }, items })),
    ]) as unknown as IncomingMessage;
  };
  return { apis: { open } as unknown as KubernetesApis, asked };
}

const gone = new ApiException(410, 'gone', JSON.stringify({ message: 'too old' }), {});
const names = viewedAs(kinds.nodes, ({ metadata }) => metadata?.name);

async function list(apis: KubernetesApis, options?: ListOptions): Promise<{ names: unknown[]; version: string }> {
  const { byKey, resourceVersion } = await readList(names, 'demo', () => Promise.resolve(apis), options);
  return { names: itemsOf({ byKey }), version: resourceVersion };
}

test('A list is read page by page, with what each page says of the next one.', async () => {
  const { apis, asked } = apiOf({ names: ['a', 'b'], next: 'more' }, { names: ['c'], version: '7', next: '' });
  expect(await list(apis)).toEqual({ names: ['a', 'b', 'c'], version: '7' });
  expect(asked).toEqual(['/api/v1/nodes?limit=500', '/api/v1/nodes?limit=500&continue=more']);
});

test('A list whose beginning the server has forgotten is begun again, and nothing of the first attempt is left.', async () => {
  const { apis, asked } = apiOf({ names: ['old'], next: 'more' }, gone, { names: ['new'] });
  expect(await list(apis)).toMatchObject({ names: ['new'] });
  expect(asked[2]).toBe('/api/v1/nodes?limit=500');
});

test('A list that is older than what has been seen is not taken.', async () => {
  const { apis } = apiOf({ names: ['old'], version: '9' }, { names: ['new'], version: '10' });
  expect(await list(apis, { notBefore: '10' })).toEqual({ names: ['new'], version: '10' });
});

test.each([
  ['that is older each time', { names: ['old'], version: '9' }, 'kubernetes-unreachable', 'an older state than before'],
  ['that the server forgets each time', gone, 'kubernetes-refused', 'list nodes: too old'],
])('A list %s is given up after three attempts.', async (_title, answer, code, told) => {
  const { apis, asked } = apiOf(answer, answer, answer, answer);
  const error = await list(apis, { notBefore: '10' }).catch((failure: unknown) => failure);
  expect(error).toMatchObject({ code, message: expect.stringContaining(told) });
  expect(asked).toHaveLength(3);
});

test('Selectors go with every page, and what is asked for is told by its name where it fails.', async () => {
  const nodes = apiOf({ names: ['a'], next: 'more' }, { names: ['b'] });
  expect(await listNodes(nodes.apis, 'demo', 'pool=blue')).toHaveLength(2);
  expect(nodes.asked.map((url) => url.includes('labelSelector=pool=blue'))).toEqual([true, true]);
  const pods = apiOf(new ApiException(403, 'no', JSON.stringify({ message: 'not allowed' }), {}));
  await expect(podsOnNodes(pods.apis, 'demo', ['a'])).rejects.toMatchObject({
    code: 'kubernetes-denied',
    message: 'The Kubernetes API of demo refused list the pods of node a: not allowed.',
  });
  expect(pods.asked[0]).toContain('fieldSelector=spec.nodeName=a');
});

test('Calls go 16 at a time: where one takes long, the others do not wait for it, and the results keep their order.', async () => {
  let end = (): void => undefined;
  const slow = new Promise<void>((resolve) => (end = resolve));
  const items = Array.from({ length: 40 }, (_, index) => index);
  const begun: number[] = [];
  let underWay = 0;
  let mostUnderWay = 0;
  const results = inParallel(items, async (item) => {
    begun.push(item);
    mostUnderWay = Math.max(mostUnderWay, (underWay += 1));
    if (item === 39) end();
    await (item === 0 ? slow : nextTurn());
    underWay -= 1;
    return item;
  });
  // The first one ends only once the last one has begun.
  expect(await results).toEqual(items);
  expect(begun).toEqual(items);
  expect(mostUnderWay).toBe(16);
});

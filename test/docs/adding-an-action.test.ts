import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { perform } from '../../activities/perform.ts';
import { startCluster, worldWith, type TestCluster } from '../support/cluster.ts';
import { labelNodesAction } from './label-nodes.ts';

const waitMs = 10;

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startCluster(worldWith([]));
});

afterAll(() => cluster.stop());

test('the page shows the example as it is tested here', async () => {
  const page = await readFile('docs/adding-an-action.md', 'utf8');
  const example = await readFile('test/docs/label-nodes.ts', 'utf8');
  expect(page).toContain(`\`\`\`ts\n${example}\`\`\`\n`);
});

test('the example does what the page asks of an action', async () => {
  const action = labelNodesAction(cluster.clients);
  const nodes = (await cluster.nodeNames()).slice(0, 2);
  const context = cluster.context();
  const input = { nodes, key: 'pool', value: 'reserved' };
  const plan = await action.plan(input, context);
  expect(plan.effects).toEqual(
    nodes.map((name) => ({ object: `Node/${name}`, change: 'set label pool', before: 'general', after: 'reserved' })),
  );
  const surroundings = {
    onProgress: () => undefined,
    signal: new AbortController().signal,
    wait: () => new Promise<void>((resolve) => setTimeout(resolve, waitMs)),
  };
  const first = await perform(action, plan, context, surroundings);
  const second = await perform(action, plan, context, surroundings);
  expect([first.acts, second.acts]).toEqual([1, 0]);
  expect((await action.plan(input, context)).effects).toEqual([]);

  const undo = await action.undo(plan, context);
  expect(undo).toEqual([{ uses: 'kubernetes.labelNodes', with: { nodes, key: 'pool', value: 'general', ignoreMissing: true } }]);
  const [back] = Array.isArray(undo) ? undo : [];
  if (!back) throw new Error('the example has a rollback');
  cluster.cluster.removeNode(nodes[0] ?? '');
  expect((await action.plan({ ...back.with, ignoreMissing: false }, context)).blockers).toHaveLength(1);
  await perform(action, await action.plan(back.with, context), context, surroundings);
  const labels = (await cluster.nodes()).map((node) => node.metadata?.labels?.pool);
  expect(labels).toEqual(labels.map(() => 'general'));
});

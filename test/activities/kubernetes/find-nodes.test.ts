import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { nodesMax } from '../../../runbooks/actions/kubernetes.ts';
import { region, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';

const action = 'kubernetes.findNodes';
let demo: TestCluster;
beforeAll(async () => {
  demo = await startCluster(worldWith([], { nodes: 4 }));
});
afterAll(() => demo.stop());

test('the nodes of a zone are found, and are part of what is signed', async () => {
  const inZone = (await demo.nodes()).filter(({ metadata }) => metadata?.labels?.['topology.kubernetes.io/zone'] === `${region}a`);
  const nodes = inZone.map(({ metadata }) => metadata?.name ?? '').sort();
  expect(nodes.length).toBeGreaterThan(0);
  const plan = await demo.plan(action, { zone: `${region}a` });
  expect(plan).toMatchObject({ facts: { zone: `${region}a`, nodes }, outputs: { nodes }, effects: [], blockers: [] });
  expect(await demo.observe(action, plan)).toEqual({ state: 'done', outputs: { nodes } });
});

test('a zone without nodes is refused with the zones that there are, and one with too many with what else to do', async () => {
  const { blockers } = await demo.plan(action, { zone: 'eu-central-1z' });
  expect(blockers).toMatchObject([
    { object: 'Zone/eu-central-1z', reason: 'No node is in this availability zone.', remedy: expect.stringContaining(`${region}a`) },
  ]);
  const { store } = demo.sandbox.world.cluster('demo')!;
  const [node] = store.list('nodes');
  for (let number = 0; number <= nodesMax; number += 1) {
    const labels = { 'topology.kubernetes.io/zone': 'full' };
    const metadata = { name: `node-${number}`, labels };
    store.create('nodes', { ...node!, metadata }, { part: 'cloud', name: 'seed', verb: 'create' });
  }
  expect((await demo.plan(action, { zone: 'full' })).blockers).toMatchObject([{ remedy: expect.stringContaining('node-maintenance') }]);
});

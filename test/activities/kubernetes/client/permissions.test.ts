import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { drainAsks, mayI, volumeAsks } from '../../../../activities/kubernetes/client/permissions.ts';
import type { Blocker } from '../../../../domain/plan/plan.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';

let demo: TestCluster;
beforeEach(async () => {
  demo = await startCluster(worldWith([]));
});
afterEach(() => demo.stop());

const missing = async (): Promise<Blocker[]> => mayI(await demo.clients.kubernetes(demo.target), 'demo', [...drainAsks, ...volumeAsks]);

test('Nothing is missing where everything is allowed.', async () => {
  expect(await missing()).toEqual([]);
});

test('What is not allowed is told by resource, with the rule that would allow it.', async () => {
  demo.cluster.access.forbid('', 'pods/eviction', 'create');
  demo.cluster.access.forbid('policy', 'poddisruptionbudgets', 'watch');
  demo.cluster.access.forbid('', 'nodes', 'patch', 'delete');
  expect(await missing()).toEqual([
    {
      object: 'Permission/pods/eviction',
      reason: 'The worker may not create pods/eviction in all namespaces.',
      remedy:
        'Add this rule to the ClusterRole of the worker, then plan again: ' +
        '{"apiGroups":[""],"resources":["pods/eviction"],"verbs":["create"]}.',
    },
    {
      object: 'Permission/nodes',
      reason: 'The worker may not patch nodes in all namespaces.',
      remedy:
        'Add this rule to the ClusterRole of the worker, then plan again: {"apiGroups":[""],"resources":["nodes"],"verbs":["patch"]}.',
    },
    {
      object: 'Permission/poddisruptionbudgets',
      reason: 'The worker may not watch poddisruptionbudgets in all namespaces.',
      remedy:
        'Add this rule to the ClusterRole of the worker, then plan again: ' +
        '{"apiGroups":["policy"],"resources":["poddisruptionbudgets"],"verbs":["watch"]}.',
    },
  ]);
});

test('What is told as forbidden is refused when it is done.', async () => {
  demo.cluster.access.forbid('', 'nodes', 'list');
  await expect(demo.others.core.listNode()).rejects.toMatchObject({
    code: 403,
    body: expect.stringContaining('nodes is forbidden: User \\"sandbox\\" cannot list resource \\"nodes\\" in API group') as unknown,
  });
});

test('The plan of a drain without the permission to evict is blocked.', async () => {
  demo.cluster.access.forbid('', 'pods/eviction', 'create');
  const plan = await demo.plan('kubernetes.drain', { nodes: (await demo.nodeNames()).slice(0, 1) });
  expect(plan.blockers.map(({ object }) => object)).toEqual(['Permission/pods/eviction']);
});

test('An API server that does not answer is no answer.', async () => {
  demo.proxy.treat = ({ path }) => (path.endsWith('/selfsubjectaccessreviews') ? 'lose-request' : 'pass');
  expect(await failureOf(missing())).toMatchObject({ code: 'kubernetes-unreachable' });
});

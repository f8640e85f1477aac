import { afterEach, expect, test } from '@jest/globals';
import { podView } from '../../activities/kubernetes/view.ts';
import { WatchedList } from '../../activities/kubernetes/watched-list.ts';
import type { PodView } from '../../domain/pod.ts';
import { deployment, eventually } from '../sandbox/kubernetes-fixture.ts';
import { startCluster, worldWith, type TestCluster } from '../support/cluster.ts';

let demo: TestCluster;
let pods: WatchedList<PodView>;
afterEach(async () => {
  await pods.stop();
  await demo.stop();
});

test('a list that is older than what the watch has shown is not taken: what was seen stays seen', async () => {
  demo = await startCluster(worldWith([deployment('web', 3)]), { speed: 10 });
  const kind = { title: 'pods', path: '/api/v1/pods', view: podView };
  pods = new WatchedList(
    kind,
    'demo',
    () => demo.clients.kubernetes(demo.target),
    () => undefined,
  );
  await pods.load();
  pods.follow();
  const [going] = pods.items();
  const { namespace = '', name = '' } = going ?? {};
  await demo.others.core.deleteNamespacedPod({ namespace, name, gracePeriodSeconds: 600 });
  const isSeenGoing = (): boolean => pods.items().some((pod) => pod.name === name && pod.terminating);
  await eventually('the watch to show that it goes', () => (isSeenGoing() ? true : undefined));
  const { faults } = demo.sandbox.world;
  faults.set({ rate: 0, staleMs: 600_000 });
  faults.next({ operation: 'GET pods', kind: 'staleRead' });
  await pods.refresh();
  expect(isSeenGoing()).toBe(true);
});

import { afterEach, expect, test } from '@jest/globals';
import { podView } from '../../../../activities/kubernetes/drain/view.ts';
import { WatchedList } from '../../../../activities/kubernetes/client/watched-list.ts';
import type { PodView } from '../../../../domain/drain/pod.ts';
import { deployment, eventually, template } from '../../../sandbox/kubernetes-fixture.ts';
import { startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';

let demo: TestCluster;
let pods: WatchedList<PodView>;
const follower = { onChange: () => undefined, onFailure: () => undefined };
afterEach(async () => {
  await pods.leave(follower);
  await demo.stop();
});

function listPods(): WatchedList<PodView> {
  const kind = { title: 'pods', path: '/api/v1/pods', view: podView };
  const list = new WatchedList(kind, 'demo', () => demo.clients.kubernetes(demo.target));
  list.join(follower);
  return list;
}

test('where the server answers again after an outage, that is known though nothing happens', async () => {
  demo = await startCluster(worldWith([]), { speed: 10 });
  let lost = 0;
  demo.proxy.treat = ({ path }) => {
    if (!path.includes('watch=true') || lost >= 5) return 'pass';
    lost += 1;
    return 'lose-request';
  };
  pods = listPods();
  await pods.load();
  pods.follow();
  const isWell = (): boolean => {
    try {
      return pods.items().length === 0;
    } catch {
      return false;
    }
  };
  await eventually('the outage to be told', () => (isWell() ? undefined : true));
  await eventually('the outage to be over', () => (isWell() ? true : undefined));
});

test('a list that is older than what the watch has shown is not taken: what was seen stays seen', async () => {
  // Its pods take ten minutes to end, so that they are seen going however slow the machine is.
  const annotations = { 'sandbox.holdpoint.dev/shutdown-seconds': '600' };
  const { metadata, ...rest } = template('web') as { metadata: object };
  const slow = { template: { ...rest, metadata: { ...metadata, annotations } } };
  demo = await startCluster(worldWith([deployment('web', 3, slow)]), { speed: 1 });
  pods = listPods();
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

test('a part that is read anew is known at once, though the watch says nothing', async () => {
  demo = await startCluster(worldWith([deployment('web', 3)]), { speed: 1 });
  demo.proxy.treat = ({ path }) => (path.includes('watch=true') ? 'lose-request' : 'pass');
  pods = listPods();
  await pods.load();
  const [going] = pods.items();
  const { namespace = '', name = '', node = '' } = going ?? {};
  const elsewhere = pods.items().filter((pod) => pod.node !== node);
  await demo.others.core.deleteNamespacedPod({ namespace, name, gracePeriodSeconds: 0 });
  const isHere = (pod: PodView): boolean => pod.node === node;
  await eventually('the pod to be gone', async () => {
    await pods.refreshPart([`spec.nodeName=${node}`], isHere);
    return pods.items().some((pod) => pod.name === name) ? undefined : true;
  });
  expect(pods.items().filter((pod) => pod.node !== node)).toEqual(elsewhere);
});

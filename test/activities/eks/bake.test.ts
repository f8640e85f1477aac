import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { bakeAction } from '../../../activities/eks/bake/bake.ts';
import type { Observation } from '../../../domain/action.ts';
import type { Json } from '../../../domain/json.ts';
import type { ActionPlan } from '../../../domain/plan/plan.ts';
import { keyOf, setCondition } from '../../../sandbox/kubernetes/objects.ts';
import { deployment, until } from '../../sandbox/kubernetes-fixture.ts';
import { startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';

const actor = { part: 'cloud', name: 'the test', verb: 'update' } as const;
const input = { lasts: '10m', recoverWithin: '2m', restartsMax: 0 };
const minuteMs = 60_000;

let demo: TestCluster;
let nowMs = Date.now();
let kept: Json | undefined;

beforeAll(async () => {
  demo = await startCluster(worldWith([deployment('web', 3), deployment('api', 2)], { nodes: 2 }), { speed: 3_000 });
});
afterAll(() => demo.stop());
beforeEach(async () => {
  // Each test begins after the one before, so that no restart of that one counts.
  [nowMs, kept] = [nowMs + minuteMs, undefined];
  demo.proxy.treat = () => 'pass';
  await setReady('web', true);
  await setReady('api', true);
});

/** Sets whether the pods of a Deployment are Ready, and waits until it counts them so. */
async function setReady(name: string, ready: boolean): Promise<void> {
  const pods = demo.cluster.store.list('pods').filter(({ metadata }) => metadata.labels?.app === name);
  for (const pod of pods) {
    demo.cluster.store.update('pods', keyOf(pod), actor, ({ status }) => {
      status.conditions = setCondition(status.conditions, { type: 'Ready', status: ready ? 'True' : 'False' }, new Date().toISOString());
    });
  }
  await until(`${name} counts its pods`, () => {
    const status = demo.cluster.store.get('deployments', 'shop', name)?.status as { readyReplicas?: number };
    return (status.readyReplicas ?? 0) === (ready ? pods.length : 0);
  });
}

const bake = (): ReturnType<typeof bakeAction> => bakeAction(demo.clients, () => nowMs);
const checkpoint = { read: () => kept, write: (value: Json) => void (kept = value) };
const plan = (differences = {}): Promise<ActionPlan> => bake().plan({ ...input, ...differences }, demo.context());

/** What each look says, so many minutes after the last one. */
async function looks(signed: ActionPlan, minutes: number[], context = {}): Promise<Observation[]> {
  const seen: Observation[] = [];
  for (const each of minutes) {
    nowMs += each * minuteMs;
    seen.push(await bake().observe(signed, demo.context({ checkpoint, ...context })));
  }
  return seen;
}

const states = (seen: readonly Observation[]): string[] => seen.map(({ state }) => state);

test('it is done when the time is over and nothing is worse', async () => {
  const signed = await plan({ version: '1.33' });
  expect(signed).toMatchObject({ effects: [], blockers: [], notes: [], details: { baseline: {} } });
  expect(states(await looks(signed, [0, 2, 2, 2, 2, 1, 1]))).toEqual([...Array<string>(6).fill('moving'), 'done']);
});

test('what is worse for too long stops it with the object and the reason, and a retry begins anew', async () => {
  const signed = await plan();
  expect(states(await looks(signed, [0, 1]))).toEqual(['moving', 'moving']);
  await setReady('web', false);
  const seen = await looks(signed, [1, 1, 1]);
  expect(states(seen)).toEqual(['moving', 'moving', 'stuck']);
  expect(seen.at(-1)).toMatchObject({
    reason: 'It is worse than before the bake, for 2m or longer: Deployment/shop/web: 3 of 3 pods are not Ready.',
    remedy: expect.stringContaining('holdpoint undo') as unknown,
  });
  await setReady('web', true);
  const again = await looks(signed, [0, 2, 2, 2, 2, 1, 1], { retry: 1 });
  expect(states(again)).toEqual([...Array<string>(6).fill('moving'), 'done']);
});

test('what recovers in time is passed over, but nothing ends while something is worse', async () => {
  const signed = await plan();
  await looks(signed, [0, 2, 2, 2, 2, 1]);
  await setReady('api', false);
  const worse = await looks(signed, [1]);
  expect(worse).toMatchObject([{ state: 'moving', progress: { summary: expect.stringContaining('Deployment/shop/api') as unknown } }]);
  await setReady('api', true);
  expect(states(await looks(signed, [1]))).toEqual(['done']);
});

test('what was not well before is no regression, and the plan says so without having it signed', async () => {
  const well = await plan();
  await setReady('api', false);
  const signed = await plan();
  expect(signed.facts).toEqual(well.facts);
  expect(signed).toMatchObject({
    details: { baseline: { 'Deployment/shop/api': 2 } },
    notes: ['Not well already, and no worse by that: Deployment/shop/api.'],
  });
  expect(states(await looks(signed, [0, 2, 2, 2, 2, 2]))).toEqual([...Array<string>(5).fill('moving'), 'done']);
});

test('a container that has restarted since it began is told with its reason', async () => {
  const signed = await plan();
  await looks(signed, [0]);
  const [pod] = demo.cluster.store.list('pods').filter(({ metadata }) => metadata.labels?.app === 'web');
  demo.cluster.store.update('pods', keyOf(pod!), actor, ({ status }) => {
    const finishedAt = new Date(nowMs + 1_000).toISOString();
    Object.assign(status.containerStatuses?.[0] ?? {}, { lastState: { terminated: { reason: 'OOMKilled', finishedAt } } });
  });
  expect((await looks(signed, [1, 2])).at(-1)).toMatchObject({
    state: 'stuck',
    reason: expect.stringContaining('Deployment/shop/web: 1 containers have restarted since the bake began') as unknown,
  });
});

test('a control plane at another version stops it', async () => {
  const signed = await plan({ version: '1.34', recoverWithin: '0s' });
  expect(await looks(signed, [0])).toMatchObject([
    { state: 'stuck', reason: expect.stringContaining('it is at 1.33, not at 1.34') as unknown },
  ]);
});

test('an API server that is not ready, or of another version, stops it', async () => {
  const signed = await plan({ version: '1.33', recoverWithin: '0s' });
  demo.proxy.treat = ({ path }) => (path.endsWith('/readyz') ? { status: 500, body: '[-]etcd failed' } : 'pass');
  expect(await looks(signed, [0])).toMatchObject([
    { reason: expect.stringContaining('APIServer/readyz: it answers 500, not 200') as unknown },
  ]);
  const version = { status: 200, headers: { 'content-type': 'application/json' }, body: '{"gitVersion":"v1.32.9-eks-1"}' };
  demo.proxy.treat = ({ path }) => (path.endsWith('/version') ? version : 'pass');
  expect(await looks(signed, [0])).toMatchObject([
    { reason: expect.stringContaining('APIServer/version: it says that it is v1.32.9-eks-1, not 1.33') as unknown },
  ]);
  kept = undefined;
  // Whoever may not ask knows nothing of it, and says so in the plan.
  demo.proxy.treat = ({ path }) => (path.endsWith('/readyz') ? { status: 403, body: 'no' } : 'pass');
  expect((await plan()).notes).toEqual(['The answers of /readyz cannot be read, so nothing is known of them.']);
  expect(states(await looks(signed, [0]))).toEqual(['moving']);
});

test('alarms and queries have to be as they should, whatever they were before, and are signed', async () => {
  const gates = { alarms: ['latency'], queries: [{ endpoint: 'metrics', query: 'errors', below: 5 }] };
  const clients = { ...demo.clients, endpoints: async () => ({ metrics: { url: `${demo.sandbox.url}/prometheus/` } }) };
  const { alarms, queries } = demo.sandbox.world;
  const say = (state: 'OK' | 'ALARM', errors: number): void => {
    alarms.set('latency', { name: 'latency', kind: 'metric', state });
    queries.set('errors', { scalar: String(errors) });
  };
  const gated = bakeAction(clients, () => nowMs);
  const look = (signed: ActionPlan): Promise<Observation> => gated.observe(signed, demo.context({ checkpoint }));
  say('ALARM', 9);
  const signed = await gated.plan({ ...input, recoverWithin: '0s', ...gates }, demo.context());
  expect(signed).toMatchObject({ facts: gates, details: { baseline: {} } });
  expect(signed.notes).toEqual([
    expect.stringContaining('Query/metrics/errors: the value is 9, not below 5'),
    expect.stringContaining('Alarms: latency is ALARM'),
  ]);
  expect(await look(signed)).toMatchObject({ state: 'stuck', reason: expect.stringContaining('Alarms: latency is ALARM') as unknown });
  say('OK', 1);
  expect(await look(signed)).toMatchObject({ state: 'moving' });
  // What does not answer is not well.
  alarms.clear();
  expect(await look(signed)).toMatchObject({ state: 'stuck', reason: expect.stringContaining('there is no alarm latency') as unknown });
  alarms.clear();
  queries.clear();
});

test('over a watch it lists the pods once, however often it looks', async () => {
  const signed = await plan();
  const pods = /^GET \S*\/api\/v1\/pods(\?(?!.*watch)|$)/;
  const before = demo.proxy.requests.filter((made) => pods.test(made)).length;
  const following = await bake().follow!(signed, demo.context({ checkpoint }));
  for (const minutes of [0, 1, 1]) {
    nowMs += minutes * minuteMs;
    expect(await following.observe()).toMatchObject({ state: 'moving', progress: { summary: 'nothing is worse than before' } });
  }
  await setReady('web', false);
  await until('the watch to tell', async () => (await following.observe()).progress?.summary.includes('Deployment/shop/web') ?? false);
  await following.stop();
  expect(demo.proxy.requests.filter((made) => pods.test(made)).length - before).toBe(1);
});

test('what nobody has looked at for minutes does not count: it begins anew', async () => {
  const signed = await plan();
  await looks(signed, [0, 2, 2, 2, 2]);
  expect(states(await looks(signed, [3, 2, 2, 2, 2, 2]))).toEqual([...Array<string>(5).fill('moving'), 'done']);
});

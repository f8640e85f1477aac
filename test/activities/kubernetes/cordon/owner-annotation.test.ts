import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PatchStrategy, setHeaderOptions, type V1Node } from '@kubernetes/client-node';
import type { KubernetesApis } from '../../../../activities/kubernetes/client/connect.ts';
import {
  cordonAnnotation,
  cordonNode,
  cordonOwner,
  cordonState,
  liftCordon,
  liftCordonsOf,
  runsAnnotating,
  takeOut,
  turnBegan,
} from '../../../../activities/kubernetes/cordon/owner-annotation.ts';
import { failureOf, replaceNode, startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';
import { once, type Treatment } from '../../../support/proxy.ts';

const details = 'holdpoint.dev/cordon-details';
const drainBegan = 'holdpoint.dev/drain-began';
const excluded = 'node.kubernetes.io/exclude-from-external-load-balancers';
const isoTime = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

let demo: TestCluster;
let apis: KubernetesApis;
let subject: { name: string; uid: string };

beforeEach(async () => {
  demo = await startCluster(worldWith([], { nodes: 2 }));
  apis = await demo.clients.kubernetes(demo.target);
  const [first] = await demo.nodes();
  subject = { name: first?.metadata?.name ?? '', uid: first?.metadata?.uid ?? '' };
});

afterEach(() => demo.stop());

const cordon = (run = 'r-1') => cordonNode(apis, 'demo', subject, run);
const begin = async (run = 'r-1') => (await takeOut(apis, 'demo', subject, run, { cordon: false, begin: true })).began ?? 'gone';
const lift = (run = 'r-1') => liftCordon(apis, 'demo', { name: subject.name }, run);

async function node(): Promise<V1Node> {
  return demo.others.core.readNode({ name: subject.name });
}

/** What of a node can be ours: whether it is cordoned, its marks, and the label. */
async function marks(): Promise<{ cordoned: boolean; annotations: Record<string, string>; label: string | undefined }> {
  const { metadata, spec } = await node();
  const annotations = Object.entries(metadata?.annotations ?? {}).filter(([key]) => key.startsWith('holdpoint.dev/'));
  return { cordoned: spec?.unschedulable === true, annotations: Object.fromEntries(annotations), label: metadata?.labels?.[excluded] };
}

async function byHand(body: object, fieldManager = 'kubectl-cordon'): Promise<void> {
  await demo.others.core.patchNode(
    { name: subject.name, body, fieldManager },
    setHeaderOptions('Content-Type', PatchStrategy.StrategicMergePatch),
  );
}

/** `kubectl uncordon` and `kubectl cordon`. */
async function cordonAnewByHand(): Promise<void> {
  await byHand({ spec: { unschedulable: null } });
  await byHand({ spec: { unschedulable: true } });
}

const untouched = { cordoned: false, annotations: {}, label: undefined };
const cordonedByHand = { cordoned: true, annotations: {}, label: undefined };

async function detailsNow(): Promise<unknown> {
  return JSON.parse((await marks()).annotations[details] ?? 'null');
}

describe('a cordon', () => {
  test('says whose it is, since when and what was before, and lifting it takes all of that away', async () => {
    expect(await cordon()).toBe('ours');
    expect((await marks()).annotations[cordonAnnotation]).toBe('r-1');
    const before = { unschedulable: false, excludedFromLoadBalancers: false };
    expect(await detailsNow()).toEqual({ run: 'r-1', at: expect.stringMatching(isoTime), before });
    expect(await lift()).toBe(true);
    expect(await marks()).toEqual(untouched);
    expect(await lift()).toBe(false);
  });

  test('that was lifted and set again by hand is theirs: the run takes back its mark only', async () => {
    await cordon();
    await begin();
    await cordonAnewByHand();
    expect((await marks()).annotations[cordonAnnotation]).toBe('r-1');
    expect([cordonState(await node(), 'r-1'), cordonOwner(await node())]).toEqual(['foreign', undefined]);
    expect(await cordon()).toBe('foreign');
    const plan = await demo.plan('kubernetes.cordon', { nodes: [subject.name] });
    expect(plan.notes).toEqual([
      `Node ${subject.name} is cordoned already, by hand or another tool; this run leaves that cordon as it is.`,
    ]);
    expect(await liftCordonsOf(apis, 'demo', 'r-1')).toEqual([subject.name]);
    expect(await marks()).toEqual(cordonedByHand);
  });

  test('that was only lifted by hand is set again by the run, as its own', async () => {
    await cordon();
    const began = await begin();
    await byHand({ spec: { unschedulable: null } });
    expect(await cordon()).toBe('ours');
    expect(cordonState(await node(), 'r-1')).toBe('ours');
    expect(await begin()).toEqual(began);
    await lift();
    expect(await marks()).toEqual(untouched);
  });

  test('stays the run’s where others change something else of the node', async () => {
    await cordon();
    await byHand({ metadata: { labels: { team: 'a' } }, spec: { unschedulable: true } });
    expect(cordonState(await node(), 'r-1')).toBe('ours');
  });

  test.each([
    ['nobody', [], 'ours'],
    ['us', ['holdpoint'], 'ours'],
    ['us and others', ['kubectl', 'holdpoint'], 'ours'],
    ['others', ['kubectl'], 'foreign'],
    ['managers that are summed up', ['ancient-changes'], 'ours'],
    ['whoever came before the first apply', ['before-first-apply', 'argocd'], 'ours'],
  ])('with our mark, whose field is owned by %s', (_who, managers, state) => {
    const managedFields = ['kubelet', ...managers].map((manager) => ({
      manager,
      fieldsV1: manager === 'kubelet' ? { 'f:metadata': { 'f:labels': {} } } : { 'f:spec': { 'f:unschedulable': {} } },
    }));
    const metadata = { annotations: { [cordonAnnotation]: 'r-1' }, managedFields };
    expect(cordonState({ metadata, spec: { unschedulable: true } }, 'r-1')).toBe(state);
    expect(cordonState({ metadata: { ...metadata, managedFields: undefined }, spec: { unschedulable: true } }, 'r-1')).toBe('ours');
  });
});

describe('the beginning of a drain', () => {
  test('takes the node out of load balancers and notes when, once, until the cordon is lifted', async () => {
    await cordon();
    expect(turnBegan(await node(), 'r-1')).toBeUndefined();
    const began = await begin();
    expect(await marks()).toMatchObject({ label: '', annotations: { [drainBegan]: (began as Date).toISOString() } });
    expect(turnBegan(await node(), 'r-1')).toEqual(began);
    expect(await begin()).toEqual(began);
    await lift();
    expect(await marks()).toEqual(untouched);
    expect(demo.report()).toMatchObject({ violations: [] });
  });

  test('is told as it was noted where the answer was lost', async () => {
    await cordon();
    demo.proxy.treat = once(({ method }) => method === 'PATCH', 'lose-answer');
    expect(await failureOf(begin())).toMatchObject({ code: 'kubernetes-unreachable' });
    const noted = turnBegan(await node(), 'r-1');
    expect(noted).toBeInstanceOf(Date);
    expect(await begin()).toEqual(noted);
  });

  test.each([
    ['before the cordon', 'true', true],
    ['between the cordon and the drain', '', false],
  ])('leaves the label alone that somebody has set %s', async (_when, value, first) => {
    if (first) await byHand({ metadata: { labels: { [excluded]: value } } });
    await cordon();
    if (!first) await byHand({ metadata: { labels: { [excluded]: value } } });
    await begin();
    expect((await marks()).label).toBe(value);
    await lift();
    expect(await marks()).toEqual({ ...untouched, label: value });
  });

  test('at a node that somebody else has cordoned leaves that cordon and puts no mark of a cordon beside it', async () => {
    await byHand({ spec: { unschedulable: true } });
    expect(await cordon()).toBe('foreign');
    await begin();
    const { annotations, label } = await marks();
    expect([Object.keys(annotations).sort(), label]).toEqual([[details, drainBegan], '']);
    expect(await detailsNow()).toMatchObject({ run: 'r-1', before: { unschedulable: true } });
    expect(runsAnnotating(await node())).toEqual(['r-1']);
    expect(await liftCordonsOf(apis, 'demo', 'r-1')).toEqual([subject.name]);
    expect(await marks()).toEqual(cordonedByHand);
    expect(demo.report()).toMatchObject({ violations: [] });
  });

  test('at a node that another run has cordoned is taken back without touching what is that run’s', async () => {
    await cordon('r-0');
    await begin('r-1');
    expect(runsAnnotating(await node()).sort()).toEqual(['r-0', 'r-1']);
    await lift('r-1');
    // r-0 may be draining it still: what its drain has set stays until r-0 takes it back.
    expect(await marks()).toMatchObject({ cordoned: true, annotations: { [cordonAnnotation]: 'r-0' }, label: '' });
    expect(runsAnnotating(await node())).toEqual(['r-0']);
    await lift('r-0');
    expect(await marks()).toEqual(untouched);
  });

  test('is nothing to a run that comes after a dead one: it begins anew, and knows how the node was before both', async () => {
    await cordon('r-0');
    const earlier = await begin('r-0');
    await byHand({ spec: { unschedulable: null } });
    expect(await cordon('r-1')).toBe('ours');
    expect([turnBegan(await node(), 'r-1'), (await marks()).label]).toEqual([undefined, undefined]);
    expect(Number(await begin('r-1'))).toBeGreaterThanOrEqual(Number(earlier));
    expect(runsAnnotating(await node())).toEqual(['r-1']);
    await lift('r-1');
    expect(await marks()).toEqual(untouched);
  });

  test('looks again where the node is changed meanwhile, and keeps that change', async () => {
    await cordon();
    let changed = false;
    demo.proxy.treat = async ({ method }): Promise<Treatment> => {
      if (method === 'PATCH' && !changed) {
        changed = true;
        await byHand({ metadata: { labels: { [excluded]: 'mine' } } });
      }
      return 'pass';
    };
    await begin();
    expect((await marks()).label).toBe('mine');
    await lift();
    expect((await marks()).label).toBe('mine');
  });

  test('is none where the node is gone or has been replaced', async () => {
    replaceNode(demo, subject.name);
    expect([await begin(), await cordon()]).toEqual(['gone', 'gone']);
    demo.cluster.removeNode(subject.name);
    expect([await begin(), await cordon(), await lift()]).toEqual(['gone', 'gone', false]);
    expect(demo.report().counters.requests['PATCH nodes']).toBeUndefined();
  });
});

describe('marks that somebody has spoiled', () => {
  test.each(['', '{', 'null', '[]', '{"run":7}', '{"run":"r-1","before":{}}', '{"run":"r-1"}'])('details %j', async (text) => {
    await cordon();
    await begin();
    await byHand({ metadata: { annotations: { [details]: text } } });
    expect(cordonState(await node(), 'r-1')).toBe('ours');
    // Nobody knows any more whether the label was there before.
    await lift();
    expect(await marks()).toEqual({ ...untouched, label: '' });
  });

  test('a time that is none', async () => {
    await cordon();
    await begin();
    await byHand({ metadata: { annotations: { [drainBegan]: 'soon' } } });
    expect(turnBegan(await node(), 'r-1')).toBeUndefined();
    expect(await begin()).toBeInstanceOf(Date);
    await lift();
    expect(await marks()).toEqual(untouched);
  });
});

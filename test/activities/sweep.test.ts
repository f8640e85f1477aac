import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PatchStrategy, setHeaderOptions } from '@kubernetes/client-node';
import { createEvidenceDirectory } from '../../activities/evidence/directory.ts';
import { takeOut, cordonAnnotation, cordonNode } from '../../activities/kubernetes/cordon/owner-annotation.ts';
import type { LatestRun } from '../../activities/runs.ts';
import type { KubernetesApis } from '../../activities/kubernetes/client/connect.ts';
import { annotationsAt } from '../../activities/system.ts';
import { findOwnerAnnotations, sweepSettleMs, liftOwnerAnnotations, type SweepParts } from '../../activities/sweep.ts';
import { startCluster, worldWith, type TestCluster } from '../support/cluster.ts';

const longAgo = new Date('2026-11-21T05:24:07Z');
const closed: LatestRun = { state: 'closed', changedAt: longAgo };
const open = (run?: string): LatestRun => ({ state: 'open', run, changedAt: longAgo });

let demo: TestCluster;
let directory: string;
let parts: SweepParts;
let nodes: { name: string; uid: string }[];
let apis: KubernetesApis;
let latest: LatestRun;
/** What happens before Temporal answers which run there is. */
let beforeAnswer: () => Promise<unknown>;

beforeEach(async () => {
  demo = await startCluster(worldWith([], { nodes: 3 }));
  nodes = (await demo.nodes()).map(({ metadata }) => ({ name: metadata?.name ?? '', uid: metadata?.uid ?? '' }));
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-sweep-'));
  const evidence = createEvidenceDirectory(directory);
  for (const run of ['r-0', 'r-1']) await evidence.append(run, { sequence: 1, kind: 'run.started', body: {} });
  latest = closed;
  beforeAnswer = async () => undefined;
  const latestRun = async (): Promise<LatestRun> => {
    await beforeAnswer();
    return latest;
  };
  apis = await demo.clients.kubernetes(demo.target);
  parts = { annotations: annotationsAt(demo.systems, demo.target), latestRun, evidence, settleMs: sweepSettleMs };
});

afterEach(async () => {
  await demo.stop();
  await rm(directory, { recursive: true, force: true });
});

const at = (index: number): { name: string; uid: string } => nodes[index] ?? { name: '', uid: '' };
const cordon = (index: number, run: string) => cordonNode(apis, 'demo', at(index), run);

/** For each node whether it takes pods, and whose mark it carries. */
async function cordons(): Promise<string[]> {
  return (await demo.nodes()).map(({ spec, metadata }) => {
    const mark = metadata?.annotations?.[cordonAnnotation];
    return [spec?.unschedulable === true ? 'cordoned' : 'open', ...(mark === undefined ? [] : [mark])].join(' ');
  });
}

async function byHand(index: number, body: object): Promise<void> {
  const asMerge = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
  await demo.others.core.patchNode({ name: at(index).name, body, fieldManager: 'kubectl-cordon' }, asMerge);
}

async function sweep(): Promise<Awaited<ReturnType<typeof liftOwnerAnnotations>>> {
  return liftOwnerAnnotations(parts, (await findOwnerAnnotations(parts)).dead);
}

describe('what is dead', () => {
  test('is every owner annotation of a run that is over, and nothing else', async () => {
    await cordon(0, 'r-0');
    await takeOut(apis, 'demo', at(0), 'r-0', { cordon: false, begin: true });
    await byHand(1, { spec: { unschedulable: true } });
    expect(await findOwnerAnnotations(parts)).toEqual({ dead: [{ node: at(0).name, run: 'r-0' }], kept: [], settlesInMs: 0 });
    expect(await sweep()).toEqual([{ node: at(0).name, run: 'r-0' }]);
    expect(await cordons()).toEqual(['open', 'cordoned', 'open']);
    expect((await demo.nodes())[0]?.metadata?.labels).not.toHaveProperty(['node.kubernetes.io/exclude-from-external-load-balancers']);
    expect(await findOwnerAnnotations(parts)).toEqual({ dead: [], kept: [], settlesInMs: 0 });
    expect(demo.report()).toMatchObject({ violations: [], counters: { foreignCordonsLifted: 0 } });
  });

  test('are the owner annotations of earlier runs beside those of the run that is open', async () => {
    await cordon(0, 'r-0');
    await cordon(1, 'r-1');
    latest = open('r-1');
    expect(await findOwnerAnnotations(parts)).toMatchObject({
      dead: [{ node: at(0).name, run: 'r-0' }],
      kept: [{ node: at(1).name, run: 'r-1', why: 'the run is open' }],
    });
    await sweep();
    expect(await cordons()).toEqual(['open', 'cordoned r-1', 'open']);
  });

  test('is the mark, but not the cordon, where somebody has set it again by hand', async () => {
    await cordon(0, 'r-0');
    await byHand(0, { spec: { unschedulable: null } });
    await byHand(0, { spec: { unschedulable: true } });
    await sweep();
    expect(await cordons()).toEqual(['cordoned', 'open', 'open']);
  });

  test('is what the beginning of a drain has left at a node that somebody else has cordoned', async () => {
    await byHand(0, { spec: { unschedulable: true } });
    await takeOut(apis, 'demo', at(0), 'r-0', { cordon: false, begin: true });
    expect(await sweep()).toEqual([{ node: at(0).name, run: 'r-0' }]);
    const [node] = await demo.nodes();
    expect(Object.keys(node?.metadata?.annotations ?? {}).filter((key) => key.startsWith('holdpoint.dev/'))).toEqual([]);
    expect(await cordons()).toEqual(['cordoned', 'open', 'open']);
  });

  test('is not known of a run without a record here, which may be another Holdpoint’s', async () => {
    await cordon(0, 'r-77');
    const { dead, kept } = await findOwnerAnnotations(parts);
    const why = `there is no record of this run here (${join(directory, 'r-77')}): it may belong to another Holdpoint`;
    expect([dead, kept]).toEqual([[], [{ node: at(0).name, run: 'r-77', why }]]);
  });

  test('is known of a run whose record is damaged, and not of one whose mark can be the id of no run', async () => {
    await mkdir(join(directory, 'r-5'));
    await writeFile(join(directory, 'r-5', '000000001.json'), 'torn\n');
    await cordon(0, 'r-5');
    await cordon(1, '../secrets');
    const { dead, kept } = await findOwnerAnnotations(parts);
    expect(dead.map(({ run }) => run)).toEqual(['r-5']);
    expect(kept.map(({ run }) => run)).toEqual(['../secrets']);
  });

  test('is nothing while the workflow that is open does not say which run it is', async () => {
    await cordon(0, 'r-0');
    latest = open();
    const why = 'the workflow that is open on the target does not say which run it carries out';
    expect(await findOwnerAnnotations(parts)).toMatchObject({ dead: [], kept: [{ run: 'r-0', why }] });
    expect(await liftOwnerAnnotations(parts, [{ node: at(0).name, run: 'r-0' }])).toEqual([]);
  });

  test('is waited for where the run has ended just now: its last attempt may still be at work', async () => {
    await cordon(0, 'r-0');
    latest = { state: 'closed', changedAt: new Date() };
    const { settlesInMs } = await findOwnerAnnotations(parts);
    expect(settlesInMs).toBeGreaterThan(0);
    expect(settlesInMs).toBeLessThanOrEqual(10_000);
    // A history that is gone has ended long ago.
    latest = { state: 'closed' };
    expect(await findOwnerAnnotations(parts)).toMatchObject({ settlesInMs: 0 });
  });
});

describe('a run that begins while a sweep looks', () => {
  const begins = async (): Promise<void> => {
    latest = open('r-1');
    await cordon(0, 'r-1');
  };

  test('keeps its cordons: they are listed before Temporal is asked', async () => {
    beforeAnswer = begins;
    expect((await findOwnerAnnotations(parts)).dead).toEqual([]);
    expect(await sweep()).toEqual([]);
    expect(await cordons()).toEqual(['cordoned r-1', 'open', 'open']);
  });

  test('would lose them if Temporal were asked first', async () => {
    const answer = await parts.latestRun();
    await begins();
    const asked = { ...parts, latestRun: async () => answer };
    expect((await findOwnerAnnotations(asked)).dead).toEqual([{ node: at(0).name, run: 'r-1' }]);
  });

  test('keeps its cordons where a dead run has left owner annotations at the same nodes', async () => {
    await cordon(0, 'r-0');
    const { dead } = await findOwnerAnnotations(parts);
    await byHand(0, { spec: { unschedulable: null } });
    await begins();
    expect(await liftOwnerAnnotations(parts, dead)).toEqual([]);
    expect(await cordons()).toEqual(['cordoned r-1', 'open', 'open']);
  });
});

test('a run that comes back to life before its annotations are lifted keeps them', async () => {
  await cordon(0, 'r-0');
  const { dead } = await findOwnerAnnotations(parts);
  latest = open('r-0');
  expect(await liftOwnerAnnotations(parts, dead)).toEqual([]);
  expect(await cordons()).toEqual(['cordoned r-0', 'open', 'open']);
});

test('several sweeps at once lift each mark once', async () => {
  for (const index of [0, 1, 2]) await cordon(index, 'r-0');
  const lifted = (await Promise.all([sweep(), sweep(), sweep()])).flat();
  expect(lifted.map(({ node }) => node).sort()).toEqual(nodes.map(({ name }) => name).sort());
  expect(await cordons()).toEqual(['open', 'open', 'open']);
  expect(demo.report()).toMatchObject({ violations: [], counters: { foreignCordonsLifted: 0 } });
});

import { describe, expect, test } from '@jest/globals';
import { baselineOf, unwellOf, worseThan, type Health, type PodOfBake } from '../../../domain/bake/bake.ts';

const web = 'Deployment/shop/web';
const limits = { sinceMs: 1_000, restartsMax: 1 };

function health(differences: Partial<Health> = {}): Health {
  return { unwell: [], workloads: [{ object: web, wanted: 3, ready: 3 }], pods: [], ...differences };
}

function lacking(count: number, pods: PodOfBake[] = []): Health {
  return health({ workloads: [{ object: web, wanted: 3, ready: 3 - count }], pods });
}

function pod(differences: Partial<PodOfBake> = {}): PodOfBake {
  return { owner: web, ready: true, waiting: [], restarts: [], ...differences };
}

const node = { object: 'Node/one', reason: 'it is not Ready' };

describe('what a bake finds worse than before', () => {
  const cases: { title: string; before?: Health; now: Health; worse: string[] }[] = [
    { title: 'nothing where all is well', now: health(), worse: [] },
    { title: 'a node that was Ready', now: health({ unwell: [node] }), worse: ['Node/one: it is not Ready'] },
    { title: 'no node that was not Ready before', before: health({ unwell: [node] }), now: health({ unwell: [node] }), worse: [] },
    { title: 'a workload that lacks a pod', now: lacking(1), worse: [`${web}: 1 of 3 pods are not Ready`] },
    { title: 'no workload that lacks as many as before', before: lacking(1), now: lacking(1), worse: [] },
    { title: 'a workload that lacks more than before', before: lacking(1), now: lacking(2), worse: [`${web}: 2 of 3 pods are not Ready`] },
    { title: 'nothing where something is better', before: lacking(2), now: lacking(1), worse: [] },
    {
      title: 'why containers do not run, each reason once',
      now: lacking(2, [pod({ ready: false, waiting: ['CrashLoopBackOff'] }), pod({ ready: false, waiting: ['CrashLoopBackOff'] })]),
      worse: [`${web}: 2 of 3 pods are not Ready (CrashLoopBackOff)`],
    },
    {
      title: 'pods of owners that say nothing of how many they want',
      now: health({ pods: [pod({ owner: 'Rollout/shop/api', ready: false }), pod({ owner: 'Rollout/shop/api' })] }),
      worse: ['Rollout/shop/api: 1 of 2 pods are not Ready'],
    },
    { title: 'no restart from before the bake', now: health({ pods: [pod({ restarts: [{ atMs: 1_000, reason: 'Error' }] })] }), worse: [] },
    {
      title: 'as many restarts as are allowed',
      now: health({ pods: [pod({ restarts: [{ atMs: 1_001, reason: 'Error' }] })] }),
      worse: [],
    },
    {
      title: 'more restarts than are allowed, with the last reason',
      now: health({
        pods: [pod({ restarts: [{ atMs: 3_000, reason: 'OOMKilled' }] }), pod({ restarts: [{ atMs: 2_000, reason: 'Error' }] })],
      }),
      worse: [`${web}: 2 containers have restarted since the bake began, more than 1 (the last one: OOMKilled)`],
    },
  ];

  test.each(cases)('$title', ({ before = health(), now, worse }) => {
    const found = worseThan(baselineOf(before), now, limits);
    expect(found.map(({ object, reason }) => `${object}: ${reason}`)).toEqual(worse);
  });

  test('a pod is counted by its workload only', () => {
    expect(unwellOf(lacking(1, [pod({ ready: false })]))).toHaveLength(1);
  });
});

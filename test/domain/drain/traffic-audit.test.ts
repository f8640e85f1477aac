import { describe, expect, test } from '@jest/globals';
import { trafficWarnings, type TrafficPod } from '../../../domain/drain/traffic-audit.ts';

/** A pod of Deployment shop/web that loses nothing when it is moved, as far as nothing else is said. */
function podOf(differences: Partial<TrafficPod> = {}): TrafficPod {
  return {
    workload: 'Deployment shop/web',
    replicas: 3,
    hasBudget: true,
    graceSeconds: 30,
    hasPorts: true,
    hasReadinessProbe: true,
    hasPreStop: true,
    preStopSleepSeconds: 10,
    ...differences,
  };
}

const silent: { title: string; pod: Partial<TrafficPod> }[] = [
  { title: 'that ends in order', pod: {} },
  { title: 'that serves nothing', pod: { hasPorts: false, hasReadinessProbe: false, hasPreStop: false, preStopSleepSeconds: undefined } },
  { title: 'whose preStop hook does not sleep', pod: { preStopSleepSeconds: undefined } },
  { title: 'whose sleep leaves time', pod: { preStopSleepSeconds: 29 } },
  { title: 'that is the only one of its workload, without a budget', pod: { replicas: 1, hasBudget: false } },
  { title: 'that is the only one of several to be moved, without a budget', pod: { hasBudget: false } },
];
test.each(silent)('A pod $title is worth no warning.', ({ pod }) => expect(trafficWarnings([podOf(pod)])).toEqual([]));

const web = 'Deployment shop/web: 1 pod';
const loud: { title: string; pod: Partial<TrafficPod>; kind: string; sentence: string }[] = [
  {
    title: 'no readiness probe',
    pod: { hasReadinessProbe: false, hasPreStop: false, preStopSleepSeconds: undefined },
    kind: 'no-readiness-probe',
    sentence: `${web} without a readiness probe: their successors get requests, and count for budgets, before they can answer.`,
  },
  {
    title: 'no preStop hook',
    pod: { hasPreStop: false, preStopSleepSeconds: undefined, graceSeconds: 3 },
    kind: 'no-pre-stop',
    sentence: `${web} without a preStop hook (grace period 3 s): they are told to end while requests still come in.`,
  },
  {
    title: 'no grace period',
    pod: { graceSeconds: 0 },
    kind: 'no-grace',
    sentence: `${web} with terminationGracePeriodSeconds 0: they are killed in the middle of whatever they do.`,
  },
  {
    title: 'a sleep as long as the grace period',
    pod: { preStopSleepSeconds: 30 },
    kind: 'pre-stop-exceeds-grace',
    sentence: `${web} whose preStop sleeps 30 s of a grace period of 30 s: no time is left to end in order.`,
  },
];
test.each(loud)('A pod with $title is worth one warning.', ({ pod, kind, sentence }) => {
  const warnings = trafficWarnings([podOf(pod)]);
  expect(warnings.map((warning) => ({ kind: warning.kind, sentence: warning.sentence }))).toEqual([{ kind, sentence }]);
  expect(warnings[0]?.remedy).toMatch(/\.$/);
});

describe('several pods', () => {
  test('Replicas without a budget that are moved together are told with their numbers.', () => {
    const pods = [podOf({ hasBudget: false }), podOf({ hasBudget: false })];
    expect(trafficWarnings(pods)).toEqual([
      {
        kind: 'no-budget',
        workload: 'Deployment shop/web',
        sentence: 'Deployment shop/web: 2 pods of 3 without a PodDisruptionBudget: all of them may be gone at once.',
        remedy: 'Give the workload a PodDisruptionBudget, e.g. with maxUnavailable: 1.',
      },
    ]);
  });

  test('There is one warning for each workload and kind, in the order of workloads, counting the pods that have the trouble.', () => {
    const pods = [
      podOf({ graceSeconds: 0 }),
      podOf(),
      podOf({ graceSeconds: 0, workload: 'Deployment shop/api' }),
      podOf({ graceSeconds: 0 }),
    ];
    expect(trafficWarnings(pods).map(({ sentence }) => sentence.split(' with ')[0])).toEqual([
      'Deployment shop/api: 1 pod',
      'Deployment shop/web: 2 pods',
    ]);
  });
});

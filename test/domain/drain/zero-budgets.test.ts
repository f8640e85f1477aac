import { describe, expect, test } from '@jest/globals';
import { zeroBudgets } from '../../../domain/drain/zero-budgets.ts';
import type { PodView } from '../../../domain/drain/pod.ts';
import { nodeKindNotes, nodeKindOf } from '../../../domain/drain/node-kinds.ts';
import { budgetOf, podOf, podsElsewhere } from './drain-objects.ts';

describe('budgets that allow 0 disruptions for good', () => {
  const shut = budgetOf({ minAvailable: '3', disruptionsAllowed: 0, currentHealthy: 3, desiredHealthy: 3, expectedPods: 3 });

  test.each<[string, Partial<PodView>]>([
    ['on its way out (field case 03)', { terminating: true }],
    ['that is Pending (field case 04)', { phase: 'Pending' }],
    ['that has ended', { phase: 'Failed' }],
  ])('are none over a pod %s: the API server asks no budget for it.', (_title, differences) => {
    expect(zeroBudgets([shut], [podOf()])).toHaveLength(1);
    expect(zeroBudgets([shut], [podOf(differences)])).toEqual([]);
  });

  test('count leftovers that are elsewhere (field case 06).', () => {
    const budget = budgetOf({ minAvailable: '2', disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 2, expectedPods: 4 });
    const all = [podOf(), ...podsElsewhere(1), podOf({ name: 'old-1', phase: 'Failed' }), podOf({ name: 'old-2', phase: 'Failed' })];
    expect(zeroBudgets([budget], [podOf()], all)).toMatchObject([
      { reason: 'It allows 0 disruptions: 2 of 4 pods must stay healthy, and 2 of them have ended for good.' },
    ]);
  });

  test.each([
    [
      { owner: { kind: 'StatefulSet', name: 'orders' }, labels: { app: 'web', application: 'spilo', 'cluster-name': 'orders' } },
      'Zalando (postgresql shop/orders)',
    ],
    [{ owner: { kind: 'StorageCluster', name: 'px', customGroup: 'core.libopenstorage.org' } }, 'Portworx (StorageCluster shop/px)'],
    [{ owner: { kind: 'Broker', name: 'events', customGroup: 'kafka.example.com' } }, 'Broker shop/events'],
  ])('are opened by an operator, by what the pods say (%j).', (differences, name) => {
    expect(zeroBudgets([shut], [podOf(differences)])[0]?.opener?.name).toContain(name);
  });

  test('that ECK keeps name it, as it owns the budget.', () => {
    const budget = { ...shut, owner: { kind: 'Elasticsearch', name: 'logs', customGroup: 'elasticsearch.k8s.elastic.co' } };
    expect(zeroBudgets([budget], [podOf({ owner: { kind: 'StatefulSet', name: 'logs' } })])[0]?.opener?.name).toBe(
      'ECK (Elasticsearch shop/logs)',
    );
  });
});

describe('nodes that are no ordinary machines (field case 21)', () => {
  test.each([
    [{ 'eks.amazonaws.com/compute-type': 'fargate' }, 'fargate'],
    [{ 'eks.amazonaws.com/compute-type': 'auto', 'kubernetes.io/os': 'linux' }, 'auto'],
    [{ 'eks.amazonaws.com/compute-type': 'hybrid' }, 'hybrid'],
    [{ 'eks.amazonaws.com/compute-type': 'constructor' }, undefined],
    [{ type: 'virtual-kubelet' }, 'virtual'],
    [{ 'kubernetes.io/os': 'windows' }, 'windows'],
    [{ 'kubernetes.io/os': 'linux' }, undefined],
  ])('%j is %s.', (labels, kind) => expect(nodeKindOf(labels)).toBe(kind));

  test('One note tells of all nodes of a kind.', () => {
    const labels = { 'kubernetes.io/os': 'windows' };
    expect(nodeKindNotes([{ name: 'w1', labels }, { name: 'w2', labels }, { name: 'l1' }])).toEqual([
      'Nodes of Windows (w1 and 1 more): pods need other Windows nodes, and take longer to start and to end than those of Linux.',
    ]);
  });
});

import type { V1Container, V1Node, V1PersistentVolume, V1Pod, V1PodSpec } from '@kubernetes/client-node';
import { describe, expect, test } from '@jest/globals';
import type { PodToPlace } from '../../../../domain/drain/placement.ts';
import { placementNeeds, podToPlace, remainingNode, type BoundVolumes } from '../../../../activities/kubernetes/drain/placement-view.ts';
import { trafficTraits } from '../../../../activities/kubernetes/drain/traffic-view.ts';

function podOf(spec: Partial<V1PodSpec> = {}): V1Pod {
  return { metadata: { namespace: 'shop', name: 'db-0' }, spec: { containers: [{ name: 'main' }], ...spec } };
}

function placed(pod: V1Pod, volumes: BoundVolumes = new Map()): PodToPlace {
  return podToPlace({ namespace: 'shop', name: 'db-0' }, placementNeeds(pod), 'StatefulSet shop/db', volumes);
}

const onClaim: Partial<V1PodSpec> = { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data-db-0' } }] };
const zoneKey = 'topology.kubernetes.io/zone';
const terms = [{ matchExpressions: [{ key: zoneKey, operator: 'In', values: ['z1'] }] }];

describe('a pod that must find a place', () => {
  test('is seen with what it asks of a node.', () => {
    const pod = podOf({
      containers: [
        { name: 'main', resources: { requests: { cpu: '250m', memory: '1Gi' } }, ports: [{ containerPort: 80, hostPort: 8080 }] },
      ],
      initContainers: [{ name: 'proxy', restartPolicy: 'Always', ports: [{ containerPort: 53, hostPort: 53, protocol: 'UDP' }] }],
      nodeSelector: { pool: 'db' },
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } },
      tolerations: [{ key: 'dedicated', operator: 'Exists' }],
    });
    expect(placed(pod)).toEqual({
      namespace: 'shop',
      name: 'db-0',
      workload: 'StatefulSet shop/db',
      requests: { cpu: 250, memory: 2 ** 30, pods: 1, 'host port 8080/TCP': 1, 'host port 53/UDP': 1 },
      nodeSelector: { pool: 'db' },
      affinity: terms,
      tolerations: [{ key: 'dedicated', operator: 'Exists' }],
      volumes: [],
    });
  });

  test.each([
    ['of its own kind', { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'db' } } }, 1],
    ['of another kind', { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'web' } } }, undefined],
    ['of its own kind, zone by zone', { topologyKey: zoneKey, labelSelector: { matchLabels: { app: 'db' } } }, undefined],
  ])('takes the place of a node for pods that keep off others %s.', (_what, term, amount) => {
    const pod = podOf({ affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } });
    const labelled = { ...pod, metadata: { ...pod.metadata, labels: { app: 'db' } } };
    expect(placed(labelled).requests['node apart from app=db in shop']).toBe(amount);
  });

  test('uses the claims that it names, and those of its ephemeral volumes.', () => {
    const ephemeral = { name: 'scratch', ephemeral: { volumeClaimTemplate: { spec: {} } } };
    expect(placementNeeds(podOf({ volumes: [...(onClaim.volumes ?? []), ephemeral, { name: 'tmp', emptyDir: {} }] })).claims).toEqual([
      'shop/data-db-0',
      'shop/db-0-scratch',
    ]);
  });

  const zoneIn = (...values: string[]) => ({ key: zoneKey, operator: 'In', values });
  const hostname = [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['a'] }] }];
  const volumes: { title: string; volume: V1PersistentVolume; seen: object }[] = [
    { title: 'that can be used anywhere', volume: { spec: {} }, seen: { terms: undefined, local: false } },
    { title: 'of a zone', volume: { spec: { nodeAffinity: { required: { nodeSelectorTerms: terms } } } }, seen: { terms, local: false } },
    {
      title: 'that says its zone by a label',
      volume: { metadata: { labels: { [zoneKey]: 'z1__z2' } }, spec: {} },
      seen: { terms: [{ matchExpressions: [zoneIn('z1', 'z2')] }], local: false },
    },
    {
      title: 'that says its zone twice',
      volume: { metadata: { labels: { [zoneKey]: 'z1' } }, spec: { nodeAffinity: { required: { nodeSelectorTerms: terms } } } },
      seen: { terms: [{ matchExpressions: [zoneIn('z1')] }], local: false },
    },
    { title: 'on a local disk', volume: { spec: { local: { path: '/d' } } }, seen: { terms: undefined, local: true } },
    { title: 'in a folder of its node', volume: { spec: { hostPath: { path: '/d' } } }, seen: { terms: undefined, local: true } },
    {
      title: 'that is bound to a node by its name',
      volume: { spec: { nodeAffinity: { required: { nodeSelectorTerms: hostname } } } },
      seen: { terms: hostname, local: true },
    },
  ];
  test.each(volumes)('is bound by a volume $title.', ({ volume, seen }) => {
    const { volumes: found } = placed(podOf(onClaim), new Map([['shop/data-db-0', volume]]));
    expect(found).toEqual([{ claim: 'shop/data-db-0', ...seen }]);
  });
});

test('A node that stays is seen with what its pods take of it.', () => {
  const node: V1Node = {
    metadata: { name: 'a', labels: { pool: 'db' } },
    spec: { unschedulable: true, taints: [{ key: 'x', effect: 'NoSchedule' }] },
    status: { allocatable: { cpu: '1930m', memory: '7Gi', pods: '29' }, conditions: [{ type: 'Ready', status: 'True' }] },
  };
  const { requests } = placementNeeds(podOf({ containers: [{ name: 'main', resources: { requests: { cpu: '1' } } }] }));
  expect(remainingNode(node, [requests, requests])).toEqual({
    name: 'a',
    labels: { pool: 'db' },
    taints: [{ key: 'x', effect: 'NoSchedule' }],
    schedulable: false,
    ready: true,
    allocatable: { cpu: 1930, memory: 7 * 2 ** 30, pods: 29 },
    requested: { cpu: 2000, pods: 2 },
  });
});

describe('the traffic of a pod', () => {
  const none = { graceSeconds: 30, hasPorts: false, hasReadinessProbe: false, hasPreStop: false };
  const command = (...words: string[]): V1Container => ({ name: 'main', lifecycle: { preStop: { exec: { command: words } } } });
  const cases: { title: string; spec: Partial<V1PodSpec>; seen: object }[] = [
    { title: 'says nothing', spec: {}, seen: {} },
    { title: 'has a grace period', spec: { terminationGracePeriodSeconds: 0 }, seen: { graceSeconds: 0 } },
    {
      title: 'has ports and a readiness probe',
      spec: { containers: [{ name: 'main', ports: [{ containerPort: 80 }], readinessProbe: {} }] },
      seen: { hasPorts: true, hasReadinessProbe: true },
    },
    {
      title: 'is served by a sidecar',
      spec: { initContainers: [{ name: 'proxy', restartPolicy: 'Always', ports: [{ containerPort: 80 }] }] },
      seen: { hasPorts: true },
    },
    {
      title: 'sleeps before it ends',
      spec: { containers: [{ name: 'main', lifecycle: { preStop: { sleep: { seconds: 5 } } } }] },
      seen: { hasPreStop: true, preStopSleepSeconds: 5 },
    },
    { title: 'sleeps in a command', spec: { containers: [command('sleep', '15')] }, seen: { hasPreStop: true, preStopSleepSeconds: 15 } },
    {
      title: 'sleeps in a script',
      spec: { containers: [command('sh', '-c', 'nginx -s quit; sleep 20 && true')] },
      seen: { hasPreStop: true, preStopSleepSeconds: 20 },
    },
    {
      title: 'sleeps longest in one of several containers',
      spec: { containers: [command('sleep', '5'), command('sleep', '9')] },
      seen: { hasPreStop: true, preStopSleepSeconds: 9 },
    },
    { title: 'does something else before it ends', spec: { containers: [command('/asleep', '15')] }, seen: { hasPreStop: true } },
  ];
  test.each(cases)('A pod that $title.', ({ spec, seen }) => expect(trafficTraits(podOf(spec))).toEqual({ ...none, ...seen }));
});

import { describe, expect, test } from '@jest/globals';
import { desiredOf, differenceOfObjects } from '../../../domain/backup/desired.ts';
import { consistencyOf, isOfOneStore, typeNameOf } from '../../../domain/backup/export.ts';
import { isPathName } from '../../../domain/backup/object-name.ts';
import { waveOf, whyNotRestored } from '../../../domain/backup/restorable.ts';
import { chooseTypes, type DiscoveredResource } from '../../../domain/backup/served-types.ts';
import type { JsonObject } from '../../../domain/json.ts';

function resource(name: string, kind: string, storageVersionHash?: string, verbs = ['list', 'get']): DiscoveredResource {
  return { name, kind, namespaced: true, verbs, ...(storageVersionHash !== undefined && { storageVersionHash }) };
}

/** As kube-apiserver 1.36 answers: Events are stored as `v1` of the core group, whichever group they are asked of. */
const eventsHash = 'r2yiGXH7wu8=';

describe('the types of a cluster', () => {
  test.each<[string, Parameters<typeof chooseTypes>[0], string[]]>([
    [
      'are taken in the version that comes first',
      [
        { group: 'autoscaling', version: 'v2', resources: [resource('horizontalpodautoscalers', 'HorizontalPodAutoscaler')] },
        { group: 'autoscaling', version: 'v1', resources: [resource('horizontalpodautoscalers', 'HorizontalPodAutoscaler')] },
      ],
      ['v2 horizontalpodautoscalers.autoscaling'],
    ],
    [
      'are taken once where two groups serve the same objects, as the hash of their storage says',
      [
        { group: 'events.k8s.io', version: 'v1', resources: [resource('events', 'Event', eventsHash)] },
        { group: '', version: 'v1', resources: [resource('events', 'Event', eventsHash)] },
      ],
      ['v1 events'],
    ],
    [
      'are taken once also where a server gives no hash',
      [
        { group: '', version: 'v1', resources: [resource('events', 'Event')] },
        { group: 'events.k8s.io', version: 'v1', resources: [resource('events', 'Event')] },
      ],
      ['v1 events'],
    ],
    [
      'of the same name in two groups are two where they are stored apart',
      [
        { group: 'one.example', version: 'v1', resources: [resource('lamps', 'Lamp', 'a')] },
        { group: 'two.example', version: 'v1', resources: [resource('lamps', 'Lamp', 'b')] },
      ],
      ['v1 lamps.one.example', 'v1 lamps.two.example'],
    ],
    [
      'are those that can be listed, without subresources',
      [{ group: '', version: 'v1', resources: [resource('pods/log', 'Pod'), resource('bindings', 'Binding', undefined, ['create'])] }],
      [],
    ],
  ])('%s', (_title, discovered, expected) => {
    expect(chooseTypes(discovered).map((type) => `${type.version} ${typeNameOf(type)}`)).toEqual(expected);
  });
});

test.each([
  ['224', '224', '229', true],
  ['227', '224', '229', true],
  ['223', '224', '229', false],
  ['230', '224', '229', false],
  ['', '224', '229', false],
  ['x', '224', '229', false],
])('a list at %j between looks at %s and %s is of one store: %s', (revision, before, after, expected) => {
  expect(isOfOneStore(revision, before, after)).toBe(expected);
});

test('a whole backup is of one revision only where every type is', () => {
  expect(consistencyOf([{ consistency: 'revision' }])).toBe('revision');
  expect(consistencyOf([{ consistency: 'revision' }, { consistency: 'own' }])).toBe('mixed');
});

test.each([
  ['web', true],
  ['system:node', true],
  ['..', false],
  ['.', false],
  ['a/b', false],
  ['../../etc', false],
  ['%2e%2e', false],
  ['a\nb', false],
  ['', false],
  [undefined, false],
  ['a'.repeat(254), false],
])('the name %j can be part of a path: %s', (name, expected) => {
  expect(isPathName(name)).toBe(expected);
});

const configmaps = { group: '', version: 'v1', resource: 'configmaps', kind: 'ConfigMap', namespaced: true };
const services = { ...configmaps, resource: 'services', kind: 'Service' };
const volumes = { ...configmaps, resource: 'persistentvolumes', kind: 'PersistentVolume', namespaced: false };
const deployments = { group: 'apps', version: 'v1', resource: 'deployments', kind: 'Deployment', namespaced: true };

test('what servers set is not applied; a headless Service stays one', () => {
  const metadata = {
    name: 'web',
    uid: 'u',
    resourceVersion: '5',
    generation: 2,
    creationTimestamp: 'x',
    managedFields: [],
    labels: { a: 'b' },
  };
  expect(desiredOf({ metadata, data: { a: '1' }, status: {} }, configmaps)).toEqual({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'web', labels: { a: 'b' } },
    data: { a: '1' },
  });
  expect(desiredOf({ metadata: {}, spec: { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1'], ports: [] } }, services).spec).toEqual({
    ports: [],
  });
  expect(desiredOf({ metadata: {}, spec: { clusterIP: 'None', clusterIPs: ['None'] } }, services).spec).toEqual({ clusterIP: 'None' });
  expect(desiredOf({ spec: { claimRef: { name: 'data', uid: 'u', resourceVersion: '3' } } }, volumes).spec).toEqual({
    claimRef: { name: 'data' },
  });
});

describe('the difference of two objects', () => {
  test.each<[string, JsonObject, JsonObject, string[], string[]]>([
    ['is none apart from what servers set', { metadata: { uid: 'a' }, status: { x: 1 } }, { metadata: { uid: 'b' } }, [], []],
    ['is none where a default was filled in that is empty', { spec: {} }, { spec: { x: {}, y: [], z: null } }, [], []],
    ['names a field that is different', { spec: { replicas: 2 } }, { spec: { replicas: 3 } }, ['spec.replicas'], []],
    ['names a field that is missing', { data: { 'a.b': '1' } }, { data: {} }, ['data.["a.b"]'], []],
    ['tells apart what the cluster has beyond', { data: {} }, { data: { b: '2' } }, [], ['data.b']],
    ['compares lists item by item', { s: [{ a: 1 }, { a: 2 }] }, { s: [{ a: 1, d: 5 }, { a: 3 }] }, ['s[1].a'], ['s[0].d']],
    ['names a list of another length', { s: [1] }, { s: [1, 2] }, ['s'], []],
    [
      'passes over the UIDs of owners',
      { metadata: { ownerReferences: [{ uid: 'a' }] } },
      { metadata: { ownerReferences: [{ uid: 'b' }] } },
      [],
      [],
    ],
  ])('%s', (_title, wanted, live, fields, beyond) => {
    const found = differenceOfObjects(wanted, live, configmaps);
    expect([found.fields.map(({ field }) => field), found.beyond.map(({ field }) => field)]).toEqual([fields, beyond]);
  });
});

describe('what is not restored', () => {
  const owned = (kind: string, controller = true): JsonObject => ({ metadata: { ownerReferences: [{ kind, controller }] } });
  const secrets = { ...configmaps, resource: 'secrets', kind: 'Secret' };
  const jobs = { ...deployments, group: 'batch', resource: 'jobs', kind: 'Job' };
  const roles = { ...deployments, group: 'rbac.authorization.k8s.io', resource: 'clusterroles', kind: 'ClusterRole' };
  test.each<[string, JsonObject, typeof configmaps, RegExp | undefined]>([
    ['an object of a person', { metadata: { name: 'web' } }, deployments, undefined],
    ['what a Deployment makes', owned('Deployment'), { ...deployments, resource: 'replicasets' }, /made by its Deployment/],
    ['what somebody owns without controlling it', owned('Deployment', false), configmaps, undefined],
    ['what a custom resource controls', owned('Certificate'), secrets, undefined],
    ['what was being deleted', { metadata: { deletionTimestamp: 'x' } }, configmaps, /being deleted/],
    ['a Job', { metadata: {} }, jobs, /second time/],
    ['a token of the cluster', { metadata: {}, type: 'kubernetes.io/service-account-token' }, secrets, /token/],
    ['a role of the API server', { metadata: { labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' } } }, roles, /API server/],
    ['a number beyond 2^53', { metadata: {}, spec: { big: 2 ** 60 } }, configmaps, /number/],
    ['a number up to 2^53', { metadata: {}, spec: { big: 2 ** 53 - 1 } }, configmaps, undefined],
  ])('%s', (_title, object, type, expected) => {
    const why = whyNotRestored(object, type);
    if (expected) expect(why).toMatch(expected);
    else expect(why).toBeUndefined();
  });
});

test('what others need comes first, and webhooks come last', () => {
  const names = [
    'customresourcedefinitions.apiextensions.k8s.io',
    'namespaces',
    'serviceaccounts',
    'clusterroles.rbac.authorization.k8s.io',
    'configmaps',
    'services',
    'deployments.apps',
    'lamps.example.com',
    'ingresses.networking.k8s.io',
    'validatingwebhookconfigurations.admissionregistration.k8s.io',
  ];
  const waves = names.map((name) => waveOf({ resource: name.split('.')[0] ?? '', group: name.split('.').slice(1).join('.') }));
  expect(waves).toEqual([...waves].sort((one, other) => one - other));
  expect(new Set(waves).size).toBe(names.length);
});

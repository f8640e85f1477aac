import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { appendFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ApiException } from '@kubernetes/client-node';
import { contextOfLook } from '../../../activities/action.ts';
import { kubernetesBackups } from '../../../activities/backup/exports.ts';
import { openKeyKeeper } from '../../../activities/backup/keys.ts';
import { openStoreOf } from '../../../activities/backup/store.ts';
import type { Clients } from '../../../activities/clients.ts';
import type { KubernetesApis } from '../../../activities/kubernetes/client/connect.ts';
import { onlyKubernetes } from '../../../activities/kubernetes/only-kubernetes.ts';
import { kubernetesSystem } from '../../../activities/kubernetes/system.ts';
import { requiredAction } from '../../../activities/backup/required.ts';
import { kubernetesBackupAction } from '../../../activities/kubernetes/export/backup.ts';
import { readArchive, type ArchivedObject } from '../../../activities/kubernetes/export/read-archive.ts';
import type { PageReading } from '../../../activities/kubernetes/export/read-type.ts';
import { splitList } from '../../../activities/kubernetes/export/split-list.ts';
import { compareWithCluster } from '../../../activities/kubernetes/restore/compare.ts';
import type { ExportedType, ExportStatement } from '../../../domain/backup/export.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { failureOf } from '../../support/cluster.ts';
import { runCommand } from '../../support/run-command.ts';

const secret = 'hunter2-of-the-cluster';
const target = { kind: 'kubernetes', region: '', name: 'lab' };
const clusterId = '11111111-2222-4333-8444-555555555555';

/** An API server with a few types, each version of whose objects a test can ask to be forgotten. */
class FakeCluster {
  revision = 100;
  /** The list of a type answers 410 for so many times. */
  gone: Record<string, number> = {};
  /** The second page of a type comes from this many revisions later. */
  slips: Record<string, number> = {};
  /** Types whose revisions are those of another store. */
  elsewhere: Record<string, number> = {};
  metricsAnswer = true;
  objects: Record<string, JsonObject[]> = {
    namespaces: [{ metadata: { name: 'kube-system', uid: clusterId } }, { metadata: { name: 'shop' } }],
    configmaps: [named('web', { data: { a: '1' } }), named('api', { data: { b: '2' } })],
    secrets: [named('password', { data: { password: Buffer.from(secret).toString('base64') } })],
    events: [named('happened', {})],
  };
  readonly asked: string[] = [];

  readonly apis: KubernetesApis = {
    user: 'the worker',
    access: {},
    request: async <Answer>(method: string, path: string) => this.answer(method, path) as Answer,
    open: async (path, query) => Readable.from([Buffer.from(this.list(path, query))]) as unknown as IncomingMessage,
  };

  private answer(method: string, path: string): unknown {
    if (method === 'POST') return { status: { allowed: true } };
    const resource = (name: string, kind: string, namespaced = true) => ({ name, kind, namespaced, verbs: ['list'] });
    const answers: Record<string, unknown> = {
      '/version': { gitVersion: 'v1.36.3' },
      '/api/v1/namespaces/kube-system': this.objects.namespaces?.[0],
      '/apis/apiregistration.k8s.io/v1/apiservices': { items: [{ metadata: { name: 'v1.metrics.k8s.io' }, spec: { service: {} } }] },
      '/apis': { groups: [{ name: 'metrics.k8s.io', versions: [{ version: 'v1' }], preferredVersion: { version: 'v1' } }] },
      '/api/v1': {
        resources: [
          resource('namespaces', 'Namespace', false),
          resource('configmaps', 'ConfigMap'),
          resource('secrets', 'Secret'),
          resource('events', 'Event'),
        ],
      },
      ...(this.metricsAnswer && { '/apis/metrics.k8s.io/v1': { resources: [resource('pods', 'PodMetrics')] } }),
    };
    if (path in answers) return answers[path];
    throw new ApiException(503, 'refused', '{"message":"no"}', {});
  }

  private list(path: string, query: Record<string, string>): string {
    const type = path.split('/').at(-1) ?? '';
    this.asked.push(`${type}?${new URLSearchParams(query).toString()}`);
    if (path.includes('metrics')) return JSON.stringify({ metadata: {}, items: [] });
    const isExact = query.resourceVersionMatch === 'Exact' || query.continue !== undefined;
    if (isExact && (this.gone[type] ?? 0) > 0) {
      this.gone[type] = (this.gone[type] ?? 0) - 1;
      throw new ApiException(410, 'gone', '{"message":"too old"}', {});
    }
    const [first, ...rest] = this.objects[type] ?? [];
    const [token = '', place] = (query.continue ?? '').split(':');
    const revision = Number(query.resourceVersion ?? (token || (this.elsewhere[type] ?? ++this.revision)));
    if (place === undefined && rest.length > 0) {
      return JSON.stringify({ metadata: { resourceVersion: String(revision), continue: `${revision}:1` }, items: [first] });
    }
    const resourceVersion = String(revision + (place === undefined ? 0 : (this.slips[type] ?? 0)));
    return JSON.stringify({ metadata: { resourceVersion }, items: place === undefined ? [first].filter(Boolean) : rest });
  }
}

function named(name: string, rest: JsonObject, revision = '5'): JsonObject {
  return { metadata: { name, namespace: 'shop', uid: `uid-${name}`, resourceVersion: revision }, ...rest };
}

let root: string;
let keyFile: string;
let cluster: FakeCluster;
let place: { directory: string };
let clients: Clients;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'holdpoint-exports-'));
  keyFile = join(root, 'backup.key');
  await writeFile(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  cluster = new FakeCluster();
  place = { directory: await mkdtemp(join(root, 'place-')) };
  clients = { ...onlyKubernetes(cluster.apis), backups: async () => ({ place, key: { file: keyFile } }) };
});

const store = () => openStoreOf(place, kubernetesBackups);

async function backUp(run = 'r-1', input: JsonObject = {}): Promise<ExportStatement> {
  const action = kubernetesBackupAction(clients);
  const context = contextOfLook({ run, step: 's', target, retry: 0 });
  const plan = await action.plan(input, context);
  expect(plan.blockers).toEqual([]);
  await action.act(plan, context);
  expect(await action.observe(plan, context)).toMatchObject({ state: 'done' });
  return (await store().list()).at(-1)!.manifest.statement;
}

describe('a backup of objects', () => {
  test('is of one revision, page by page; what an aggregated API serves is told apart', async () => {
    const { consistency, types, revision, objects } = await backUp();
    expect({ consistency, objects }).toEqual({ consistency: 'mixed', objects: 6 });
    const own = types.filter((type) => type.consistency === 'own');
    expect(own).toEqual([expect.objectContaining({ group: 'metrics.k8s.io', reason: expect.stringContaining('aggregated') })]);
    const exact = cluster.asked.filter((asked) => asked.includes('Exact'));
    expect(exact).toEqual(
      ['namespaces', 'configmaps', 'secrets', 'events'].map((type) => expect.stringMatching(`^${type}.*=${revision}&`)),
    );
  });

  test('is begun anew at a newer revision where the server has forgotten the one it was begun at', async () => {
    cluster.gone = { secrets: 2 };
    const { types, revision } = await backUp();
    expect(types.filter(({ group }) => group === '').every((type) => type.revision === String(revision))).toBe(true);
  });

  test('says of each type that it is of a moment of its own where the server forgets again and again', async () => {
    cluster.gone = { secrets: 3 };
    const { consistency, types } = await backUp();
    expect(consistency).toBe('mixed');
    expect(types.every((type) => type.consistency === 'own')).toBe(true);
    expect(types[0]?.reason).toContain('compacted');
  });

  test('is begun anew where a page is of another revision, and given up where that does not end', async () => {
    cluster.slips = { configmaps: 1 };
    await expect(backUp()).rejects.toMatchObject({ code: 'kubernetes-busy' });
    expect(await store().list()).toEqual([]);
  });

  test('says which type is kept in another store', async () => {
    cluster.elsewhere = { events: 7 };
    const { types } = await backUp();
    const events = types.find(({ resource }) => resource === 'events');
    expect(events).toMatchObject({ consistency: 'own', reason: expect.stringContaining('another store') });
    expect(types.find(({ resource }) => resource === 'secrets')).toMatchObject({ consistency: 'revision' });
  });

  test('names what it does not have: an aggregated API that does not answer, and what it was asked to leave out', async () => {
    cluster.metricsAnswer = false;
    const { leftOut, types } = await backUp('r-1', { leaveOut: ['events'] });
    expect(leftOut.map(({ type }) => type)).toEqual(['events', '*.metrics.k8s.io']);
    expect(types.map(({ resource }) => resource)).not.toContain('events');
  });

  test('leaves nothing of Secrets in clear, in no file and no manifest, and nothing unfinished', async () => {
    await backUp();
    const names = await readdir(place.directory, { recursive: true, withFileTypes: true });
    for (const file of names.filter((entry) => entry.isFile())) {
      const text = await readFile(join(file.parentPath, file.name), 'latin1');
      expect(text).not.toContain(Buffer.from(secret).toString('base64'));
    }
    expect(await readdir(join(place.directory, 'files', '.unfinished'))).toEqual([]);
  });

  test('is deleted by retention as one of etcd is, and counts as a fresh one', async () => {
    await backUp();
    await backUp('r-2');
    const context = contextOfLook({ run: 'r-3', step: 's', target, retry: 0 });
    const deletion = kubernetesSystem(clients).actions.find(({ declaration }) => declaration.name === 'kubernetes.deleteBackups')!;
    const plan = await deletion.plan({}, context);
    expect(plan).toMatchObject({ blockers: [], effects: [{ object: 'Backup/000001', change: 'delete' }] });
    await deletion.act(plan, context);
    expect((await store().list()).map(({ isDeleted }) => isDeleted)).toEqual([true, false]);
    expect(await requiredAction(clients).plan({ takenWithin: '1h' }, context)).toMatchObject({
      blockers: [],
      outputs: { backup: '000002' },
    });
  });

  test('of another cluster of the same name is refused in the plan', async () => {
    await backUp();
    cluster.objects.namespaces![0] = { metadata: { name: 'kube-system', uid: 'another' } };
    const plan = await kubernetesBackupAction(clients).plan({}, contextOfLook({ run: 'r-2', step: 's', target, retry: 0 }));
    expect(plan.blockers).toEqual([expect.objectContaining({ reason: expect.stringContaining('another') })]);
  });
});

const type = { group: '', version: 'v1', resource: 'configmaps', kind: 'ConfigMap', namespaced: true };

/** Reads an archive of these lines whose manifest counts them as they are, apart from what is said. */
async function read(lines: string[], differences: { objects?: number; sha256?: string; types?: number } = {}): Promise<string[]> {
  const objects = lines.filter((line) => line.startsWith('{"object":'));
  const sha256 = `sha256:${createHash('sha256')
    .update(objects.map((line) => `${line}\n`).join(''))
    .digest('hex')}`;
  const exported = { ...type, consistency: 'revision', revision: '5', objects: objects.length, sha256, ...differences } as const;
  const types = Array.from({ length: differences.types ?? 1 }, () => exported);
  const found: string[] = [];
  const bytes = (async function* () {
    // Split anywhere.
    for (const character of lines.map((line) => `${line}\n`).join('')) yield Buffer.from(character);
  })();
  for await (const { namespace, name } of readArchive('000001', bytes, { types })) found.push(`${namespace}/${name}`);
  return found;
}

describe('an archive', () => {
  const begin = '{"format":"holdpoint.dev/kubernetes-objects/v1"}';
  const typeLine = JSON.stringify({ type });
  const object = (name: string, namespace = 'shop'): string => JSON.stringify({ object: { metadata: { name, namespace } } });

  test('is read wherever its bytes are split', async () => {
    expect(await read([begin, typeLine, object('web'), object('ä…')])).toEqual(['shop/web', 'shop/ä…']);
  });

  test.each<[string, string[], Parameters<typeof read>[1], RegExp]>([
    ['is empty', [], {}, /it is empty/],
    ['is of a newer version', ['{"format":"holdpoint.dev/kubernetes-objects/v2"}', typeLine], {}, /newer version/],
    ['lacks an object', [begin, typeLine, object('web')], { objects: 2 }, /not those that its manifest counts/],
    ['has another object', [begin, typeLine, object('web')], { sha256: `sha256:${'0'.repeat(64)}` }, /not those that its manifest counts/],
    ['lacks a type', [begin, typeLine], { types: 2 }, /ends before the last type/],
    ['has a type too many', [begin, typeLine, typeLine], {}, /not the type that its manifest names next/],
    ['has another type', [begin, typeLine.replace('configmaps', 'secrets')], {}, /not the type/],
    ['has an object before its type', [begin, object('web')], {}, /before its type/],
    ['has a name that climbs', [begin, typeLine, object('..')], {}, /a name that is none/],
    ['has a path for a name', [begin, typeLine, object('../../secrets/x')], {}, /a name that is none/],
    ['has a namespace that climbs', [begin, typeLine, object('web', '..')], {}, /a name that is none/],
    ['has an object without a name', [begin, typeLine, '{"object":{}}'], {}, /a name that is none/],
    ['has an object that is none', [begin, typeLine, '{"object":5}'], {}, /no JSON/],
  ])('that %s is refused', async (_title, lines, differences, expected) => {
    await expect(read(lines, differences)).rejects.toMatchObject({ code: 'backup-unusable', message: expect.stringMatching(expected) });
  });

  test.each<[string, (file: string) => Promise<void>, RegExp]>([
    ['truncated', (file) => truncate(file, 300), /truncated|should have/],
    ['longer', (file) => appendFile(file, 'x'), /should have/],
    [
      'of other bytes',
      async (file) => {
        const bytes = await readFile(file);
        bytes[bytes.length - 40]! ^= 4;
        await writeFile(file, bytes);
      },
      /changed/,
    ],
    ['empty', (file) => truncate(file, 0), /should have/],
  ])('whose file is %s is refused', async (_title, damage, expected) => {
    await backUp();
    const { manifest } = (await store().list())[0]!;
    await damage(join(place.directory, 'files', manifest.file.sha256.slice('sha256:'.length)));
    const keys = await openKeyKeeper({ file: keyFile });
    const reading = async (): Promise<void> => {
      for await (const _object of readArchive('000001', store().open(manifest, keys), manifest.statement)) continue;
    };
    expect((await failureOf(reading())).message).toMatch(expected);
  });

  test('whose manifest counts other objects, or is of etcd, is refused', async () => {
    await backUp();
    const file = join(place.directory, 'manifests', '000001.json');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('"objects":6', '"objects":7'));
    const { manifest } = (await store().list())[0]!;
    const keys = await openKeyKeeper({ file: keyFile });
    const reading = async (): Promise<void> => {
      for await (const _object of readArchive('000001', store().open(manifest, keys), manifest.statement)) continue;
    };
    expect((await failureOf(reading())).message).toMatch(/manifest was changed/);
    await writeFile(file, text.replace('kubernetes-backup/v1', 'etcd-backup/v1'));
    expect((await failureOf(store().list())).message).toMatch(/no manifest of a backup/);
  });
});

test.each<[string, string, string[] | undefined]>([
  [
    'with its metadata first',
    '{"metadata":{"resourceVersion":"1"},"items":[{"a":"]}\\""},{"b":[1,{}]}]}',
    ['{"a":"]}\\""}', '{"b":[1,{}]}'],
  ],
  ['with its metadata last', '{"items":[{"items":[{}]}],"metadata":{"resourceVersion":"1"}}', ['{"items":[{}]}']],
  ['with numbers that no double holds', '{"metadata":{},"items":[{"n":123456789012345678901}]}', ['{"n":123456789012345678901}']],
  ['that is empty', '{"metadata":{"x":"\\"items\\":["},"items" : [ ]}', []],
  ['that is cut off', '{"metadata":{},"items":[{"a":1}', undefined],
  ['that is none', '<html>', undefined],
  ['of something else than objects', '{"items":[1,2]}', undefined],
])('a list %s is taken apart', (_title, json, items) => {
  expect(splitList(Buffer.from(json))?.items.map(String)).toEqual(items);
});

describe('holdpoint backups', () => {
  const call = async (...args: string[]) => {
    const file = join(root, 'holdpoint.yaml');
    const backups = { 'kubernetes/lab': { directory: place.directory, keyFile } };
    const person = { name: 'A', key: Buffer.alloc(32, 1).toString('base64url') };
    const document = {
      apiVersion: 'holdpoint.dev/v1',
      kind: 'Configuration',
      ...{ people: { a: person }, groups: { g: ['a'] }, policies: {}, backups },
    };
    await writeFile(file, JSON.stringify(document));
    return runCommand('backups', ...args, '--config', file);
  };

  test('lists, shows, verifies and compares backups of objects, and prints one object', async () => {
    await backUp();
    cluster.objects.configmaps = [named('web', { data: { a: '9' } }, '6'), named('new', {})];
    cluster.objects.secrets = [named('password', { data: { password: 'b3RoZXI=' } }, '7')];
    await backUp('r-2');
    expect((await call('list', 'kubernetes/lab')).stdout).toMatch(/000001[^]*000002/);
    expect((await call('verify', 'kubernetes/lab')).stdout).toContain('The backup 000002 is whole');
    expect((await call('show', 'kubernetes/lab', '000001')).stdout).toMatch(/configmaps +v1 +2/);
    const { stdout } = await call('diff', 'kubernetes/lab', '000001', '000002');
    expect(stdout.trimEnd().split('\n')).toEqual([
      'From 000001 to 000002: 1 added, 1 removed, 2 changed.',
      '  removed  configmaps shop/api',
      '  added    configmaps shop/new',
      '  changed  configmaps shop/web',
      '      data.a: 1 -> 9',
      '  changed  secrets shop/password',
      '      data.password: a secret -> a secret',
    ]);
    const got = await call('get', 'kubernetes/lab', '000001', 'configmaps/web', '-n', 'shop');
    expect(got.stdout).toMatch(/^apiVersion: v1\nkind: ConfigMap\nmetadata:\n {2}name: web/);
    const unknown = await call('get', 'kubernetes/lab', '000001', 'configmaps/none');
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('no such object configmaps/none') });
  });
});

test('what was in a namespace that was being deleted is not restored, as it was to go with it', async () => {
  const type = (group: string, resource: string): ExportedType => {
    const own = { group, version: 'v1', resource, kind: resource, namespaced: resource !== 'namespaces' };
    return { ...own, revision: '1', consistency: 'revision', objects: 1, sha256: '' };
  };
  const archived = (of: ExportedType, name: string, metadata: JsonObject, namespace = ''): ArchivedObject => {
    return { type: of, namespace, name, json: Buffer.alloc(0), object: { metadata: { name, ...metadata } } };
  };
  const [namespaces, policies] = [type('', 'namespaces'), type('networking.k8s.io', 'networkpolicies')];
  const archive = [
    archived(namespaces, 'going', { deletionTimestamp: '2026-11-29T15:00:00Z' }),
    archived(policies, 'web', {}, 'going'),
    archived(policies, 'web', {}, 'shop'),
  ];
  const served = { types: [], versions: new Set<string>(), aggregated: new Set<string>(), leftOut: [] };
  const scope = { whole: true, namespaces: [], objects: [] };
  const found = new Map<string, string | undefined>();
  for await (const { key, skipped } of compareWithCluster(Readable.from(archive), scope, served, {} as PageReading))
    found.set(key, skipped);
  expect(found.get('networkpolicies.networking.k8s.io going/web')).toBe('was in a namespace that was being deleted');
  expect(found.get('networkpolicies.networking.k8s.io shop/web')).toBeUndefined();
});

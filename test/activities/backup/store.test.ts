import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, readdir, readFile, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { contextOfLook } from '../../../activities/action.ts';
import { openKeyKeeper, type KeyKeeper } from '../../../activities/backup/keys.ts';
import { openBackupStore, type BackupStore } from '../../../activities/backup/store.ts';
import { createClients } from '../../../activities/clients.ts';
import { deleteBackupsAction } from '../../../activities/etcd/delete-backups.ts';
import type { BackupManifest, BackupStatement } from '../../../domain/backup/manifest.ts';
import { digestOfText } from '../../../domain/plan/plan.ts';
import { S3Refusal } from '../../../sandbox/s3/answers.ts';
import { s3Environment, serveS3, type ServedS3 } from '../../sandbox/s3-fixture.ts';
import { failureOf } from '../../support/cluster.ts';
import { runCommand, type Said } from '../../support/run-command.ts';

const snapshot = Buffer.from('every Secret of the cluster '.repeat(5000));
const never = new AbortController().signal;

let root: string;
let keyFile: string;
let keys: KeyKeeper;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'holdpoint-backups-'));
  keyFile = await newKeyFile('backup.key');
  keys = await openKeyKeeper({ file: keyFile });
});
afterAll(() => rm(root, { recursive: true }));

async function newKeyFile(name: string, text = randomBytes(32).toString('base64')): Promise<string> {
  const file = join(root, name);
  await writeFile(file, `${text}\n`, { mode: 0o600 });
  return file;
}

function statementOf(revision: number): BackupStatement {
  const sha256 = digestOfText(snapshot.toString());
  return {
    ...{ target: 'etcd/lab', clusterId: '7', run: `r-${revision}`, step: 'backup', takenAt: '2026-11-29T00:00:00.000Z', member: 'm1' },
    ...{ etcdVersion: '3.7.3', revision, compactRevision: -1, hashKv: 5, equalTo: ['m1', 'm2'], keys: 3 },
    snapshot: { sha256, bytes: snapshot.length },
  };
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

async function put(store: BackupStore, revision: number): Promise<BackupManifest> {
  const statement = statementOf(revision);
  const file = await store.putFile(chunksOf(snapshot), statement, keys, never);
  expect(await store.putManifest({ statement, file, key: keys.id }, await store.list())).toBe(true);
  return (await store.list()).at(-1)!.manifest;
}

/** A place of its own with some backups. */
async function placeWith(backups: number): Promise<{ directory: string; store: BackupStore; manifests: BackupManifest[] }> {
  const directory = join(root, `place-${++count}`);
  const store = openBackupStore({ directory });
  const manifests: BackupManifest[] = [];
  for (let revision = 1; revision <= backups; revision++) manifests.push(await put(store, revision));
  return { directory, store, manifests };
}

async function read(store: BackupStore, manifest: BackupManifest, withKeys = keys): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.open(manifest, withKeys)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const fileOf = (directory: string, { file }: BackupManifest): string => join(directory, 'files', file.sha256.slice('sha256:'.length));

test('a backup is smaller than its snapshot, unreadable without the key, and comes back as it was', async () => {
  const { directory, store, manifests } = await placeWith(2);
  expect((await store.list()).map(({ name, isDeleted }) => ({ name, isDeleted }))).toEqual([
    { name: '000001', isDeleted: false },
    { name: '000002', isDeleted: false },
  ]);
  const stored = await readFile(fileOf(directory, manifests[1]!));
  expect(stored.length).toBeLessThan(snapshot.length / 5);
  expect(stored.includes('Secret')).toBe(false);
  expect((await read(store, manifests[1]!)).equals(snapshot)).toBe(true);
  expect(await readdir(join(directory, 'files', '.unfinished'))).toEqual([]);
});

test('of two backups that are made at once, one comes first and the other one is told', async () => {
  const { store } = await placeWith(1);
  const known = await store.list();
  const manifest = { statement: statementOf(5), file: known[0]!.manifest.file, key: keys.id };
  const answers = await Promise.all([store.putManifest(manifest, known), store.putManifest(manifest, known)]);
  expect(answers.sort()).toEqual([false, true]);
  expect(await store.list()).toHaveLength(2);
});

test('a backup whose file was deleted keeps its place in the chain; deleted twice is deleted once', async () => {
  const { store, manifests } = await placeWith(2);
  const [first] = await store.list();
  await store.deleteFile(first!);
  await store.deleteFile(first!);
  expect((await store.list()).map(({ isDeleted }) => isDeleted)).toEqual([true, false]);
  expect(await store.hasFile(manifests[0]!)).toBe(false);
  expect(await failureOf(read(store, manifests[0]!))).toMatchObject({
    code: 'backup-unusable',
    message: expect.stringContaining('it is missing'),
  });
});

describe('a backup that is not what was stored is refused with the reason', () => {
  test.each<[string, (file: string) => Promise<void>, RegExp]>([
    ['truncated', (file) => truncate(file, 100), /it has 100 bytes and should have/],
    ['longer', (file) => appendFile(file, 'x'), /bytes and should have/],
    ['missing', (file) => rm(file), /it is missing/],
    ['empty', (file) => truncate(file, 0), /it has 0 bytes/],
    [
      'with a flipped bit',
      async (file) => {
        const bytes = await readFile(file);
        bytes[bytes.length - 30]! ^= 4;
        await writeFile(file, bytes);
      },
      /was changed/,
    ],
  ])('%s', async (_title, damage, reason) => {
    const { directory, store, manifests } = await placeWith(1);
    await damage(fileOf(directory, manifests[0]!));
    expect(await failureOf(read(store, manifests[0]!))).toMatchObject({ code: 'backup-unusable', message: expect.stringMatching(reason) });
  });

  test('with a manifest that was edited, though it is the last one', async () => {
    const { directory, store } = await placeWith(1);
    const file = join(directory, 'manifests', '000001.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace('"revision":1', '"revision":9'));
    const [edited] = await store.list();
    expect(edited!.manifest.statement.revision).toBe(9);
    expect((await failureOf(read(store, edited!.manifest))).message).toMatch(/its manifest was changed, or belongs to another file/);
  });

  test('with the file of another backup', async () => {
    const { store, manifests } = await placeWith(2);
    const mixed = { ...manifests[0]!, file: manifests[1]!.file };
    expect((await failureOf(read(store, mixed))).message).toMatch(/its manifest was changed, or belongs to another file/);
  });

  test('with another key', async () => {
    const { store, manifests } = await placeWith(1);
    const other = await openKeyKeeper({ file: await newKeyFile('other.key') });
    expect((await failureOf(read(store, manifests[0]!, other))).message).toContain(
      `it is encrypted with the key ${keys.id}, and the configuration names ${other.id}`,
    );
  });
});

describe('a chain of manifests that is not whole is refused, whatever is asked', () => {
  test.each<[string, (directory: string) => Promise<void>, RegExp]>([
    ['with a gap', (directory) => rm(join(directory, '000002.json')), /the chain has a gap/],
    ['with one that was changed', (directory) => edit(join(directory, '000002.json')), /000002 is not the manifest that 000003 names/],
    ['with one of a newer version', (directory) => edit(join(directory, '000003.json'), '/v1', '/v2'), /of a newer version/],
    [
      'with one under another name',
      (directory) => rename(join(directory, '000003.json'), join(directory, '000004.json')),
      /it is no manifest/,
    ],
    [
      'with something else in the place of one',
      (directory) => writeFile(join(directory, '000003.json'), ''),
      /it is no manifest of a backup/,
    ],
  ])('%s', async (_title, damage, reason) => {
    const { directory, store } = await placeWith(3);
    await damage(join(directory, 'manifests'));
    expect(await failureOf(store.list())).toMatchObject({ code: 'backup-place-unusable', message: expect.stringMatching(reason) });
  });

  async function edit(file: string, from = '"keys":3', to = '"keys":4'): Promise<void> {
    await writeFile(file, (await readFile(file, 'utf8')).replace(from, to));
  }
});

describe('a key that cannot be used is refused, and never told', () => {
  test.each([
    ['short', Buffer.alloc(16, 7).toString('base64')],
    ['not base64', 'correct horse battery staple, no key at all!'],
  ])('%s', async (_title, text) => {
    const failure = await failureOf(openKeyKeeper({ file: await newKeyFile('bad.key', text) }));
    expect(failure).toMatchObject({ code: 'backup-key-unusable', message: expect.stringContaining('it must hold 32 bytes in base64') });
    expect(JSON.stringify(failure)).not.toContain(text);
  });

  test('missing', async () => {
    expect((await failureOf(openKeyKeeper({ file: join(root, 'none.key') }))).message).toMatch(/cannot be read \(ENOENT\)/);
  });
});

describe('in a bucket', () => {
  const place = { s3: { bucket: 'backups', prefix: 'prod', region: 'eu-central-1' } };
  const before = { ...process.env };
  let s3: ServedS3;
  beforeAll(async () => {
    s3 = await serveS3({ name: 'backups', objectLock: { retention: { mode: 'COMPLIANCE', days: 1 } } });
    Object.assign(process.env, s3Environment(s3.url), { TMPDIR: root });
  });
  afterAll(async () => {
    process.env = before;
    await s3.stop();
  });

  const prefixed = (prefix: string): { s3: { bucket: string; prefix: string; region: string } } => ({ s3: { ...place.s3, prefix } });

  test('a backup is one, and comes back, though the answers to all that is written are lost', async () => {
    const store = openBackupStore(prefixed('lost'));
    s3.addFault({ operation: 'PutObject', effect: 'lost-reply', times: 1 });
    await store.claim('7');
    const statement = statementOf(1);
    s3.addFault({ operation: 'PutObject', effect: 'lost-reply', times: 1 });
    const file = await store.putFile(chunksOf(snapshot), statement, keys, never);
    s3.addFault({ operation: 'PutObject', effect: 'lost-reply', times: 1 });
    // It is there, and so the second try of the client is refused: the next look finds whose it is.
    expect(await store.putManifest({ statement, file, key: keys.id }, [])).toBe(false);
    const stored = await store.list();
    expect(stored.map(({ manifest }) => manifest.statement.run)).toEqual(['r-1']);
    expect((await read(store, stored[0]!.manifest)).equals(snapshot)).toBe(true);
    expect(await readdir(join(root, `holdpoint-artifacts-${process.getuid?.()}`, '.unfinished'))).toEqual([]);
  });

  test('that keeps other bytes than it was sent, and says that all is well, there is no backup, and nothing of it is left', async () => {
    const store = openBackupStore(prefixed('lying'));
    s3.addFault({ operation: 'PutObject', effect: 'other-bytes', times: 1 });
    const failure = await failureOf(store.putFile(chunksOf(snapshot), statementOf(1), keys, never));
    expect(failure).toMatchObject({
      code: 'backup-unusable',
      message: expect.stringMatching(/that was just made .*was changed/),
    });
    expect((await s3.client.send(new ListObjectsV2Command({ Bucket: 'backups', Prefix: 'lying/' }))).KeyCount).toBe(0);
  });

  test.each([
    ['refuses', new S3Refusal(403, 'AccessDenied', 'Access Denied'), 1, 'backup-place-unusable', /S3 denied access/],
    [
      'is busy',
      new S3Refusal(400, 'RequestTimeout', 'Your socket connection was not read from in time.'),
      3,
      'backup-place-unreachable',
      /not read from in time/,
    ],
  ])('that %s, it is told before a snapshot is taken', async (_title, effect, times, code, reason) => {
    s3.addFault({ operation: 'PutObject', effect, times });
    const failure = await failureOf(openBackupStore(prefixed('refusing')).claim('7'));
    expect(failure).toMatchObject({ code, message: expect.stringMatching(reason) });
  });
});

test('a place is that of the first cluster that has asked for it', async () => {
  const store = openBackupStore({ directory: join(root, 'claimed') });
  for (const _time of ['first', 'second']) await store.claim('7');
  expect(await failureOf(store.claim('8'))).toMatchObject({
    code: 'backup-place-unusable',
    message: expect.stringContaining('it is kept for the cluster 7, and this one is 8'),
  });
});

test('a data key of KMS is opened by the key and for the purpose that it was made with', async () => {
  const asked: Record<string, unknown>[] = [];
  const dataKey = randomBytes(32);
  // KMS, AWS JSON 1.1: it refuses whoever names another key, or another encryption context.
  const kms = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
      asked.push({ call: request.headers['x-amz-target'], ...body });
      const isWrong = body.CiphertextBlob !== undefined && body.CiphertextBlob !== Buffer.from('wrapped').toString('base64');
      const answer = {
        KeyId: body.KeyId,
        Plaintext: dataKey.toString('base64'),
        CiphertextBlob: Buffer.from('wrapped').toString('base64'),
      };
      const refusal = { __type: 'InvalidCiphertextException', message: `arn refused for AKIA${'X'.repeat(16)}` };
      response
        .writeHead(isWrong ? 400 : 200, { 'content-type': 'application/x-amz-json-1.1' })
        .end(JSON.stringify(isWrong ? refusal : answer));
    });
  });
  await new Promise<void>((resolve) => kms.listen(0, '127.0.0.1', resolve));
  const before = { ...process.env };
  Object.assign(process.env, s3Environment(`http://127.0.0.1:${(kms.address() as AddressInfo).port}`));
  try {
    const kmsKey = 'arn:aws:kms:eu-central-1:111122223333:key/1';
    const keeper = await openKeyKeeper({ kmsKey, region: 'eu-central-1' });
    const { dataKey: made, wrapped } = await keeper.create();
    expect(Buffer.from(made).equals(dataKey)).toBe(true);
    expect(JSON.stringify(wrapped)).not.toContain(dataKey.toString('base64'));
    expect(Buffer.from(await keeper.open(wrapped)).equals(dataKey)).toBe(true);
    expect(asked.map(({ call, KeyId, EncryptionContext }) => ({ call, KeyId, EncryptionContext }))).toEqual(
      ['TrentService.GenerateDataKey', 'TrentService.Decrypt'].map((call) => {
        return { call, KeyId: kmsKey, EncryptionContext: { purpose: 'holdpoint.dev/etcd-backup' } };
      }),
    );
    const refused = await failureOf(keeper.open({ ...wrapped, dataKey: 'AAAA' }));
    expect(refused).toMatchObject({ code: 'backup-key-unusable', message: expect.stringContaining('InvalidCiphertextException') });
    expect((await failureOf(keeper.open({ kms: 'arn:aws:kms:eu-central-1:111122223333:key/2' }))).message).toContain('key/2');
    expect(asked).toHaveLength(3);
  } finally {
    process.env = before;
    kms.closeAllConnections();
    await new Promise((resolve) => kms.close(resolve));
  }
});

describe('holdpoint backups', () => {
  /** The command on a place, as somebody runs it who has the configuration and the key. */
  async function said(directory: string, ...words: string[]): Promise<Said> {
    const config = join(root, 'holdpoint.yaml');
    const backups = { directory, keyFile: keyFile };
    const lines = ['apiVersion: holdpoint.dev/v1', 'kind: Configuration', 'people: {}', 'groups: {}', 'policies: {}'];
    const etcd = `etcd: ${JSON.stringify({ lab: { endpoints: ['http://127.0.0.1:1'], backups } })}`;
    await writeFile(config, `${[...lines, etcd].join('\n')}\n`, { mode: 0o600 });
    return runCommand('backups', ...words, '--config', config);
  }

  test('lists what there is, and what has become of it', async () => {
    const { directory, store } = await placeWith(3);
    await store.deleteFile((await store.list())[0]!);
    await store.recordDrill(
      '000002',
      { run: 'r-9', step: 's' },
      { drilledAt: new Date(0).toISOString(), restoreMs: 5, ageMs: 6, revision: 2 },
    );
    const { code, stdout, stderr } = await said(directory, 'list', 'etcd/lab');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.split('\n').map((line) => line.split(/\s+/).slice(-2).join(' ').trim())).toEqual([
      'SNAPSHOT STORED',
      'MB deleted',
      'MB drilled',
      '0.0 MB',
      '',
    ]);
    expect(stdout).toMatch(/^000003 .* 3 +m1 +0\.1 MB/m);
    const json = JSON.parse((await said(directory, 'list', 'etcd/lab', '--json')).stdout) as { backups: { name: string }[] };
    expect(json.backups.map(({ name }) => name)).toEqual(['000001', '000002', '000003']);
    expect((await said(join(root, 'nothing'), 'list', 'etcd/lab')).stdout).toMatch(/There are no backups of etcd\/lab yet/);
  });

  test('reads one whole, and tells what is wrong with another', async () => {
    const { directory, manifests } = await placeWith(2);
    const whole = await said(directory, 'verify', 'etcd/lab');
    expect(whole).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('The backup 000002 is whole') });
    expect(whole.stdout).toContain('the same as in m1, m2 (HashKV 5)');
    await truncate(fileOf(directory, manifests[0]!), 100);
    const cut = await said(directory, 'verify', 'etcd/lab', '000001');
    expect(cut).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/backup 000001 cannot be used: .*has 100 bytes/) });
    expect((await said(directory, 'verify', 'etcd/lab', '000009')).stderr).toContain('The backup 000009 cannot be used: there is none');
    await rm(join(directory, 'manifests', '000001.json'));
    expect(await said(directory, 'list', 'etcd/lab')).toMatchObject({ code: 1, stderr: expect.stringContaining('the chain has a gap') });
  });

  test('shows what the place says of one, with its drills, and whether its file is there', async () => {
    const { directory, store, manifests } = await placeWith(2);
    const found = { drilledAt: '2026-11-29T10:00:00.000Z', restoreMs: 1234, ageMs: 6, revision: 2 };
    await store.recordDrill('000002', { run: 'r-9', step: 's' }, found);
    const { code, stdout, stderr } = await said(directory, 'show', 'etcd/lab', '000002');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const part of [manifests[1]!.previous!, keys.id, manifests[1]!.file.sha256, 'came back in 1.2 s', 'step backup of run r-2']) {
      expect(stdout).toContain(part);
    }
    await rm(fileOf(directory, manifests[0]!));
    expect((await said(directory, 'show', 'etcd/lab', '000001')).stdout).toMatch(/file +NOT in the place\n(.*\n)*.*drills +none/);
    const json = JSON.parse((await said(directory, 'show', 'etcd/lab', '--json')).stdout) as { backup: { drills: unknown[] } };
    expect(json.backup).toMatchObject({ name: '000002', isThere: true, drills: [{ backup: '000002', ...found }] });
    expect(await said(directory, 'show', 'etcd/lab', '000009')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is none'),
    });
  });

  test('shows a file of no backup, as one whose worker was killed before the manifest; retention deletes it', async () => {
    const { directory, store, manifests } = await placeWith(1);
    const [young, old] = [1, 2].map(() => store.putFile(chunksOf(snapshot), statementOf(2), keys, never));
    const sha256 = (await old!).sha256;
    const file = fileOf(directory, { ...manifests[0]!, file: await old! });
    await utimes(file, new Date(), new Date(Date.now() - 48 * 3_600_000));
    const { stdout } = await said(directory, 'list', 'etcd/lab');
    for (const orphan of [sha256, (await young!).sha256]) expect(stdout).toContain(`The file ${orphan} of `);
    const access = { endpoints: ['http://127.0.0.1:1'], backups: { place: { directory }, key: { file: keyFile } } };
    const clients = createClients({ etcd: async () => ({ lab: access }) });
    const action = deleteBackupsAction(clients);
    const context = contextOfLook({ run: 'r-1', step: 's', target: { kind: 'etcd', region: '', name: 'lab' }, retry: 0 });
    const plan = await action.plan({ newestWithin: '30d' }, context);
    expect(plan).toMatchObject({ blockers: [], effects: [{ object: `File/${sha256}`, change: 'delete' }] });
    // One that was given a manifest since the plan was signed is a backup.
    const adopted = { ...plan, facts: { ...plan.facts, orphans: [sha256, manifests[0]!.file.sha256] } };
    for (const _time of ['once', 'twice']) await action.act(adopted, context);
    expect(await action.observe(adopted, context)).toMatchObject({ state: 'done' });
    expect(await store.orphans()).toMatchObject([{ sha256: (await young!).sha256 }]);
    expect(await store.hasFile(manifests[0]!)).toBe(true);
  });

  test('refuses what it is not for', async () => {
    expect(await said(root, 'list', 'rds/eu-central-1/demo')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('nothing that there are backups of'),
    });
    expect((await said(root, 'list', 'etcd/other')).stderr).toContain('other');
  });
});

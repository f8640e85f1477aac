import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import pMap from 'p-map';
import * as z from 'zod';
import {
  digestOfManifest,
  digestOfStatement,
  manifestFormat,
  nameOfBackup,
  problemsOfChain,
  type BackupManifest,
  type BackupStatement,
  type FileDigest,
  type StatementOfAny,
} from '../../domain/backup/manifest.ts';
import type { ActionContext } from '../../domain/action.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { parseJson } from '../../domain/json.ts';
import { canonicalText } from '../../domain/plan/plan.ts';
import { msOf } from '../../domain/time.ts';
import type { EvidencePlace } from '../../runbooks/configuration/configuration.ts';
import { createArtifactDirectory } from '../artifacts/directory.ts';
import { createArtifactBucket } from '../artifacts/s3.ts';
import type { ArtifactStore } from '../artifacts/store.ts';
import { createBucketObjects, openBucket } from '../storage/bucket.ts';
import { createDirectoryObjects } from '../storage/directory.ts';
import type { ObjectStore } from '../storage/objects.ts';
import { decrypt, encrypt, EncryptionDamage } from './encryption.ts';
import type { KeyKeeper } from './keys.ts';

const manifestsFolder = 'manifests';
const deletionsFolder = 'deletions';
const drillsFolder = 'drills';
const filesFolder = 'files';
/** Says which cluster the place is for, from before its first backup on. */
const ownerName = 'place.json';
const ownerBytesMax = 1024;
/** An hourly backup for more than two years; older places are begun anew. */
const backupsMax = 20_000;
const readsAtOnceMax = 16;
/** Snapshots of Kubernetes shrink to a fifth at the fastest level; higher ones take minutes for a few percent. */
const gzipLevel = 1;
const namePattern = /^(\d{6,})\.json$/;
const fileNamePattern = /^[0-9a-f]{64}$/;
const digestPrefix = 'sha256:';

const text = z.string().max(1000);
const count = z.int();
const digest = z.strictObject({ sha256: z.string().regex(/^sha256:[0-9a-f]{64}$/), bytes: z.int().min(0) });

/** What every statement has, for the shapes of its kinds. */
export const statementOfAny = {
  target: text,
  clusterId: text,
  run: text,
  step: text,
  takenAt: z.iso.datetime(),
  revision: count,
  snapshot: digest,
};

/** A kind of backup: how its manifests are written, and how large they may be. */
export interface BackupFormat<Statement extends StatementOfAny> {
  format: string;
  statement: z.ZodType<Statement>;
  manifestBytesMax: number;
}

/** Snapshots of etcd. */
export const etcdBackups: BackupFormat<BackupStatement> = {
  format: manifestFormat,
  statement: z.strictObject({
    ...statementOfAny,
    member: text,
    etcdVersion: text,
    compactRevision: count,
    hashKv: count,
    equalTo: z.array(text).max(100),
    keys: count,
  }),
  manifestBytesMax: 64 * 1024,
};

const drillShape = z.strictObject({ drilledAt: z.iso.datetime(), restoreMs: z.int(), ageMs: z.int(), revision: count });
const drillBytesMax = 4096;
const drillsMax = 20_000;
const ownerShape = z.strictObject({ clusterId: text });

/** A backup that has a manifest. */
export interface StoredBackup<Statement extends StatementOfAny = BackupStatement> {
  name: string;
  manifest: BackupManifest<Statement>;
  /** Whether retention has deleted its file; the manifest stays, for the chain. */
  isDeleted: boolean;
  /** Whether a drill has restored it. */
  isDrilled: boolean;
}

/** What a drill has found: that the backup comes back, and how long that takes. */
export type Drill = z.output<typeof drillShape>;

/** A drill with the name of the backup that it has restored. */
export type PassedDrill = Drill & { backup: string };

/** A file without a manifest: it is no backup. A worker was killed before it wrote the manifest, or is just about to write it. */
export interface OrphanFile {
  sha256: string;
  /** ISO 8601, UTC. */
  storedAt: string;
}

/** The step of a run that a drill belongs to. */
export type DrillOwner = Pick<ActionContext, 'run' | 'step'>;

/** The backups of one cluster in their place. */
export interface BackupStore<Statement extends StatementOfAny = BackupStatement> {
  /** Where a person finds it. */
  path: string;
  /** A local directory for what is not whole yet. */
  workRoot: string;
  /** All of them in their order. Throws HoldpointError `backup-place-unusable` also where the chain has a gap or was changed. */
  list(): Promise<StoredBackup<Statement>[]>;
  /**
   * Makes sure that the place takes what is written, and that it is the one of this cluster: the first cluster that asks has it. Throws
   * `backup-place-unusable`.
   */
  claim(clusterId: string): Promise<void>;
  /**
   * Compresses, encrypts and stores a snapshot, and reads it back. Throws `backup-unusable` where that is not what was written; nothing is
   * left of it then.
   */
  putFile(snapshot: AsyncIterable<Uint8Array>, statement: Statement, keys: KeyKeeper, signal: AbortSignal): Promise<FileDigest>;
  /** Writes the manifest after the ones that are known; false where another one has come first. */
  putManifest(
    manifest: Omit<BackupManifest<Statement>, 'format' | 'sequence' | 'previous'>,
    known: readonly StoredBackup<Statement>[],
  ): Promise<boolean>;
  /** What was backed up. What has come counts only once the stream has ended. Throws `backup-unusable`. */
  open(manifest: BackupManifest<Statement>, keys: KeyKeeper): AsyncIterable<Uint8Array>;
  /** Whether the file of a backup is there with its size. */
  hasFile(manifest: Pick<BackupManifest, 'file'>): Promise<boolean>;
  /** Writes down what the drill of one step has found. */
  recordDrill(backup: string, owner: DrillOwner, drill: Drill): Promise<void>;
  /** All drills that were passed, the oldest first. */
  drills(): Promise<PassedDrill[]>;
  /** What the drill of one step has found; undefined where there was none yet. */
  drillOf(backup: string, owner: DrillOwner): Promise<Drill | undefined>;
  /** The files that no manifest names, in the order of their names. */
  orphans(): Promise<OrphanFile[]>;
  /** Deletes one of them, unless there is a manifest by now that names it. */
  deleteOrphan(sha256: string): Promise<void>;
  /** Removes a file that no manifest names, as where another backup has come first. */
  forget(file: FileDigest): Promise<void>;
  /** Records that the file of a backup is deleted, then deletes it. */
  deleteFile(backup: Pick<StoredBackup<Statement>, 'name' | 'manifest'>): Promise<void>;
}

/** Opens the place of backups of etcd; nothing is asked of it yet. */
export function openBackupStore(place: EvidencePlace): BackupStore {
  return openStoreOf(place, etcdBackups);
}

/** Opens a place for backups of one kind: those of another kind in it are refused. Nothing is asked of it yet. */
export function openStoreOf<Statement extends StatementOfAny>(place: EvidencePlace, kind: BackupFormat<Statement>): BackupStore<Statement> {
  return 's3' in place
    ? createBackupStore(
        createBucketObjects(openBucket(place.s3)),
        createArtifactBucket({ ...place.s3, prefix: posix.join(place.s3.prefix ?? '', filesFolder) }),
        join(tmpdir(), `holdpoint-artifacts-${process.getuid?.() ?? 'user'}`),
        kind,
      )
    : createBackupStore(
        createDirectoryObjects(place.directory),
        createArtifactDirectory(join(place.directory, filesFolder)),
        join(place.directory, filesFolder),
        kind,
      );
}

function createBackupStore<Statement extends StatementOfAny>(
  objects: ObjectStore,
  files: ArtifactStore,
  workRoot: string,
  kind: BackupFormat<Statement>,
): BackupStore<Statement> {
  const path = objects.pathOf('');
  const reaching = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    return work().catch((error: unknown) => {
      if (error instanceof HoldpointError) throw error;
      const { why, remedy, consequence } = objects.troubleOf(error);
      const mayPass = consequence === 'retry';
      throw new HoldpointError(mayPass ? 'backup-place-unreachable' : 'backup-place-unusable', { place: path, cause: why }, { remedy });
    });
  };
  const open = (manifest: BackupManifest<Statement>, keys: KeyKeeper): AsyncIterable<Uint8Array> => openSnapshot(files, manifest, keys);
  return {
    path,
    workRoot,
    list: () => reaching(() => listBackups(objects, path, kind)),
    claim: (clusterId) => reaching(() => claimPlace(objects, path, clusterId)),
    putFile: async (snapshot, statement, keys, signal) => {
      const { dataKey, wrapped } = await keys.create();
      const header = { key: wrapped, statement: digestOfStatement(statement) };
      const { sha256, bytes } = await files.put(encrypt(through(snapshot, createGzip({ level: gzipLevel })), dataKey, header), { signal });
      const file = { sha256, bytes };
      const manifest = { format: kind.format, sequence: 0, previous: null, statement, file, key: keys.id };
      try {
        // Not what was sent, but what can be read, decides whether there is a backup.
        for await (const _chunk of open(manifest, keys)) signal.throwIfAborted();
      } catch (error) {
        // No manifest will ever name it.
        await files.remove(file).catch(() => undefined);
        throw error;
      }
      return file;
    },
    putManifest: async (manifest, known) => {
      const last = known.at(-1)?.manifest;
      const sequence = (last?.sequence ?? 0) + 1;
      const whole = { format: kind.format, sequence, previous: last ? digestOfManifest(last) : null, ...manifest };
      const bytes = Buffer.from(canonicalText(whole));
      return reaching(() => objects.putIfAbsent(`${manifestsFolder}/${nameOfBackup(sequence)}.json`, bytes));
    },
    open,
    hasFile: ({ file }) => files.has(file),
    recordDrill: async (backup, owner, drill) => {
      await reaching(() => objects.putIfAbsent(drillName(backup, owner), Buffer.from(canonicalText(drill))));
    },
    drillOf: async (backup, owner) => {
      const stored = await reaching(() => objects.get(drillName(backup, owner), drillBytesMax));
      return drillShape.safeParse(stored?.bytes && parseJson(stored.bytes)).data;
    },
    orphans: () => reaching(() => listOrphans(objects, path, kind)),
    deleteOrphan: async (sha256) => {
      if ((await reaching(() => listOrphans(objects, path, kind))).some((orphan) => orphan.sha256 === sha256)) {
        await files.remove({ sha256, bytes: 0 });
      }
    },
    drills: () => reaching(() => listDrills(objects)),
    forget: (file) => files.remove(file),
    deleteFile: async ({ name, manifest }) => {
      const bytes = Buffer.from(canonicalText({ manifest: digestOfManifest(manifest) }));
      await reaching(() => objects.putIfAbsent(`${deletionsFolder}/${name}.json`, bytes));
      await files.remove(manifest.file);
    },
  };
}

/** Begins with the backup, so that a list of names tells which ones were drilled. */
function drillName(backup: string, { run, step }: DrillOwner): string {
  return `${drillsFolder}/${backup}.${`${run}.${step}`.replaceAll(/[^\w.-]/g, '_')}.json`;
}

/** The name of a drill says which backup it has restored. What cannot be read proves nothing, and is left out. */
async function listDrills(objects: ObjectStore): Promise<PassedDrill[]> {
  const read = async (name: string): Promise<PassedDrill[]> => {
    const stored = await objects.get(`${drillsFolder}/${name}`, drillBytesMax);
    const { data } = drillShape.safeParse(stored?.bytes && parseJson(stored.bytes));
    return data ? [{ backup: name.split('.')[0] ?? '', ...data }] : [];
  };
  const drills = (await pMap(await objects.list(drillsFolder, drillsMax), read, { concurrency: readsAtOnceMax })).flat();
  return drills.sort((one, other) => msOf(one.drilledAt) - msOf(other.drilledAt));
}

/** The names come first: a manifest that is written meanwhile is among those that are read after them. */
async function listOrphans<Statement extends StatementOfAny>(
  objects: ObjectStore,
  place: string,
  kind: BackupFormat<Statement>,
): Promise<OrphanFile[]> {
  const names = (await objects.list(filesFolder, backupsMax)).filter((name) => fileNamePattern.test(name));
  const named = new Set((await listBackups(objects, place, kind)).map(({ manifest }) => manifest.file.sha256));
  const orphans = names.filter((name) => !named.has(digestPrefix + name));
  const look = async (name: string): Promise<OrphanFile[]> => {
    // Without its bytes.
    const modifiedAt = (await objects.get(`${filesFolder}/${name}`, 0))?.modifiedAt;
    return modifiedAt ? [{ sha256: digestPrefix + name, storedAt: modifiedAt.toISOString() }] : [];
  };
  return (await pMap(orphans, look, { concurrency: readsAtOnceMax })).flat();
}

async function claimPlace(objects: ObjectStore, place: string, clusterId: string): Promise<void> {
  // Written anew each time, though it is there: only a write shows that the place takes one.
  await objects.putIfAbsent(ownerName, Buffer.from(canonicalText({ clusterId })));
  const stored = await objects.get(ownerName, ownerBytesMax);
  const owner = ownerShape.safeParse(stored?.bytes && parseJson(stored.bytes)).data?.clusterId;
  if (owner === clusterId) return;
  const cause =
    owner === undefined ? `its ${ownerName} cannot be read` : `it is kept for the cluster ${owner}, and this one is ${clusterId}`;
  throw new HoldpointError('backup-place-unusable', { place, cause });
}

async function listBackups<Statement extends StatementOfAny>(
  objects: ObjectStore,
  place: string,
  kind: BackupFormat<Statement>,
): Promise<StoredBackup<Statement>[]> {
  const names = await objects.list(manifestsFolder, backupsMax);
  const deleted = new Set(await objects.list(deletionsFolder, backupsMax));
  const drilled = new Set((await objects.list(drillsFolder, drillsMax)).map((name) => name.split('.')[0]));
  const manifests = await pMap(names, (name) => readManifest(objects, name, kind), { concurrency: readsAtOnceMax });
  manifests.sort((one, other) => one.sequence - other.sequence);
  const [problem] = problemsOfChain(manifests);
  if (problem !== undefined) throw new HoldpointError('backup-place-unusable', { place, cause: problem });
  return manifests.map((manifest): StoredBackup<Statement> => {
    const name = nameOfBackup(manifest.sequence);
    return { name, manifest, isDeleted: deleted.has(`${name}.json`), isDrilled: drilled.has(name) };
  });
}

async function readManifest<Statement extends StatementOfAny>(
  objects: ObjectStore,
  name: string,
  { format, statement, manifestBytesMax }: BackupFormat<Statement>,
): Promise<BackupManifest<Statement>> {
  const path = `${manifestsFolder}/${name}`;
  const sequence = namePattern.exec(name)?.[1];
  const stored = sequence === undefined ? undefined : await objects.get(path, manifestBytesMax);
  const shape = z.strictObject({
    format: z.literal(format),
    sequence: z.int().min(1),
    previous: z.string().nullable(),
    statement,
    file: digest,
    key: text,
  });
  const { data } = shape.safeParse(stored?.bytes && parseJson(stored.bytes));
  if (data && data.sequence === Number(sequence)) return data;
  throw new HoldpointError('backup-place-unusable', {
    place: objects.pathOf(path),
    cause: 'it is no manifest of a backup, or one of a newer version',
  });
}

async function* openSnapshot(
  files: ArtifactStore,
  { sequence, statement, file, key }: BackupManifest<StatementOfAny>,
  keys: KeyKeeper,
): AsyncGenerator<Uint8Array> {
  const unusable = (cause: string): HoldpointError => {
    return new HoldpointError('backup-unusable', { backup: sequence === 0 ? 'that was just made' : nameOfBackup(sequence), cause });
  };
  if (key !== keys.id) throw unusable(`it is encrypted with the key ${key}, and the configuration names ${keys.id}`);
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    const clear = decrypt(await files.open(file), async (header) => {
      if (header.statement !== digestOfStatement(statement))
        throw new EncryptionDamage('its manifest was changed, or belongs to another file');
      return keys.open(header.key);
    });
    for await (const chunk of through(clear, createGunzip())) {
      bytes += chunk.length;
      if (bytes > statement.snapshot.bytes) throw new EncryptionDamage('it is longer than its manifest says');
      hash.update(chunk);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof HoldpointError) throw error.code === 'artifact-damaged' ? unusable(String(error.details.cause)) : error;
    if (error instanceof EncryptionDamage) throw unusable(error.message);
    // Of zlib: what was decrypted is whole, so that this is a mistake of whoever has written it.
    throw unusable(`it cannot be unpacked (${error instanceof Error ? error.message : String(error)})`);
  }
  if (bytes !== statement.snapshot.bytes || `sha256:${hash.digest('hex')}` !== statement.snapshot.sha256) {
    throw unusable('it does not hold the snapshot that its manifest names');
  }
}

/** Sends a stream through another one; errors of the source come out of it. */
async function* through(source: AsyncIterable<Uint8Array>, transform: ReturnType<typeof createGzip>): AsyncGenerator<Uint8Array> {
  const flowing = pipeline(Readable.from(source, { objectMode: false }), transform);
  flowing.catch(() => undefined);
  try {
    for await (const chunk of transform as AsyncIterable<Uint8Array>) yield chunk;
    await flowing;
  } finally {
    transform.destroy();
  }
}

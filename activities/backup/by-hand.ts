import { randomUUID } from 'node:crypto';
import type { BackupManifest, BackupStatement } from '../../domain/backup/manifest.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { formatTarget, type Target } from '../../domain/target.ts';
import { etcdClustersOf } from '../../runbooks/configuration/etcd.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { createClients } from '../clients.ts';
import { openBackups, type OpenBackups } from '../etcd/backup.ts';
import { drillBackup } from '../etcd/drill.ts';
import { openKeyKeeper } from './keys.ts';
import type { Drill, OrphanFile, StoredBackup } from './store.ts';

export type { Drill, OrphanFile };

/** A backup as people see it. */
export interface ListedBackup {
  name: string;
  statement: BackupStatement;
  storedBytes: number;
  isDeleted: boolean;
  isDrilled: boolean;
}

/** The configuration that says where backups are kept, with the path of its file. */
export interface Configured {
  file: string;
  configuration: Configuration;
}

/**
 * All backups of a cluster, the oldest first, and the files of its place that are of none. Throws `target-not-configured`, `backup-place-…`
 * errors.
 */
export async function listBackupsByHand(
  target: Target,
  configured: Configured,
): Promise<{ backups: ListedBackup[]; orphans: OrphanFile[] }> {
  const { store } = await openByHand(target, configured);
  return { backups: (await store.list()).map(shown), orphans: await store.orphans() };
}

/**
 * Reads a backup whole, with the key that the configuration names: it is what its manifest says. The newest one where no name is given.
 * Throws `backup-unusable` where it is not, or there is none, and what `listBackupsByHand` throws.
 */
export async function verifyBackupByHand(target: Target, name: string | undefined, configured: Configured): Promise<ListedBackup> {
  const { store, backups } = await openByHand(target, configured);
  const backup = whole(find(await store.list(), name, target));
  const keys = await openKeyKeeper(backups.key);
  // What has come counts only once the stream has ended.
  for await (const _chunk of store.open(backup.manifest, keys)) continue;
  return shown(backup);
}

/** A backup with all that its place says of it. */
export interface ShownBackup extends ListedBackup {
  manifest: BackupManifest;
  /** Whether its file is in the place with its size; its bytes are not read. */
  isThere: boolean;
  /** The drills that have restored it, the oldest first. */
  drills: Drill[];
}

/** What the place says of one backup, the newest where no name is given. Throws `backup-unusable` where there is none. */
export async function showBackupByHand(target: Target, name: string | undefined, configured: Configured): Promise<ShownBackup> {
  const { store } = await openByHand(target, configured);
  const backup = find(await store.list(), name, target);
  const drills = (await store.drills()).filter((drill) => drill.backup === backup.name);
  return { ...shown(backup), manifest: backup.manifest, isThere: await store.hasFile(backup.manifest), drills };
}

/**
 * Restores a backup into an etcd of its own on this machine, as the action `etcd.drill` does, and writes down that it came back. The newest
 * one where no name is given. Throws `backup-unusable` where it does not come back, and `etcd-program-unusable`.
 */
export async function drillBackupByHand(
  target: Target,
  name: string | undefined,
  configured: Configured,
  signal: AbortSignal,
): Promise<{ backup: ListedBackup; drill: Drill }> {
  const opened = await openByHand(target, configured);
  const backup = whole(find(await opened.store.list(), name, target));
  const owner = { run: 'by-hand', step: randomUUID() };
  await drillBackup(opened, backup, { ...owner, target, signal });
  const drill = await opened.store.drillOf(backup.name, owner);
  if (!drill)
    throw new HoldpointError('backup-place-unusable', { place: opened.store.path, cause: 'the drill that was written is not there' });
  return { backup: { ...shown(backup), isDrilled: true }, drill };
}

function find(stored: readonly StoredBackup[], name: string | undefined, target: Target): StoredBackup {
  const backup = name === undefined ? stored.findLast(({ isDeleted }) => !isDeleted) : stored.find((candidate) => candidate.name === name);
  if (backup) return backup;
  throw new HoldpointError('backup-unusable', { backup: name ?? `of ${formatTarget(target)}`, cause: 'there is none' });
}

function whole(backup: StoredBackup): StoredBackup {
  if (!backup.isDeleted) return backup;
  throw new HoldpointError('backup-unusable', { backup: backup.name, cause: 'retention has deleted its file' });
}

async function openByHand(target: Target, { file, configuration }: Configured): Promise<OpenBackups> {
  const clusters = etcdClustersOf(file, configuration);
  return openBackups(createClients({ etcd: async () => clusters }), target);
}

function shown({ name, manifest: { statement, file }, isDeleted, isDrilled }: StoredBackup): ListedBackup {
  return { name, statement, storedBytes: file.bytes, isDeleted, isDrilled };
}

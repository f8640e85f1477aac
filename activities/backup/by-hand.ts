import type { BackupStatement } from '../../domain/backup/manifest.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { formatTarget, type Target } from '../../domain/target.ts';
import { etcdClustersOf } from '../../runbooks/configuration/etcd.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { createClients } from '../clients.ts';
import { openBackups, type OpenBackups } from '../etcd/backup.ts';
import { openKeyKeeper } from './keys.ts';
import type { StoredBackup } from './store.ts';

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

/** All backups of a cluster, the oldest first. Throws `target-not-configured`, `backup-place-…` errors. */
export async function listBackupsByHand(target: Target, configured: Configured): Promise<ListedBackup[]> {
  const { store } = await openByHand(target, configured);
  return (await store.list()).map(shown);
}

/**
 * Reads a backup whole, with the key that the configuration names: it is what its manifest says. The newest one where no name is given.
 * Throws `backup-unusable` where it is not, or there is none, and what `listBackupsByHand` throws.
 */
export async function verifyBackupByHand(target: Target, name: string | undefined, configured: Configured): Promise<ListedBackup> {
  const { store, backups } = await openByHand(target, configured);
  const stored = await store.list();
  const backup = name === undefined ? stored.findLast(({ isDeleted }) => !isDeleted) : stored.find((candidate) => candidate.name === name);
  if (!backup) throw new HoldpointError('backup-unusable', { backup: name ?? `of ${formatTarget(target)}`, cause: 'there is none' });
  if (backup.isDeleted) throw new HoldpointError('backup-unusable', { backup: backup.name, cause: 'retention has deleted its file' });
  const keys = await openKeyKeeper(backups.key);
  // What has come counts only once the stream has ended.
  for await (const _chunk of store.open(backup.manifest, keys)) continue;
  return shown(backup);
}

async function openByHand(target: Target, { file, configuration }: Configured): Promise<OpenBackups> {
  const clusters = etcdClustersOf(file, configuration);
  return openBackups(
    createClients(undefined, undefined, undefined, async () => clusters),
    target,
  );
}

function shown({ name, manifest: { statement, file }, isDeleted, isDrilled }: StoredBackup): ListedBackup {
  return { name, statement, storedBytes: file.bytes, isDeleted, isDrilled };
}

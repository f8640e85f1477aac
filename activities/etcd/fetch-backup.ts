import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { BackupStatement } from '../../domain/backup/manifest.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { formatTarget, type Target } from '../../domain/target.ts';
import { openKeyKeeper } from '../backup/keys.ts';
import type { StoredBackup } from '../backup/store.ts';
import type { OpenBackups } from './backup.ts';
import { inspectSnapshot, type SnapshotFacts } from './snapshot.ts';

/** Where a backup is brought to, and for whom. */
export interface Fetching {
  /** It must not be there yet. */
  file: string;
  target: Target;
  signal: AbortSignal;
}

/**
 * Decrypts and unpacks a backup into a file, and reads it as a new snapshot is read: its keys have to be those that its manifest names.
 * Throws `backup-unusable`, `snapshot-refused`.
 */
export async function fetchBackup(
  { access, backups, store }: OpenBackups,
  { name, manifest }: StoredBackup,
  { file, target, signal }: Fetching,
): Promise<void> {
  await writeAll(file, store.open(manifest, await openKeyKeeper(backups.key)), signal);
  if (isStated(await inspectSnapshot(access, formatTarget(target), file, signal), manifest.statement)) return;
  throw new HoldpointError('backup-unusable', { backup: name, cause: 'its keys are not those that its manifest names (HashKV)' });
}

async function writeAll(file: string, source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, 'wx', 0o600);
  try {
    for await (const chunk of source) {
      signal.throwIfAborted();
      await handle.writeFile(chunk);
    }
  } finally {
    await handle.close();
  }
}

function isStated(facts: SnapshotFacts, { hashKv, revision, compactRevision, keys }: BackupStatement): boolean {
  return facts.hash === hashKv && facts.hashRevision === revision && facts.compactRevision === compactRevision && facts.keys === keys;
}

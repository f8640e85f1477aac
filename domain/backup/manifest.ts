import { digestOf } from '../plan/plan.ts';

/** What a manifest says of any backup. Its digest is bound to the encrypted file, so that nobody can change it unseen. */
export type StatementOfAny = {
  target: string;
  /** Tells one cluster from another: the id of a cluster of etcd, the UID of kube-system. */
  clusterId: string;
  run: string;
  step: string;
  /** ISO 8601, UTC: when the backup was begun. All that was written before is in it. */
  takenAt: string;
  revision: number;
  /** What was backed up, before compression and encryption. */
  snapshot: FileDigest;
};

/** What the manifest of a backup of etcd says of its snapshot. */
export type BackupStatement = {
  target: string;
  /** Decimal: it does not fit into a number of JavaScript. */
  clusterId: string;
  run: string;
  step: string;
  /** ISO 8601, UTC: when the snapshot was begun. All that was written before is in it. */
  takenAt: string;
  /** The member that the snapshot was taken of. */
  member: string;
  etcdVersion: string;
  revision: number;
  compactRevision: number;
  hashKv: number;
  /** The members whose keys were the same at the revision. */
  equalTo: string[];
  /** Keys with all their revisions, as `etcdutl snapshot status` counts them. */
  keys: number;
  /** The snapshot as etcd has given it, before compression and encryption. */
  snapshot: FileDigest;
};

/** A file by its SHA-256 (`sha256:<hex>`) and its length. */
export type FileDigest = { sha256: string; bytes: number };

/** A backup: written last, once the file was read back. Without it there is no backup. */
export type BackupManifest<Statement extends StatementOfAny = BackupStatement> = {
  /** Says what was backed up, and how its manifest is written. */
  format: string;
  /** From 1, without a gap. */
  sequence: number;
  /** Digest of the manifest before it; null of the first one. */
  previous: string | null;
  statement: Statement;
  /** The file that is kept: compressed and encrypted. */
  file: FileDigest;
  /** Which key it is encrypted with: a fingerprint, or the ARN of a key of KMS. */
  key: string;
};

export const manifestFormat = 'holdpoint.dev/etcd-backup/v1';

/** What the next manifest names as the one before it. */
export function digestOfManifest(manifest: BackupManifest<StatementOfAny>): string {
  return digestOf(manifest);
}

/** What is bound to the encrypted file. */
export function digestOfStatement(statement: StatementOfAny): string {
  return digestOf(statement);
}

/** The name of a backup, after its place in the chain: `000001`. */
export function nameOfBackup(sequence: number): string {
  return String(sequence).padStart(6, '0');
}

/**
 * What is wrong with the chain of all manifests of a place, in their order, one sentence each: a gap, a change, backups of two clusters, or
 * a revision that goes back, as it does when somebody has restored the cluster from an older state.
 */
export function problemsOfChain(manifests: readonly BackupManifest<StatementOfAny>[]): string[] {
  return manifests.flatMap((manifest, index) => {
    const before = manifests[index - 1];
    const name = nameOfBackup(manifest.sequence);
    if (manifest.sequence !== index + 1) return [`${name} stands where ${nameOfBackup(index + 1)} should be: the chain has a gap`];
    if (!before) return manifest.previous === null ? [] : [`${name} is the first one, but names another one before it`];
    if (manifest.previous !== digestOfManifest(before)) {
      return [`${nameOfBackup(before.sequence)} is not the manifest that ${name} names before it: one of them was changed`];
    }
    return problemsOfSuccessor(before.statement, manifest.statement).map((problem) => `${name}: ${problem}`);
  });
}

/** Why a snapshot cannot follow another one in the same place; empty where it can. */
export function problemsOfSuccessor(
  before: Pick<StatementOfAny, 'clusterId' | 'revision'>,
  { clusterId, revision }: Pick<StatementOfAny, 'clusterId' | 'revision'>,
): string[] {
  if (clusterId !== before.clusterId) {
    return [`it is of the cluster ${clusterId}, and the backups before it are of ${before.clusterId}`];
  }
  if (revision < before.revision) return [`its revision ${revision} is older than ${before.revision}, which a backup before it has`];
  return [];
}

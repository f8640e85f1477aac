/** How the directories of one member are called in the restore of one run; all of them are beside the data directory. */
export interface RestorePaths {
  /** Where etcd has its data, before and after. */
  data: string;
  /** Restored, and not used yet. */
  restored: string;
  /** Says which backup was restored. */
  note: string;
  /** Not whole: the next attempt removes it. */
  unfinished: string;
  /** The old data, once the restored ones are in their place. */
  kept: string;
  /** A snapshot of the member before it was ended. */
  snapshot: string;
}

/** The directories of one member for the restore of one run. */
export function restorePathsOf(dataDirectory: string, run: string): RestorePaths {
  const restored = `${dataDirectory}.restored-${run}`;
  const kept = `${dataDirectory}.before-${run}`;
  return { data: dataDirectory, restored, note: `${restored}.json`, unfinished: `${restored}.part`, kept, snapshot: `${kept}.db` };
}

/** Which of the directories are there. */
export type PresentPaths = Record<'data' | 'restored' | 'kept', boolean>;

/** How far an exchange of directories is; `unknown` where they are as no step of it leaves them. */
export type ExchangeStage = 'before' | 'between' | 'after' | 'unknown';

/**
 * Reads from the directories alone how far the restored data are in the place of the old ones. Between the two renames there is none in
 * that place: whoever starts etcd then makes a new, empty one, which is nobody's to remove.
 */
export function exchangeStageOf({ data, restored, kept }: PresentPaths): ExchangeStage {
  if (data && restored && !kept) return 'before';
  if (!data && restored && kept) return 'between';
  if (data && !restored && kept) return 'after';
  return 'unknown';
}

/** Revisions of a restored cluster begin so much later than those of the backup, at the least: no client has seen one of them. */
const bumpRevisionMin = 1_000_000_000;

/**
 * By how much the revisions of a restored cluster are raised, as clients such as API servers take a revision that they have seen for newer
 * than one that is smaller: a fifth of those that there were, and as many as no cluster writes between a backup and its restore.
 */
export function bumpRevisionFor(revision: number): number {
  return Math.max(bumpRevisionMin, Math.ceil(revision / 5));
}

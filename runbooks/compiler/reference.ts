import { posix } from 'node:path';

/** A runbook that another one carries out, as it is sent along with it. */
export interface NestedDocument {
  /** Where it came from, for messages. */
  file: string;
  text: string;
}

/**
 * The documents that a runbook carries out, and those that they carry out, by their keys. The key of a shipped runbook is its
 * name, such as `node-group-update`. The key of a file is its path from the folder of the runbook that is started: it begins
 * with `./` or `../`, has no needless parts, and is separated by `/`, whichever document names the file and in whichever way.
 */
export type NestedDocuments = Record<string, NestedDocument>;

/** Whether a reference means a file, and not a runbook that comes with Holdpoint. */
export function isPath(reference: string): boolean {
  return /[/\\]|\.ya?ml$/.test(reference);
}

/** The key that the runbook which is started has itself, so that one which leads back to it is found out. */
export function keyOfStarted(file: string): string {
  return `./${posix.basename(file)}`;
}

/** The key of what the document with the key `from` calls `reference`; undefined for a file named by a shipped runbook. */
export function keyOfReference(reference: string, from: string): string | undefined {
  if (!isPath(reference)) return reference;
  if (!isPath(from)) return undefined;
  const path = posix.join(posix.dirname(from), reference);
  return path.startsWith('../') ? path : `./${path}`;
}

/** Where the file of a key is, given the file of the runbook that is started. */
export function fileOfKey(key: string, started: string): string {
  const path = posix.join(posix.dirname(started), key);
  return started.startsWith('./') && !path.startsWith('../') ? `./${path}` : path;
}

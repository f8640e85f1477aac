import { createDirectoryObjects } from '../storage/directory.ts';
import { createEvidenceStore, type Proof } from './record.ts';
import type { EvidenceStore } from './store.ts';

/**
 * Keeps each run's record in the directory `<directory>/<run>/`, one file per entry, and what is kept under its digest in
 * `<directory>/payloads/<hex>`. All workers must share the directory.
 */
export function createEvidenceDirectory(directory: string, proof?: Proof): EvidenceStore {
  return createEvidenceStore(createDirectoryObjects(directory), proof);
}

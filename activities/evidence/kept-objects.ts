import { digestOfBytes, keptBytesMax } from '../../domain/evidence/evidence.ts';
import { getObject, keptKeyOf, put, putNew, type RecordPlace } from './s3-record.ts';
import { requireDigest, requireKeepable } from './store.ts';

/** How often bytes are written when S3 says that they are there, or being written, and then shows none. */
const writesMax = 5;
/**
 * How old an object may be when it is referred to anew. An older one is written over with the same bytes, so that Object
 * Lock keeps it about as long as the entry that refers to it now.
 */
const renewAfterMs = 86_400_000;

/**
 * Keeps bytes in `<prefix>/payloads/<hex>` and returns their digest. The bucket locks them as it locks entries: by its
 * default retention, from the day on which they were last referred to anew.
 *
 * @throws EvidenceError where they are too many or something else lies in their place, and errors of S3.
 */
export async function keepObject(place: RecordPlace, bytes: Uint8Array): Promise<string> {
  requireKeepable(bytes);
  const digest = digestOfBytes(bytes);
  const key = keptKeyOf(place, digest);
  for (let writes = 1; writes <= writesMax; writes += 1) {
    if (await putNew(place, key, bytes)) return digest;
    const there = await getObject(place, key, keptBytesMax);
    // The write that was in the way has failed, or the object was removed since.
    if (there === undefined) continue;
    requireDigest(there.bytes ?? new Uint8Array(), digest, nameOf(place, key));
    if (Date.now() - (there.modifiedAt?.getTime() ?? 0) > renewAfterMs) await put(place, key, bytes);
    return digest;
  }
  throw new Error(`S3 said ${writesMax} times that ${key} is there, but shows none: it is being written, or was deleted`);
}

/** Reads what is kept under a digest. Throws EvidenceError where it is missing or changed, and errors of S3. */
export async function fetchObject(place: RecordPlace, digest: string): Promise<Uint8Array> {
  const key = keptKeyOf(place, digest);
  const there = await getObject(place, key, keptBytesMax);
  // Bytes that are not read because they are too many cannot be the ones that were kept.
  return requireDigest(there && (there.bytes ?? new Uint8Array()), digest, nameOf(place, key));
}

function nameOf({ bucket }: RecordPlace, key: string): string {
  return `s3://${bucket}/${key}`;
}

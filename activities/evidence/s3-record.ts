import {
  GetObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  type GetObjectCommandOutput,
} from '@aws-sdk/client-s3';
import type { Consequence } from '../../domain/errors.ts';
import {
  evidenceLineBytesMax,
  keptPathOf,
  readLine,
  recordBytesMax,
  verifyChain,
  type ChainReport,
} from '../../domain/evidence/evidence.ts';

const requestTimeoutMs = 10_000;
const connectionTimeoutMs = 5_000;
const attemptsMax = 3;
/** Objects that are read at once. */
const readsAtOnceMax = 16;
/** Entries of one record; a long run has a few thousand. */
export const recordEntriesMax = 100_000;
const sequenceDigits = 9;
const objectNamePattern = /^\d{9}\.json$/;

/** Where the records of runs are kept in S3. `prefix` is empty or ends with `/`. */
export interface RecordPlace {
  client: S3Client;
  bucket: string;
  prefix: string;
}

/** One object below the key of a record. */
export interface RecordObject {
  /** The part of its key behind the run, e.g. `000000012.json`. */
  name: string;
  /** Undefined where it is larger than any entry, or was removed while the record was read. */
  bytes?: Uint8Array;
  /** When it was written, as S3 says. */
  modifiedAt?: Date;
  /** Until when Object Lock keeps it; undefined where it does not, or where the reader may not know. */
  lockedUntil?: Date;
}

/** What is found in the objects of a record. */
export interface ObjectsReport {
  chain: ChainReport;
  /** Everything that is wrong, with the object it was found in; undefined where that is none in particular. */
  problems: { line: number; object?: string; sentence: string }[];
  /** The objects behind the lines of `chain`, in order. */
  names: string[];
  /** The record as JSON lines. */
  text: string;
}

/** Why S3 did not do what it was asked, in words that hold no secret. */
export interface S3Trouble {
  consequence: Consequence;
  /** Half a sentence: `the bucket b does not exist`. */
  why: string;
  remedy: string;
}

/** Where a record is, in a folder of its own. */
export function placeOf(region: string, bucket: string, prefix = ''): RecordPlace {
  const folder = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
  return { client: createClient(region), bucket, prefix: folder };
}

/** The key of an entry. Nine digits, so that keys sort as their entries do. */
export function keyOf({ prefix }: RecordPlace, run: string, sequence: number): string {
  return `${prefix}${run}/${String(sequence).padStart(sequenceDigits, '0')}.json`;
}

/** Where something that is kept under its digest lies. Throws RangeError for what is no digest. */
export function keptKeyOf({ prefix }: RecordPlace, digest: string): string {
  return `${prefix}${keptPathOf(digest)}`;
}

/** Writes an object, over one that may be there: with Object Lock as a new version, which keeps the old one. */
export async function put({ client, bucket }: RecordPlace, key: string, body: string | Uint8Array, ifNoneMatch?: '*'): Promise<void> {
  await client.send(
    new PutObjectCommand({
      Bucket: bucket,
      Key: key,
      Body: body,
      IfNoneMatch: ifNoneMatch,
      ChecksumAlgorithm: 'SHA256',
      ContentType: typeof body === 'string' ? 'application/json' : 'application/octet-stream',
    }),
  );
}

/** Writes an object unless there is one. Says whether it did; a reply that was lost and asked for again counts as "no". */
export async function putNew(place: RecordPlace, key: string, body: string | Uint8Array): Promise<boolean> {
  try {
    await put(place, key, body, '*');
    return true;
  } catch (error) {
    // 409 ConditionalRequestConflict: another write of the key was under way, and may have failed.
    const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
    if (status === 412 || (status === 409 && error instanceof Error && error.name === 'ConditionalRequestConflict')) return false;
    throw error;
  }
}

/** Reads one object of up to so many bytes; its checksum is compared by the client. Undefined where there is none. */
export async function getObject(
  place: RecordPlace,
  key: string,
  bytesMax = evidenceLineBytesMax,
): Promise<Omit<RecordObject, 'name'> | undefined> {
  let output: GetObjectCommandOutput;
  try {
    output = await place.client.send(new GetObjectCommand({ Bucket: place.bucket, Key: key, ChecksumMode: 'ENABLED' }));
  } catch (error) {
    if (error instanceof NoSuchKey) return undefined;
    throw error;
  }
  const { LastModified: modifiedAt, ObjectLockRetainUntilDate: lockedUntil } = output;
  if ((output.ContentLength ?? 0) > bytesMax) {
    // Not read, or the connection would stay taken.
    (output.Body as { destroy?: () => void } | undefined)?.destroy?.();
    return { modifiedAt, lockedUntil };
  }
  return { bytes: await output.Body?.transformToByteArray(), modifiedAt, lockedUntil };
}

/** Reads everything below the key of a record, in the order of the keys. Throws where there is more than any record has. */
export async function readObjects(place: RecordPlace, run: string): Promise<RecordObject[]> {
  const names = await listNames(place, run);
  const objects: RecordObject[] = [];
  let next = 0;
  let bytes = 0;
  const work = async (): Promise<void> => {
    while (next < names.length) {
      const index = next++;
      const name = names[index] ?? '';
      objects[index] = { name, ...(await getObject(place, `${place.prefix}${run}/${name}`)) };
      bytes += objects[index].bytes?.length ?? 0;
      if (bytes > recordBytesMax) throw new Error(`the record has more than ${recordBytesMax} bytes, more than any record of a run`);
    }
  };
  try {
    await Promise.all(Array.from({ length: readsAtOnceMax }, work));
  } finally {
    // After an error the others stop, too.
    next = names.length;
  }
  return objects;
}

/** The names of the objects of a record, in order; S3 lists keys in the order of their bytes. */
export async function listNames({ client, bucket, prefix }: RecordPlace, run: string): Promise<string[]> {
  const folder = `${prefix}${run}/`;
  const names: string[] = [];
  let token: string | undefined;
  do {
    const page = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: folder, ContinuationToken: token }));
    for (const { Key: key = '' } of page.Contents ?? []) names.push(key.slice(folder.length));
    if (names.length > recordEntriesMax) throw new Error(`there are more than ${recordEntriesMax} objects, more than any record has`);
    token = page.NextContinuationToken;
  } while (token !== undefined);
  return names;
}

/** Checks a record as it lies in S3: each object for itself, that it has its place, and the chain through all of them. */
export function checkObjects(objects: readonly RecordObject[], run: string): ObjectsReport {
  const own: ObjectsReport['problems'] = [];
  const names: string[] = [];
  const lines: string[] = [];
  for (const object of objects) {
    const { line, sentence } = readObject(object);
    if (line !== undefined) {
      names.push(object.name);
      lines.push(line);
    }
    if (sentence !== undefined) own.push({ line: Math.max(1, lines.length), object: object.name, sentence });
  }
  const text = lines.join('');
  const chain = verifyChain(text, run);
  const inChain = chain.problems.map((problem) => ({ ...problem, object: names[problem.line - 1] }));
  const problems = [...own, ...inChain].sort((one, other) => one.line - other.line);
  return { chain, problems, names, text };
}

/** The line that an object holds, with its end; a sentence where it is none or belongs elsewhere. */
function readObject({ name, bytes }: RecordObject): { line?: string; sentence?: string } {
  if (!objectNamePattern.test(name)) return { sentence: 'The object is no entry of the record: somebody put it there.' };
  if (bytes === undefined) return { sentence: 'The object is larger than any entry, or was removed while the record was read.' };
  const line = decode(bytes);
  if (line === undefined || line.indexOf('\n') !== line.length - 1) {
    return { sentence: 'The object is not one line of UTF-8 text: it was changed.' };
  }
  const sequence = readLine(line.slice(0, -1)).entry?.sequence;
  if (sequence !== undefined && sequence !== Number.parseInt(name, 10)) {
    return { line, sentence: `The object holds entry ${sequence}: it was moved or replaced.` };
  }
  return { line };
}

/** Undefined where the bytes are not UTF-8: a lenient decoder would let some changed bytes pass as the same text. */
function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The region is where to begin: AWS says if the bucket is in another one, and the client follows. */
function createClient(region: string): S3Client {
  const { AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 } = process.env;
  return new S3Client({
    region,
    followRegionRedirects: true,
    // Stores other than AWS's seldom have a host name per bucket.
    forcePathStyle: Boolean(AWS_ENDPOINT_URL_S3 ?? AWS_ENDPOINT_URL),
    maxAttempts: attemptsMax,
    requestHandler: { requestTimeout: requestTimeoutMs, connectionTimeout: connectionTimeoutMs },
  });
}

const credentialNames = new Set(['ExpiredToken', 'InvalidToken', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'TokenRefreshRequired']);
const busyNames = new Set(['SlowDown', 'ServiceUnavailable', 'Throttling', 'ThrottlingException', 'RequestLimitExceeded', 'InternalError']);

/**
 * Reads an error of the S3 client. The error itself must go no further: with a refused token S3 sends the token back,
 * and a failed credential process tells its output.
 */
export function troubleOf(error: unknown, bucket: string): S3Trouble {
  const { name, message } = error instanceof Error ? error : { name: '', message: String(error) };
  const status = error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? 0) : 0;
  const code = (error as { code?: unknown } | null)?.code;
  if (name === 'CredentialsProviderError') {
    const remedy = 'Provide them (AWS_PROFILE, a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), then try again.';
    return { consequence: 'stuck', why: 'there are no AWS credentials', remedy };
  }
  if (name === 'NoSuchBucket') {
    return { consequence: 'stuck', why: `the bucket ${bucket} does not exist`, remedy: 'Correct its name, or make the bucket.' };
  }
  if (credentialNames.has(name)) {
    return { consequence: 'stuck', why: `S3 does not accept the AWS credentials (${name})`, remedy: 'Renew them, then try again.' };
  }
  if (status === 401 || status === 403) {
    const remedy = `Allow s3:PutObject, s3:GetObject and s3:ListBucket on ${bucket}, and the use of its KMS key if it has one.`;
    return { consequence: 'stuck', why: `S3 denied access (${name}: ${withoutStop(message)})`, remedy };
  }
  if (busyNames.has(name) || status === 429 || status >= 500) {
    return { consequence: 'retry', why: `S3 could not take the request just now (${name})`, remedy: 'Wait; it will be tried again.' };
  }
  if (typeof code === 'string' || name === 'TimeoutError') {
    const why = `S3 did not answer (${typeof code === 'string' ? code : name})`;
    return { consequence: 'retry', why, remedy: 'Check the network and the endpoint (AWS_ENDPOINT_URL), then try again.' };
  }
  return { consequence: 'retry', why: withoutStop(message || name), remedy: 'Read the reason, and put it right in S3.' };
}

function withoutStop(message: string): string {
  return message.replace(/\.+$/, '');
}

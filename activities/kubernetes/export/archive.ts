import { createHash } from 'node:crypto';
import pMap from 'p-map';
import { isOfOneStore, typeNameOf, type ExportedType, type LeftOutType, type ServedType } from '../../../domain/backup/export.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { OtherRevision, readType, revisionOf, type PageOfType, type PageReading } from './read-type.ts';
import type { ServedTypes } from './discover.ts';

/** What the first line of an archive says. */
export const archiveFormat = 'holdpoint.dev/kubernetes-objects/v1';
const probesAtOnceMax = 8;
/** Written at once: a line for each object would be a call of zlib and of the cipher for each. */
const batchBytes = 256 * 1024;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const objectBegin = Buffer.from('{"object":');
const objectEnd = Buffer.from('}\n');

/** What is exported, and at which revision. */
export interface ExportPlan {
  /** The revision of the whole; undefined where each type is of its own. */
  revision: string | undefined;
  types: { type: ServedType; isOfRevision: boolean; reason?: string; isAggregated: boolean }[];
}

/** What has become of an export. */
export interface ExportTally {
  types: ExportedType[];
  leftOut: LeftOutType[];
}

/**
 * Chooses the revision of an export and finds out which types are kept in the store that it belongs to: asked between two looks at the
 * revision, they answer with one in between. Throws `kubernetes-…` errors.
 */
export async function planExport({ types, aggregated }: ServedTypes, reading: PageReading): Promise<ExportPlan> {
  const namespaces = { group: '', version: 'v1', resource: 'namespaces', kind: 'Namespace', namespaced: false };
  const before = await revisionOf(namespaces, reading);
  const isAggregated = (type: ServedType): boolean => aggregated.has(typeNameOf(type));
  const seen = await pMap(types, (type) => (isAggregated(type) ? '' : revisionOf(type, reading)), { concurrency: probesAtOnceMax });
  const revision = await revisionOf(namespaces, reading);
  const planned = types.map((type, index) => {
    if (isAggregated(type)) return { type, isAggregated: true, isOfRevision: false, reason: 'An aggregated API serves it.' };
    const isOfRevision = isOfOneStore(seen[index] ?? '', before, revision);
    const reason = `It is kept in another store: its revision was ${seen[index] || 'unknown'} between ${before} and ${revision}.`;
    return { type, isAggregated: false, isOfRevision, ...(!isOfRevision && { reason }) };
  });
  return { revision, types: planned };
}

/**
 * The archive of a cluster: a line that says what it is, and for each type one with its name and one for each object, as the API server
 * gave it. What is told of each type joins the tally as it is read. Throws RevisionGone and OtherRevision where all of it has to be
 * begun anew, and `kubernetes-…` errors.
 */
export async function* archiveOf(
  plan: ExportPlan,
  tally: ExportTally,
  reading: PageReading,
  onType: (done: number) => void,
): AsyncGenerator<Buffer> {
  yield Buffer.from(`${JSON.stringify({ format: archiveFormat })}\n`);
  for (const [index, planned] of plan.types.entries()) {
    const { type } = planned;
    onType(index);
    try {
      const { pages, reason } = await beginType(planned, plan.revision, reading);
      yield Buffer.from(`${JSON.stringify({ type })}\n`);
      const hash = createHash('sha256');
      let [objects, revision] = [0, ''];
      for await (const page of pages) {
        revision = page.revision;
        objects += page.items.length;
        yield* linesOf(page.items, (bytes) => hash.update(bytes));
      }
      const consistency = reason === undefined ? 'revision' : 'own';
      const sha256 = `sha256:${hash.digest('hex')}`;
      tally.types.push({ ...type, consistency, revision, objects, sha256, ...(reason !== undefined && { reason }) });
    } catch (error) {
      // Nothing of it has been written yet where its first page did not come.
      const isWritten = !(error instanceof NotBegun);
      if (isWritten || !planned.isAggregated) throw error instanceof NotBegun ? error.cause : error;
      const why = error.cause instanceof Error ? error.cause.message : String(error.cause);
      tally.leftOut.push({ type: typeNameOf(type), reason: `Its aggregated API did not give it: ${why}` });
    }
  }
}

class NotBegun extends Error {
  override readonly name = 'NotBegun';
}

/** Reads the first page of a type at the revision of the whole; where another one comes, the type at a moment of its own. */
async function beginType(
  { type, isOfRevision, reason }: ExportPlan['types'][number],
  revision: string | undefined,
  reading: PageReading,
): Promise<{ pages: AsyncIterable<PageOfType>; reason: string | undefined }> {
  if (revision !== undefined && isOfRevision) {
    try {
      return { pages: await withFirst(readType(type, revision, reading)), reason: undefined };
    } catch (error) {
      if (!(error instanceof NotBegun && error.cause instanceof OtherRevision)) throw error;
      return {
        pages: await withFirst(readType(type, undefined, reading)),
        reason: `Asked for revision ${revision}, ${error.cause.message}.`,
      };
    }
  }
  const gone = 'The API server has compacted the revision before all of it was read.';
  return { pages: await withFirst(readType(type, undefined, reading)), reason: reason ?? gone };
}

/** Throws NotBegun where the first page does not come. */
async function withFirst(pages: AsyncGenerator<PageOfType>): Promise<AsyncIterable<PageOfType>> {
  const first = await pages.next().catch((error: unknown) => {
    throw new NotBegun('no page', { cause: error });
  });
  return (async function* () {
    if (first.done !== true) yield first.value;
    yield* pages;
  })();
}

/** The lines of some objects, several at once. The hash is told each object with its line end. */
function* linesOf(items: readonly Buffer[], onBytes: (bytes: Buffer) => void): Generator<Buffer> {
  let batch: Buffer[] = [];
  let bytes = 0;
  for (const item of items) {
    const line = Buffer.concat([objectBegin, onOneLine(item), objectEnd]);
    batch.push(line);
    bytes += line.length;
    if (bytes < batchBytes) continue;
    const whole = Buffer.concat(batch);
    onBytes(whole);
    yield whole;
    [batch, bytes] = [[], 0];
  }
  if (batch.length === 0) return;
  const rest = Buffer.concat(batch);
  onBytes(rest);
  yield rest;
}

/** Line ends of JSON stand between its parts only: within texts they are escaped. */
function onOneLine(json: Buffer): Buffer {
  if (!json.includes(lineFeed) && !json.includes(carriageReturn)) return json;
  return Buffer.from(json.map((byte) => (byte === lineFeed || byte === carriageReturn ? space : byte)));
}

/** The revision as a number, which chains of backups are compared by. Throws `kubernetes-refused` where it is none. */
export function revisionNumber(revision: string, cluster: string): number {
  const value = Number(revision);
  if (/^\d+$/.test(revision) && Number.isSafeInteger(value)) return value;
  throw new HoldpointError('kubernetes-refused', {
    call: 'list namespaces',
    cluster,
    cause: `its resource version ${JSON.stringify(revision)} is no number`,
  });
}

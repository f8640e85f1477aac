import { createHash, type Hash } from 'node:crypto';
import { typeNameOf, type ExportedType, type ExportStatement } from '../../../domain/backup/export.ts';
import { isPathName } from '../../../domain/backup/object-name.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { isObject, parseJson, type JsonObject } from '../../../domain/json.ts';
import { archiveFormat } from './archive.ts';

const lineFeed = 0x0a;
/** A page of one object may have as much (see `listLimits`). */
const lineBytesMax = 33 * 1024 * 1024;
const objectBegin = '{"object":';

/** An object of a backup, as it was on the wire. */
export interface ArchivedObject {
  type: ExportedType;
  namespace: string;
  name: string;
  /** JSON, without `apiVersion` and `kind` where the API server leaves them out of lists. */
  json: Buffer;
  /** The same, read; numbers beyond 2^53 are rounded in it. */
  object: JsonObject;
}

/**
 * The objects of a backup in their order. Everything is held against the manifest: types in their order, counts, hashes. What has come
 * counts only once the stream has ended. Throws `backup-unusable`, also for an object whose name would lead elsewhere in a path.
 */
export async function* readArchive(
  backup: string,
  bytes: AsyncIterable<Uint8Array>,
  { types }: Pick<ExportStatement, 'types'>,
): AsyncGenerator<ArchivedObject> {
  const unusable = (cause: string): HoldpointError => new HoldpointError('backup-unusable', { backup, cause });
  let index = -1;
  let counted: { hash: Hash; objects: number } | undefined;
  const endType = (): void => {
    const type = types[index];
    if (!type || !counted) return;
    const isWhole = counted.objects === type.objects && `sha256:${counted.hash.digest('hex')}` === type.sha256;
    if (!isWhole) throw unusable(`its ${typeNameOf(type)} are not those that its manifest counts`);
  };
  let isBegun = false;
  for await (const line of linesOf(bytes, unusable)) {
    if (!isBegun) {
      const begin = parseJson(line);
      if (!isObject(begin) || begin.format !== archiveFormat) throw unusable('it is no archive of objects, or one of a newer version');
      isBegun = true;
    } else if (line.toString('latin1', 0, objectBegin.length) === objectBegin) {
      const type = types[index];
      if (!type || !counted) throw unusable('an object stands before its type');
      counted.hash.update(line);
      counted.objects += 1;
      yield { type, ...namesIn(line, type, unusable) };
    } else {
      endType();
      index += 1;
      counted = { hash: createHash('sha256'), objects: 0 };
      requireType(line, types[index], unusable);
    }
  }
  endType();
  if (!isBegun) throw unusable('it is empty');
  if (index !== types.length - 1) throw unusable('it ends before the last type that its manifest names');
}

function requireType(line: Buffer, expected: ExportedType | undefined, unusable: (cause: string) => HoldpointError): void {
  const value = parseJson(line);
  const type = isObject(value) && isObject(value.type) ? value.type : undefined;
  const isExpected =
    expected !== undefined &&
    (['group', 'version', 'resource', 'kind', 'namespaced'] as const).every((field) => type?.[field] === expected[field]);
  if (!isExpected) throw unusable(`${JSON.stringify(type ?? 'a line')} is not the type that its manifest names next`.slice(0, 500));
}

function namesIn(line: Buffer, type: ExportedType, unusable: (cause: string) => HoldpointError): Omit<ArchivedObject, 'type'> {
  const json = line.subarray(objectBegin.length, line.length - '}\n'.length);
  const object = parseJson(json);
  if (!isObject(object)) throw unusable(`an object of ${typeNameOf(type)} is no JSON`);
  const metadata = isObject(object.metadata) ? object.metadata : {};
  const { name, namespace = '' } = metadata;
  const isNamed = typeof name === 'string' && isPathName(name) && (type.namespaced ? isPathName(namespace) : namespace === '');
  if (!isNamed || typeof namespace !== 'string') {
    throw unusable(`an object of ${typeNameOf(type)} has a name that is none: ${JSON.stringify([namespace, name]).slice(0, 300)}`);
  }
  return { namespace, name, json, object };
}

/** The lines of a stream, each with its end. */
async function* linesOf(bytes: AsyncIterable<Uint8Array>, unusable: (cause: string) => HoldpointError): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const given of bytes) {
    const chunk = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, from)) {
      const rest = chunk.subarray(from, end + 1);
      yield held.length === 0 ? rest : Buffer.concat([...held, rest]);
      [held, heldBytes, from] = [[], 0, end + 1];
    }
    if (from === chunk.length) continue;
    held.push(chunk.subarray(from));
    heldBytes += chunk.length - from;
    if (heldBytes > lineBytesMax) throw unusable(`it has a line of more than ${lineBytesMax} bytes`);
  }
  if (heldBytes > 0) throw unusable('its last line has no end');
}

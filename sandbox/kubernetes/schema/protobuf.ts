import type { Json, JsonObject } from '../json.ts';
import type { Field, FieldType, Schema } from './fields.ts';

export const protobufType = 'application/vnd.kubernetes.protobuf';

/** What stands before each object that is sent as protobuf (`k8s.io/apimachinery/pkg/runtime/serializer/protobuf`). */
const prefix = Buffer.from([0x6b, 0x38, 0x73, 0x00]);

/** How deep messages may lie within each other. */
const depthMax = 64;

/**
 * Reads an object that is sent as protobuf into what the same object is in JSON. Throws an Error for what is no such object, or one of a
 * kind of which nothing is known.
 */
export function decodeObject(schema: Schema, bytes: Buffer): JsonObject {
  if (!bytes.subarray(0, prefix.length).equals(prefix)) throw new Error('provided data does not appear to be a protobuf message');
  let apiVersion = '';
  let kind = '';
  let raw: Buffer = Buffer.alloc(0);
  for (const { number, value } of wireFields(bytes.subarray(prefix.length))) {
    if (number === 2) raw = bytesOf(value);
    if (number !== 1) continue;
    for (const part of wireFields(bytesOf(value))) {
      if (part.number === 1) apiVersion = bytesOf(part.value).toString('utf8');
      if (part.number === 2) kind = bytesOf(part.value).toString('utf8');
    }
  }
  const message = schema.messageOfKind(kind);
  if (message === undefined) throw new Error(`no kind "${kind}" is registered for version "${apiVersion}"`);
  return { kind, apiVersion, ...decodeMessage(schema, message, raw, 0) };
}

type WireValue = bigint | number | Buffer;

interface WireField {
  number: number;
  value: WireValue;
}

function bytesOf(value: WireValue): Buffer {
  if (!Buffer.isBuffer(value)) throw new Error('a protobuf message has a number where bytes belong');
  return value;
}

function* wireFields(bytes: Buffer): Generator<WireField> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw new Error('a number of a protobuf message does not end');
  };
  const take = (length: number): Buffer => {
    if (length < 0 || at + length > bytes.length) throw new Error('a protobuf message ends too early');
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = tag >> 3;
    switch (tag & 7) {
      case 0:
        yield { number, value: varint() };
        break;
      case 1:
        yield { number, value: take(8).readDoubleLE() };
        break;
      case 2:
        yield { number, value: take(Number(varint())) };
        break;
      case 5:
        yield { number, value: take(4).readFloatLE() };
        break;
      default:
        throw new Error(`a protobuf message has a field of the unknown type ${tag & 7}`);
    }
  }
}

function decodeMessage(schema: Schema, name: string, bytes: Buffer, depth: number): JsonObject {
  if (depth > depthMax) throw new Error(`a protobuf message lies more than ${depthMax} deep`);
  const message = schema.message(name);
  const byNumber = new Map<number, { key: string; field: Field }>();
  for (const [key, field] of message?.fields ?? []) byNumber.set(field.number, { key, field });
  const object: JsonObject = {};
  for (const { number, value } of wireFields(bytes)) {
    const inlined = message?.inlined.find((field) => field.number === number);
    if (inlined) Object.assign(object, decodeMessage(schema, inlined.type.name, bytesOf(value), depth + 1));
    const found = byNumber.get(number);
    if (found) put(schema, object, found.key, found.field.type, value, depth);
  }
  return object;
}

function put(schema: Schema, object: JsonObject, key: string, type: FieldType, value: WireValue, depth: number): void {
  const single = (from: WireValue): Json | undefined => decodeValue(schema, type.name, from, depth);
  if (type.shape === 'list') {
    const list = (object[key] ??= []) as Json[];
    list.push(single(value) ?? null);
  } else if (type.shape === 'map') {
    const map = (object[key] ??= {}) as JsonObject;
    const parts = new Map([...wireFields(bytesOf(value))].map((part) => [part.number, part.value]));
    map[bytesOf(parts.get(1) ?? Buffer.alloc(0)).toString('utf8')] = single(parts.get(2) ?? Buffer.alloc(0)) ?? null;
  } else {
    const decoded = single(value);
    // Go writes the zero values of plain fields as well, and leaves them out in JSON.
    const isZero = decoded === '' || decoded === 0 || decoded === false;
    if (decoded !== undefined && (type.optional || !isZero)) object[key] = decoded;
  }
}

/** A value as it is in JSON; undefined for a time that is not set. */
function decodeValue(schema: Schema, name: string, value: WireValue, depth: number): Json | undefined {
  switch (name) {
    case 'string':
      return bytesOf(value).toString('utf8');
    case 'bytes':
      return bytesOf(value).toString('base64');
    case 'bool':
      return value !== 0n;
    case 'double':
    case 'int32':
    case 'int64':
    case 'uint32':
    case 'uint64':
      return Number(value);
    default:
      return schema.message(name) ? decodeMessage(schema, name, bytesOf(value), depth + 1) : decodeSpecial(name, bytesOf(value));
  }
}

/** Types whose form in JSON is not that of their fields. */
function decodeSpecial(name: string, bytes: Buffer): Json | undefined {
  const parts = new Map([...wireFields(bytes)].map(({ number, value }) => [number, value]));
  const text = (number: number): string => bytesOf(parts.get(number) ?? Buffer.alloc(0)).toString('utf8');
  const whole = (number: number): number => Number(parts.get(number) ?? 0);
  switch (name) {
    case 'Quantity':
      return text(1);
    case 'IntOrString':
      return whole(1) === 0 ? whole(2) : text(3);
    case 'Time':
    case 'MicroTime': {
      if (whole(1) === 0) return undefined;
      const date = new Date(whole(1) * 1000 + whole(2) / 1e6).toISOString();
      return name === 'Time' ? `${date.slice(0, 19)}Z` : date.replace('Z', '000Z');
    }
    case 'Duration':
      return `${whole(1) / 1e9}s`;
    case 'Raw':
      return parts.has(1) ? (JSON.parse(text(1)) as Json) : undefined;
    default:
      throw new Error(`the sandbox cannot read ${name} as protobuf: send it as JSON`);
  }
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { readBody } from '../request-body.ts';
import { ApiError, badRequest, notAcceptable } from './errors.ts';
import type { Json, JsonObject } from './json.ts';
import { loadSchema } from './schema/fields.ts';
import { decodeObject, protobufType } from './schema/protobuf.ts';

/** How large the body of a request may be, as at the API server. */
const bodyBytesMax = 3 * 1024 * 1024;

/** Which form of an answer a client wants. */
export type AnswerForm = 'object' | 'table' | 'metadata';

/** What the first alternative of the Accept header that the sandbox can serve asks for. */
export function answerForm(request: IncomingMessage): AnswerForm {
  for (const alternative of (request.headers.accept ?? '*/*').split(',')) {
    const type = alternative.trim();
    if (!type.startsWith('application/json')) continue;
    if (type.includes('as=Table')) return 'table';
    if (type.includes('as=PartialObjectMetadata')) return 'metadata';
    if (!type.includes('as=')) return 'object';
  }
  return 'object';
}

const servedTypes: readonly string[] = ['application/json', 'application/*', '*/*', '*'];

/** Throws an ApiError (406) for a client that takes no JSON: other forms are read, not written. */
export function checkAcceptable(request: IncomingMessage): void {
  const alternatives = (request.headers.accept ?? '*/*').split(',');
  const isServed = (alternative: string): boolean => servedTypes.includes(alternative.split(';')[0]?.trim() ?? '');
  if (!alternatives.some(isServed)) throw notAcceptable(['application/json']);
}

/** The media type of a request's body without its parameters. */
export function contentType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? 'application/json').split(';')[0]?.trim() ?? '';
}

/** The body of a request, in JSON or protobuf, undefined where it is empty; throws an ApiError for what is too large or cannot be read. */
export async function readJson(request: IncomingMessage): Promise<Json | undefined> {
  const tooLarge = (): Error => new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${bodyBytesMax}`);
  const body = await readBody(request, bodyBytesMax, tooLarge);
  if (body.length === 0) return undefined;
  if (contentType(request) === protobufType) return readProtobuf(body);
  try {
    return JSON.parse(body.toString('utf8')) as Json;
  } catch (error) {
    throw badRequest(`the body of the request is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function readProtobuf(body: Buffer): Promise<JsonObject> {
  const schema = await loadSchema();
  try {
    return decodeObject(schema, body);
  } catch (error) {
    throw badRequest(error instanceof Error ? error.message : String(error));
  }
}

/** A body that must be a JSON object; throws an ApiError (400) for anything else. */
export function asObject(body: Json | undefined): JsonObject {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw badRequest('the body of the request must be an object');
  return body;
}

export function sendJson(response: ServerResponse, code: number, body: object): void {
  sendText(response, code, JSON.stringify(body));
}

/** The same for a body whose JSON is there already. */
export function sendText(response: ServerResponse, code: number, text: string): void {
  const bytes = Buffer.from(text);
  response.writeHead(code, { 'content-type': 'application/json', 'content-length': bytes.length });
  response.end(bytes);
}

/** Answers with the Status of an error; anything that is no ApiError is a fault of the sandbox and answered with 500. */
export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const cause = error instanceof Error ? String(error.stack) : String(error);
  const { status } = error instanceof ApiError ? error : new ApiError(500, 'InternalError', `Internal error occurred: ${cause}`);
  const retryAfter = status.details?.retryAfterSeconds;
  if (retryAfter !== undefined) response.setHeader('retry-after', String(retryAfter));
  sendJson(response, status.code, status);
}

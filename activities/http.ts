import type { ReadableStreamDefaultReader } from 'node:stream/web';

/** What a request over HTTP may take: how long in all, and how many bytes of answer. */
export interface HttpLimits {
  timeoutMs: number;
  bytesMax: number;
}

/** Why there is no answer to a request. The message names neither address nor headers, which may be secret. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  /** Whether the server may have got the request. */
  readonly maySent: boolean;

  constructor(message: string, maySent: boolean) {
    super(message);
    this.maySent = maySent;
  }
}

/** Failures before anything of a request is sent. */
const notSentCodes = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'ERR_SSL_WRONG_VERSION_NUMBER',
];

/**
 * `fetch` within limits: it follows no redirect, which could lead a secret to another host, and reads no more of the answer than allowed.
 * Throws HttpError where there is no whole answer.
 */
export async function boundedFetch(url: string | URL, init: RequestInit, { timeoutMs, bytesMax }: HttpLimits): Promise<Response> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
  try {
    const response = await fetch(url, { ...init, redirect: 'manual', signal });
    const { status, statusText, headers } = response;
    const bytes = await readBody(response, bytesMax);
    // Some statuses have no body, and take none.
    return new Response(bytes.length === 0 ? null : bytes, { status, statusText, headers });
  } catch (error) {
    if (error instanceof HttpError) throw error;
    if (timeout.aborted) throw new HttpError(`no answer within ${timeoutMs / 1000} s`, true);
    const code = codeOf(error);
    const isNotSent = notSentCodes.includes(code) || /CERT|ERR_TLS|UNABLE_TO/.test(code);
    throw new HttpError(`the connection failed (${code})`, !isNotSent);
  }
}

/** The status of an answer that is not one of success, in words; undefined for one that is. */
export function statusTrouble({ status }: Response): string | undefined {
  if (status >= 200 && status < 300) return undefined;
  if (status >= 300 && status < 400) return `it answered ${status}: redirects are not followed`;
  return `it answered ${status}`;
}

/** How long an answer asks to wait (`Retry-After` in seconds or as a date), at most `mostMs`; undefined where it says nothing. */
export function retryAfterMs({ headers }: Response, mostMs: number): number | undefined {
  const text = headers.get('retry-after');
  if (text === null) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), mostMs) : undefined;
}

async function readBody({ body }: Response, bytesMax: number): Promise<Uint8Array<ArrayBuffer>> {
  if (body === null) return new Uint8Array();
  const parts: Uint8Array[] = [];
  let size = 0;
  const reader = body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.length;
    if (size > bytesMax) {
      await reader.cancel();
      throw new HttpError(`the answer has more than ${bytesMax} bytes`, true);
    }
    parts.push(part.value);
  }
  return new Uint8Array(Buffer.concat(parts));
}

function codeOf(error: unknown): string {
  const { cause, code, name } = error as { cause?: unknown; code?: unknown; name?: unknown };
  if (typeof code === 'string') return code;
  if (cause !== undefined && cause !== null) return codeOf(cause);
  return typeof name === 'string' ? name : 'unknown';
}

import { request as plainRequest, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as secureRequest } from 'node:https';

/** Where an API server is, and what it takes to be let in. */
export interface Door {
  url: string;
  certificateAuthority?: string;
  token?: string;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  // What comes over the wire is looked at with matchers, never used as if it were typed.
  body: Record<string, unknown>;
}

export interface WatchEvent {
  type: string;
  object: {
    kind?: string;
    code?: number;
    reason?: string;
    metadata: { name?: string; uid?: string; resourceVersion?: string };
    [field: string]: unknown;
  };
}

/** A watch that goes on until it is closed. */
export interface RawWatch {
  events: WatchEvent[];
  /** Resolves when the server has ended it. */
  over: Promise<void>;
  close(): void;
}

const answerTimeoutMs = 30_000;

interface Call {
  method: string;
  path: string;
  contentType: string;
  text?: string;
}

function open(door: Door, { method, path, contentType, text }: Call, heard: (response: IncomingMessage) => void): ClientRequest {
  const headers: Record<string, string> = { 'content-type': contentType, accept: 'application/json' };
  // Node announces the body of a DELETE by itself neither by its length nor as chunks.
  if (text !== undefined) headers['content-length'] = String(Buffer.byteLength(text));
  if (door.token !== undefined) headers.authorization = `Bearer ${door.token}`;
  if (!door.url.startsWith('https:')) return plainRequest(`${door.url}${path}`, { method, headers }, heard);
  return secureRequest(`${door.url}${path}`, { method, headers, ca: door.certificateAuthority }, heard);
}

/** A server that does not serve a kind, or not yet, says so in plain text: "404 page not found". */
function bodyOf(text: string): Answer['body'] {
  try {
    return JSON.parse(text) as Answer['body'];
  } catch {
    return { message: text.slice(0, 200) };
  }
}

/** One request on a connection of its own, without any Kubernetes client in between. */
export function send(door: Door, method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const request = open(door, { method, path, contentType, text: sent }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bodyOf(text) });
      });
    });
    request.setTimeout(answerTimeoutMs, () => request.destroy(new Error(`${method} ${path}: no answer`)));
    request.on('error', reject);
    request.end(sent);
  });
}

/** Watches on a connection of its own; `onEvent` hears each event the moment it arrives. */
export async function watch(door: Door, path: string, onEvent: (event: WatchEvent) => void = () => undefined): Promise<RawWatch> {
  const events: WatchEvent[] = [];
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = open(door, { method: 'GET', path, contentType: 'application/json' }, resolve);
    request.on('error', reject);
    request.end();
  });
  response.setEncoding('utf8');
  let rest = '';
  response.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = JSON.parse(line) as WatchEvent;
      events.push(event);
      onEvent(event);
    }
  });
  const over = new Promise<void>((resolve) => {
    response.on('close', () => resolve());
    response.on('error', () => resolve());
  });
  return { events, over, close: () => response.destroy() };
}

/** What goes on after a list for as long as it is wanted. */
export interface Follow {
  /** Why it has ended before its time; undefined as long as nothing was missed. */
  broken(): string | undefined;
  stop(): void;
}

/**
 * Lists a collection and hears of every change since, each once and in order. Where the server ends a watch, as it does with a reader
 * that lags behind, another one goes on at the last version that was heard of.
 */
export async function follow(door: Door, path: string, onEvent: (event: WatchEvent) => void): Promise<Follow> {
  const { body } = await send(door, 'GET', path);
  for (const object of body.items as WatchEvent['object'][]) onEvent({ type: 'ADDED', object });
  let { resourceVersion } = body.metadata as { resourceVersion?: string };
  let stream: RawWatch | undefined;
  let stopped = false;
  let broken: string | undefined;
  const hear = (event: WatchEvent): void => {
    if (event.type === 'ERROR') broken ??= `${path}: ${JSON.stringify(event.object)}`;
    if (stopped || broken !== undefined) return;
    resourceVersion = event.object.metadata.resourceVersion;
    onEvent(event);
  };
  const open = async (): Promise<void> => {
    stream = await watch(door, `${path}?watch=true&resourceVersion=${resourceVersion}`, hear);
    void stream.over.then(() => {
      if (stopped || broken !== undefined) return undefined;
      return open().catch((error: unknown) => (broken ??= `${path}: ${String(error)}`));
    });
  };
  await open();
  return {
    broken: () => broken,
    stop: () => {
      stopped = true;
      stream?.close();
    },
  };
}

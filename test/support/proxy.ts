import { createServer, request as sendRequest, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request on its way through. */
export interface ProxiedRequest {
  method: string;
  /** With the query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/**
 * What becomes of a request: passed on both ways; carried out, but the connection is cut before the answer; cut before it
 * gets anywhere; or answered here.
 */
export type Treatment = 'pass' | 'lose-answer' | 'lose-request' | { status: number; headers?: Record<string, string>; body: string };

/** A request and what the server has answered. */
export interface Exchange {
  method: string;
  path: string;
  body: string;
  status: number;
  headers: Record<string, string>;
  answer: string;
}

/** A server between clients and the sandbox, where connections break when a test says so. */
export interface Proxy {
  url: string;
  /** Everything that came, in order, as `METHOD path`. */
  requests: string[];
  /** How many answers have been lost so far: what asked for them has been done by then. */
  answersLost: number;
  /** Decides on each request; may do something to the world first. */
  treat: (request: ProxiedRequest) => Treatment | Promise<Treatment>;
  /** Is told of each request that was passed on both ways, with the whole answer; a watch has none. */
  heard?: (exchange: Exchange) => void;
  stop(): Promise<void>;
}

/** Starts a proxy before a server that speaks plain HTTP. */
export async function startProxy(upstream: string): Promise<Proxy> {
  const proxy: Proxy = { url: '', requests: [], answersLost: 0, treat: () => 'pass', stop: async () => undefined };
  const server = createServer((incoming, outgoing) => {
    handle(proxy, upstream, incoming, outgoing).catch((error: unknown) => outgoing.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  proxy.stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return proxy;
}

/** A treatment that hits the first request that fits and lets all others pass. */
export function once(fits: (request: ProxiedRequest) => boolean, treatment: Treatment): Proxy['treat'] {
  let done = false;
  return (request) => {
    if (done || !fits(request)) return 'pass';
    done = true;
    return treatment;
  };
}

async function handle(proxy: Proxy, upstream: string, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const { method = 'GET', url: path = '/' } = incoming;
  proxy.requests.push(`${method} ${path}`);
  const treatment = await proxy.treat({ method, path, headers: incoming.headers, body: body.toString() });
  if (treatment === 'lose-request') {
    outgoing.destroy();
    return;
  }
  if (typeof treatment === 'object') {
    outgoing.writeHead(treatment.status, treatment.headers).end(treatment.body);
    return;
  }
  const answer = await passOn(`${upstream}${path}`, incoming, body);
  if (treatment === 'lose-answer') {
    answer.resume();
    outgoing.destroy();
    proxy.answersLost += 1;
    return;
  }
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
  // A watch may say nothing for a long time.
  outgoing.flushHeaders();
  answer.on('error', () => outgoing.destroy());
  if (proxy.heard) hear(proxy.heard, { method, path, body: body.toString() }, answer);
  outgoing.on('close', () => answer.destroy());
  answer.pipe(outgoing);
}

function hear(heard: (exchange: Exchange) => void, asked: Pick<Exchange, 'method' | 'path' | 'body'>, answer: IncomingMessage): void {
  const chunks: Buffer[] = [];
  const headers = Object.fromEntries(Object.entries(answer.headers).map(([name, value]) => [name, String(value)]));
  answer.on('data', (chunk: Buffer) => chunks.push(chunk));
  answer.on('end', () => heard({ ...asked, status: answer.statusCode ?? 0, headers, answer: Buffer.concat(chunks).toString() }));
}

function passOn(url: string, { method, headers }: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = sendRequest(url, { method, headers, agent: false }, resolve);
    request.once('error', reject);
    request.end(body);
  });
}

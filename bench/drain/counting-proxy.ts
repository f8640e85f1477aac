import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Agent, request as secureRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './certificate.ts';

/** Counts the requests that go through it to an API server, and changes nothing. */
export interface CountingProxy {
  url: string;
  /** Requests since the last time, by verb and resource: `list pods`, `create pods/eviction`. A watch is one request. */
  takeCounts(): Record<string, number>;
  stop(): Promise<void>;
}

/** Fields that belong to one connection and not to what is carried over it. */
const hopByHop = ['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection', 'http2-settings', 'host'];

/**
 * Starts it on a free port of 127.0.0.1, for HTTP/2 and HTTP/1.1 as the client likes, since kubectl takes the former. What the
 * server answers is passed on piece by piece as it comes.
 */
export async function startCountingProxy(server: string, certificate: Certificate): Promise<CountingProxy> {
  const agent = new Agent({ keepAlive: true, ca: certificate.cert });
  let counts: Record<string, number> = {};
  const proxy = createSecureServer({ ...certificate, allowHTTP1: true }, (request, response) => {
    const counted = verbAndResource(request.method, request.url);
    counts[counted] = (counts[counted] ?? 0) + 1;
    passOn(request, response, server, agent);
  });
  const sessions = new Set<{ destroy(): void }>();
  const remember = (session: { destroy(): void; once(event: 'close', listener: () => void): unknown }): void => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  };
  proxy.on('session', remember);
  proxy.on('secureConnection', remember);
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    takeCounts: () => {
      const taken = counts;
      counts = {};
      return taken;
    },
    stop: () => {
      agent.destroy();
      for (const session of sessions) session.destroy();
      return new Promise((resolve) => proxy.close(() => resolve()));
    },
  };
}

function passOn(
  request: Http2ServerRequest | IncomingMessage,
  response: Http2ServerResponse | ServerResponse,
  server: string,
  agent: Agent,
): void {
  const headers = endToEnd(request.headers);
  const sent = secureRequest(`${server}${request.url}`, { method: request.method, agent, headers }, (answer) => {
    (response as ServerResponse).writeHead(answer.statusCode ?? 502, endToEnd(answer.headers));
    (response as ServerResponse).flushHeaders?.();
    answer.pipe(response as ServerResponse);
    answer.on('error', () => response.destroy());
  });
  sent.on('error', (error) => {
    if (response.headersSent) response.destroy();
    else (response as ServerResponse).writeHead(502).end(error.message);
  });
  response.on('close', () => sent.destroy());
  request.pipe(sent);
}

function endToEnd(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':') && !hopByHop.includes(name)));
}

/** The verb that Kubernetes has for a request, and the resource it is for; anything outside of the resources is `discovery`. */
export function verbAndResource(method: string | undefined, url: string | undefined): string {
  const { pathname, searchParams } = new URL(url ?? '/', 'https://server');
  const [, resources] = /^\/(?:api\/v1|apis\/[^/]+\/[^/]+)\/(.+)$/.exec(pathname) ?? [];
  if (resources === undefined) return 'discovery';
  const parts = resources.split('/');
  const [resource = '', name, subresource] = parts[0] === 'namespaces' && parts.length > 2 ? parts.slice(2) : parts;
  const what = subresource === undefined ? resource : `${resource}/${subresource}`;
  if (method !== 'GET') return `${verbs[method ?? ''] ?? method} ${what}`;
  if (['true', '1'].includes(searchParams.get('watch') ?? '')) return `watch ${what}`;
  return `${name === undefined ? 'list' : 'get'} ${what}`;
}

const verbs: Record<string, string> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

import { createServer, request as sendRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An API server, as far as who may ask is concerned: passes on what comes with a good token of `token-plugin.mjs`. */
export interface TokenServer {
  url: string;
  /** The tokens that were good when they came. */
  tokens: Set<string>;
  /** How often each path was watched. */
  watches: Map<string, number>;
  refusals: number;
  /** Called before it is looked who asks for an eviction. */
  beforeEviction: () => void;
  /** Whether evictions are told to come again later. */
  isBusy: () => boolean;
  /** Refuses every token that has been shown so far. */
  revoke(): void;
  stop(): Promise<void>;
}

function refuse(incoming: IncomingMessage, outgoing: ServerResponse, code: number, message: string): void {
  incoming.resume();
  outgoing.writeHead(code, { 'content-type': 'application/json', 'retry-after': '1' });
  outgoing.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code }));
}

/** Starts a server before another one. A watch ends with the token that it was opened with. */
export async function startTokenServer(upstream: string): Promise<TokenServer> {
  const revoked = new Set<string>();
  const open = new Set<ServerResponse>();
  const server = createServer((incoming, outgoing) => {
    if (incoming.url?.includes('/eviction')) served.beforeEviction();
    const token = (incoming.headers.authorization ?? '').replace(/^Bearer /, '');
    const leftMs = Number(/^good-until-(\d+)$/.exec(token)?.[1] ?? 0) - Date.now();
    if (leftMs <= 0 || revoked.has(token)) {
      served.refusals += 1;
      refuse(incoming, outgoing, 401, 'Unauthorized');
      return;
    }
    served.tokens.add(token);
    const { pathname, searchParams } = new URL(incoming.url ?? '/', upstream);
    if (pathname.endsWith('/eviction') && served.isBusy()) {
      refuse(incoming, outgoing, 429, 'come again later');
      return;
    }
    if (searchParams.get('watch') === 'true') {
      served.watches.set(pathname, (served.watches.get(pathname) ?? 0) + 1);
      const timer = setTimeout(() => outgoing.destroy(), leftMs);
      open.add(outgoing);
      outgoing.once('close', () => (clearTimeout(timer), open.delete(outgoing)));
    }
    const passedOn = sendRequest(`${upstream}${incoming.url ?? ''}`, { method: incoming.method, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
      answer.on('error', () => outgoing.destroy());
    });
    passedOn.on('error', () => outgoing.destroy());
    outgoing.on('close', () => passedOn.destroy());
    incoming.pipe(passedOn);
  });
  const served: TokenServer = {
    url: '',
    tokens: new Set(),
    watches: new Map(),
    refusals: 0,
    beforeEviction: () => undefined,
    isBusy: () => false,
    revoke: () => {
      for (const token of served.tokens) revoked.add(token);
      for (const response of open) response.destroy();
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  served.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return served;
}

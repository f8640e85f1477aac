import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request that has come to an endpoint. */
export interface Received {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
}

/** An HTTP server on this machine that answers as a test wants. */
export interface Endpoint {
  url: string;
  received: Received[];
  /** What it answers from now on: a status with headers and body, or whatever the function does with the response. */
  answer: (request: Received, response: ServerResponse) => void;
  stop(): Promise<void>;
}

/** Starts an endpoint; it answers 200 unless told otherwise. */
export async function startEndpoint(): Promise<Endpoint> {
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const received = { method, path: url, headers, body: Buffer.concat(chunks).toString('utf8') };
      endpoint.received.push(received);
      endpoint.answer(received, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint: Endpoint = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    received: [],
    answer: answering(200),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return endpoint;
}

/** Answers with that status. */
export function answering(status: number, headers: Record<string, string> = {}, body = ''): Endpoint['answer'] {
  return (_request, response) => response.writeHead(status, headers).end(body);
}

/** Takes the request and never answers. */
export const hanging: Endpoint['answer'] = () => undefined;

/** Answers with a body that never ends. */
export const endless: Endpoint['answer'] = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  const more = (): void => {
    while (!response.destroyed && response.write(Buffer.alloc(16 * 1024, 32)));
  };
  response.on('drain', more);
  more();
};

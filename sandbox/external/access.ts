import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { parse } from 'yaml';

/** How long an answer may take; a watch may say nothing for as long as nothing happens. */
const answerTimeoutMs = 30_000;
const connectionsMax = 32;

/** A real API server, as a kubeconfig describes it. */
export interface ExternalAccess {
  server: string;
  agent: Agent;
  /** What a request carries besides its own headers. */
  headers: Record<string, string>;
}

/** An answer with its JSON. */
export interface ExternalAnswer {
  status: number;
  body: unknown;
}

interface Kubeconfig {
  'current-context'?: string;
  contexts?: { name: string; context: { cluster: string; user: string } }[];
  clusters?: { name: string; cluster: { server?: string; 'certificate-authority-data'?: string } }[];
  users?: { name: string; user: { token?: string; 'client-certificate-data'?: string; 'client-key-data'?: string } }[];
}

/**
 * Reads the current context of a kubeconfig that holds its authority and a token or a client certificate inside.
 * Throws an Error that says what is missing.
 */
export async function readAccess(path: string): Promise<ExternalAccess> {
  const config = parse(await readFile(path, 'utf8')) as Kubeconfig;
  const context = config.contexts?.find(({ name }) => name === config['current-context'])?.context;
  const cluster = config.clusters?.find(({ name }) => name === context?.cluster)?.cluster;
  const user = config.users?.find(({ name }) => name === context?.user)?.user;
  const authority = cluster?.['certificate-authority-data'];
  if (cluster?.server === undefined || authority === undefined) {
    throw new Error(`the current context of ${path} must name a server and hold its certificate-authority-data`);
  }
  const certificate = user?.['client-certificate-data'];
  const key = user?.['client-key-data'];
  if (user?.token === undefined && (certificate === undefined || key === undefined)) {
    throw new Error(`the user of the current context of ${path} must hold a token or a client certificate with its key`);
  }
  const decoded = (text: string | undefined): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text, 'base64'));
  const agent = new Agent({
    keepAlive: true,
    maxSockets: Infinity,
    maxFreeSockets: connectionsMax,
    ca: decoded(authority),
    cert: decoded(certificate),
    key: decoded(key),
  });
  return { server: cluster.server, agent, headers: user?.token === undefined ? {} : { authorization: `Bearer ${user.token}` } };
}

/** One request to the server. Rejects only where there is no answer. */
export async function sendTo(
  access: ExternalAccess,
  method: string,
  path: string,
  body?: object,
  contentType = 'application/json',
): Promise<ExternalAnswer> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers: Record<string, string> = { ...access.headers, 'content-type': contentType };
  if (text !== undefined) headers['content-length'] = String(Buffer.byteLength(text));
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(`${access.server}${path}`, { method, agent: access.agent, headers, timeout: answerTimeoutMs }, resolve);
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer within ${answerTimeoutMs / 1000} s`)));
    sent.on('error', reject);
    sent.end(text);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, body: parseJson(Buffer.concat(chunks).toString('utf8')) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What a refusal says. */
export function messageOf({ status, body }: ExternalAnswer): string {
  const message = (body as { message?: unknown } | null)?.message;
  return `${status} ${typeof message === 'string' ? message : JSON.stringify(body)}`;
}

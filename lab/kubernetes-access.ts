import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { parse } from 'yaml';

/** How to reach an API server: what a kubeconfig says. */
export interface KubernetesAccess {
  /** `https://127.0.0.1:PORT`. */
  server: string;
  /** PEM of the authority that vouches for the server. */
  certificateAuthority: string;
  token: string;
}

/** An answer of the API server; the body is undefined where it is no JSON. */
export interface KubernetesAnswer {
  status: number;
  body: Record<string, unknown> | undefined;
  text: string;
}

/** One raw request to the API server. Rejects only where there is no answer. */
export type KubernetesRequest = (method: string, path: string, body?: object, contentType?: string) => Promise<KubernetesAnswer>;

const requestTimeoutMs = 30_000;
const connectionsMax = 32;

interface KubeconfigFile {
  clusters?: { cluster: { server?: string; 'certificate-authority-data'?: string } }[];
  users?: { user: { token?: string } }[];
}

/** Reads a kubeconfig as the lab writes it: one cluster with its authority inside, one user with a token. Throws where it is another. */
export async function readKubeconfig(path: string): Promise<KubernetesAccess> {
  const { clusters, users } = parse(await readFile(path, 'utf8')) as KubeconfigFile;
  const cluster = clusters?.[0]?.cluster;
  const token = users?.[0]?.user.token;
  const authority = cluster?.['certificate-authority-data'];
  if (cluster?.server === undefined || authority === undefined || token === undefined) {
    throw new Error(`${path} does not name a server, its certificate authority and a token; use one that \`holdpoint lab up\` wrote.`);
  }
  return { server: cluster.server, certificateAuthority: Buffer.from(authority, 'base64').toString('utf8'), token };
}

/** The text of a kubeconfig for this access. */
export function kubeconfigOf({ server, certificateAuthority, token }: KubernetesAccess): string {
  const name = 'holdpoint-lab';
  const cluster = { server, 'certificate-authority-data': Buffer.from(certificateAuthority).toString('base64') };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** Sends raw requests to an API server, on connections that are kept; they do not keep the process from ending. */
export function requester({ server, certificateAuthority, token }: KubernetesAccess): KubernetesRequest {
  const agent = new Agent({ keepAlive: true, maxSockets: connectionsMax, ca: certificateAuthority });
  return (method, path, body, contentType = 'application/json') =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers: Record<string, string> = { authorization: `Bearer ${token}`, 'content-type': contentType };
      // Node announces the body of a DELETE by itself neither by its length nor as chunks.
      if (text !== undefined) headers['content-length'] = String(Buffer.byteLength(text));
      const sent = request(`${server}${path}`, { method, agent, headers, timeout: requestTimeoutMs }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const answer = Buffer.concat(chunks).toString('utf8');
          resolve({ status: response.statusCode ?? 0, text: answer, body: jsonOf(answer) });
        });
      });
      sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer within ${requestTimeoutMs / 1000} s`)));
      sent.on('error', reject);
      sent.end(text);
    });
}

function jsonOf(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

import { request as plainRequest, type Agent, type IncomingMessage } from 'node:http';
import { request as secureRequest, type RequestOptions } from 'node:https';
import { ApiException, KubeConfig } from '@kubernetes/client-node';
import fetch from 'node-fetch';
import { connectionLost } from '../../failure.ts';
import { rememberSecret } from '../../secrets.ts';
import { asTold } from './patience.ts';
import { credentialSourceOf, RenewedCredential, type Credential } from './credentials.ts';

const requestTimeoutMs = 15_000;
/** How long an answer that has begun may say nothing: the API server sends a bookmark every minute over a watch. */
const silenceMaxMs = 75_000;
const refusalBytesMax = 64 * 1024;
/** How large the answer to anything but a list may be: etcd takes objects of a few MB at most. */
const answerBytesMax = 16 * 1024 * 1024;
const unauthorizedCode = 401;

/** What a request carries beside its path. */
export interface RequestContents {
  query?: Record<string, string>;
  /** Sent as JSON; of a PATCH it is a merge patch, unless `applies` is set. */
  body?: object;
  /** Whether the body of a PATCH is all that its field manager wants of an object (server-side apply). */
  applies?: boolean;
}

/** The Kubernetes API of one cluster. */
export interface KubernetesApis {
  /** Who asks, for people: `the worker`, or a user of a kubeconfig. */
  user: string;
  /** The same object for all that reach the cluster in the same way: at one address, with the same source of credentials. */
  access: object;
  /**
   * Sends a request and reads the object that is answered, as it is on the wire. The client's own classes for that are not used: all of
   * its 700 kinds come along with them, which takes a third of a second to load. Throws ApiException where the server refuses, and network
   * errors.
   * @param path from `apiPath`
   */
  request<Answer>(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, contents?: RequestContents): Promise<Answer>;
  /**
   * Sends a GET whose answer is read as it comes, as a list or a watch. Throws ApiException where the server refuses, and network
   * errors where no answer begins within the time limit; after that it is the reader's to watch over.
   */
  open(path: string, query: Record<string, string>, signal: AbortSignal): Promise<IncomingMessage>;
}

/** A path of the API with names in it, each of them one part of the path whatever it holds. */
export function apiPath(parts: TemplateStringsArray, ...names: readonly string[]): string {
  return String.raw({ raw: parts }, ...names.map(encodeURIComponent));
}

/**
 * The API behind a configuration whose current cluster is served at this address, and what people call its current user.
 * `source` gives the credentials of that user; where it is left out, the user's credential plugin or token file does, if there is one.
 */
export function apisOf(
  config: KubeConfig,
  server: string,
  user: string,
  source = credentialSourceOf(config.getCurrentUser(), config.getCurrentCluster()),
): KubernetesApis {
  const connections = new Connections(config, source && new RenewedCredential(source));
  const urlOf = (path: string, query: Record<string, string> = {}): string => {
    const text = new URLSearchParams(query).toString();
    return `${server}${path}${text === '' ? '' : `?${text}`}`;
  };
  return {
    user,
    access: {},
    request: async <Answer>(method: string, path: string, { query, body, applies }: RequestContents = {}) => {
      const send = () => sendRequest(connections, { method, url: urlOf(path, query), body: body && JSON.stringify(body), applies });
      // What a budget says of an eviction is for whoever asks for it.
      return (await (path.endsWith('/eviction') ? send() : asTold(send))) as Answer;
    },
    open: (path, query, signal) => asTold(() => openStream(connections, urlOf(path, query), signal), signal),
  };
}

/** What a request is sent with. */
interface Access {
  headers: Record<string, string>;
  agent: Agent;
  /** What headers and agent were made of, where that is renewed. */
  credential?: Credential;
}

/**
 * Gives requests their credentials. The client makes an agent for each request, which costs a handshake each time: here all requests
 * share one, until the certificates have changed.
 */
class Connections {
  private readonly config: KubeConfig;
  private readonly renewed: RenewedCredential | undefined;
  private shared: { agent: Agent; madeOf: string } | undefined;

  constructor(config: KubeConfig, renewed: RenewedCredential | undefined) {
    this.config = config;
    this.renewed = renewed;
  }

  /** Credentials and agent for a request. Throws what the source of the credentials throws. */
  async access(): Promise<Access> {
    const credential = await this.renewed?.current();
    const options: RequestOptions = {};
    await this.configWith(credential).applyToHTTPSOptions(options);
    const headers = Object.fromEntries(Object.entries(options.headers ?? {}).map(([name, value]) => [name, String(value)]));
    if (options.auth) headers.Authorization = `Basic ${base64(options.auth)}`;
    rememberSecret(headers.Authorization?.replace(/^\S+ /, ''));
    rememberSecret(options.auth?.replace(/^[^:]*:/, ''));
    const madeOf = [options.ca, options.cert, options.key].map(String).join();
    if (this.shared?.madeOf !== madeOf) {
      this.shared = { agent: Object.assign(options.agent as Agent, { keepAlive: true }), madeOf };
    }
    return { headers, agent: this.shared.agent, credential };
  }

  /**
   * Whether it is worth while to ask again after a 401: there is another credential to be had. A token can have been revoked, or a
   * clock be wrong.
   */
  renewAfterRefusal({ credential }: Access): boolean {
    if (credential) this.renewed?.refuse(credential);
    return credential !== undefined;
  }

  private configWith(credential: Credential | undefined): KubeConfig {
    const cluster = this.config.getCurrentCluster();
    if (!credential || !cluster) return this.config;
    const { token, certificate, key } = credential;
    const user = { ...(this.config.getCurrentUser() ?? { name: 'holdpoint' }), exec: undefined, authProvider: undefined };
    if (token !== undefined) user.token = token;
    if (certificate !== undefined) {
      Object.assign(user, { certFile: undefined, certData: base64(certificate), keyFile: undefined, keyData: base64(key ?? '') });
    }
    const config = new KubeConfig();
    config.loadFromClusterAndUser(cluster, user);
    return config;
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

interface Sent {
  method: string;
  url: string;
  /** JSON, which is YAML as well. */
  body?: string;
  applies?: boolean;
}

interface Answered {
  status: number;
  headers: Record<string, string>;
  text: string;
}

/** Sends a request, and once more with another credential where that may help. Throws ApiException, and network errors. */
async function sendRequest(connections: Connections, sent: Sent): Promise<unknown> {
  const access = await connections.access();
  let answered = await fetchBounded(sent, access);
  if (answered.status === unauthorizedCode && connections.renewAfterRefusal(access)) {
    answered = await fetchBounded(sent, await connections.access());
  }
  const { status, headers, text } = answered;
  if (status < 200 || status > 299) throw new ApiException(status, 'refused', text, headers);
  return JSON.parse(text);
}

/** Whatever the server sends and however slowly, it is read for so long and so far only. */
async function fetchBounded({ method, url, body, applies }: Sent, { headers, agent }: Access): Promise<Answered> {
  const enough = new AbortController();
  const patchType = applies === true ? 'application/apply-patch+yaml' : 'application/merge-patch+json';
  const contentType = method === 'PATCH' ? patchType : 'application/json';
  const answer = await fetch(url, {
    method,
    body,
    headers: { accept: 'application/json', ...(body !== undefined && { 'content-type': contentType }), ...headers },
    signal: AbortSignal.any([enough.signal, AbortSignal.timeout(requestTimeoutMs)]),
    agent,
    size: answerBytesMax,
  });
  try {
    return { status: answer.status, headers: Object.fromEntries(answer.headers), text: await answer.text() };
  } catch (error) {
    // The rest of an answer that is too large would be taken in and thrown away.
    enough.abort();
    throw error;
  }
}

async function openStream(connections: Connections, url: string, signal: AbortSignal): Promise<IncomingMessage> {
  const access = await connections.access();
  let response = await getStream(url, access, signal);
  if (response.statusCode === unauthorizedCode && connections.renewAfterRefusal(access)) {
    response.resume();
    response = await getStream(url, await connections.access(), signal);
  }
  endWhereSilent(response);
  const { statusCode = 0 } = response;
  if (statusCode === 200) return response;
  const { 'retry-after': retryAfter } = response.headers;
  throw new ApiException(statusCode, 'refused', await readRefusal(response), {
    ...(retryAfter !== undefined && { 'retry-after': retryAfter }),
  });
}

function getStream(url: string, { headers, agent }: Access, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.startsWith('http:') ? plainRequest : secureRequest;
    const sent = send(url, { headers, agent, signal }, (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    const timer = setTimeout(() => sent.destroy(connectionLost(`no answer within ${requestTimeoutMs / 1000} s`)), requestTimeoutMs);
    sent.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    sent.end();
  });
}

/** A connection that has died without a word would be waited for without end. */
function endWhereSilent(response: IncomingMessage): void {
  const { socket } = response;
  const end = (): void => void response.destroy(connectionLost(`nothing came for ${silenceMaxMs / 1000} s`));
  socket.setTimeout(silenceMaxMs);
  socket.once('timeout', end);
  // The connection is used for other requests after that.
  response.once('close', () => {
    socket.setTimeout(0);
    socket.off('timeout', end);
  });
}

async function readRefusal(response: IncomingMessage): Promise<string> {
  let text = '';
  const timer = setTimeout(() => response.destroy(connectionLost(`no whole answer within ${requestTimeoutMs / 1000} s`)), requestTimeoutMs);
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk as string;
      if (text.length > refusalBytesMax) break;
    }
    return text;
  } finally {
    clearTimeout(timer);
  }
}

import { request as plainRequest, type Agent, type IncomingMessage } from 'node:http';
import { request as secureRequest, type RequestOptions } from 'node:https';
import {
  AppsV1Api,
  ApiException,
  AuthorizationV1Api,
  CoreV1Api,
  KubeConfig,
  PolicyV1Api,
  ServerConfiguration,
  StorageV1Api,
  createConfiguration,
  wrapHttpLibrary,
  ResponseContext,
  type RequestContext,
} from '@kubernetes/client-node';
import fetch from 'node-fetch';
import { connectionLost } from '../../failure.ts';
import { credentialSourceOf, RenewedCredential, type Credential } from './credentials.ts';

const requestTimeoutMs = 15_000;
/** How long an answer that has begun may say nothing: the API server sends a bookmark every minute over a watch. */
const silenceMaxMs = 75_000;
const refusalBytesMax = 64 * 1024;
/** How large the answer to anything but a list may be: etcd takes objects of a few MB at most. */
const answerBytesMax = 16 * 1024 * 1024;
const unauthorizedCode = 401;

/** The groups of the Kubernetes API that actions use, for one cluster. */
export interface KubernetesApis {
  /** Who asks, for people: `the worker`, or a user of a kubeconfig. */
  user: string;
  /** The same object for all that reach the cluster in the same way: at one address, with the same source of credentials. */
  access: object;
  core: CoreV1Api;
  policy: PolicyV1Api;
  apps: AppsV1Api;
  authorization: AuthorizationV1Api;
  storage: StorageV1Api;
  /**
   * Sends a GET whose answer is read as it comes, as a list or a watch. Throws ApiException where the server refuses, and network
   * errors where no answer begins within the time limit; after that it is the reader's to watch over.
   */
  open(path: string, query: Record<string, string>, signal: AbortSignal): Promise<IncomingMessage>;
}

/**
 * The API groups behind a configuration whose current cluster is served at this address, and what people call its current user.
 * `source` gives the credentials of that user; where it is left out, the user's credential plugin or token file does, if there is one.
 */
export function apisOf(
  config: KubeConfig,
  server: string,
  user: string,
  source = credentialSourceOf(config.getCurrentUser(), config.getCurrentCluster()),
): KubernetesApis {
  const connections = new Connections(config, source && new RenewedCredential(source));
  const httpApi = wrapHttpLibrary({ send: (request) => sendRequest(connections, request) });
  const configuration = createConfiguration({ baseServer: new ServerConfiguration(server, {}), httpApi });
  return {
    user,
    access: {},
    core: new CoreV1Api(configuration),
    policy: new PolicyV1Api(configuration),
    apps: new AppsV1Api(configuration),
    authorization: new AuthorizationV1Api(configuration),
    storage: new StorageV1Api(configuration),
    open: (path, query, signal) => openStream(connections, `${server}${path}?${new URLSearchParams(query).toString()}`, signal),
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

/** The client sets no time limit of its own: a request without an answer would hang for ever. */
async function sendRequest(connections: Connections, request: RequestContext): Promise<ResponseContext> {
  const send = async (access: Access): Promise<ResponseContext> => {
    for (const [name, value] of Object.entries(access.headers)) request.setHeaderParam(name, value);
    request.setAgent(access.agent);
    return fetchBounded(request);
  };
  const access = await connections.access();
  const response = await send(access);
  if (response.httpStatusCode !== unauthorizedCode || !connections.renewAfterRefusal(access)) return response;
  await response.body.binary();
  return send(await connections.access());
}

/** As the client's own library does it, but for a bound on what is read of an answer. */
async function fetchBounded(request: RequestContext): Promise<ResponseContext> {
  const enough = new AbortController();
  const answer = await fetch(request.getUrl(), {
    method: request.getHttpMethod(),
    body: request.getBody() as string | undefined,
    headers: request.getHeaders(),
    signal: AbortSignal.any([enough.signal, AbortSignal.timeout(requestTimeoutMs)]),
    agent: request.getAgent() as Agent,
    size: answerBytesMax,
  });
  const read = async <Body>(body: Promise<Body>): Promise<Body> => {
    try {
      return await body;
    } catch (error) {
      // The rest of an answer that is too large would be taken in and thrown away.
      enough.abort();
      throw error;
    }
  };
  const body = { text: () => read(answer.text()), binary: () => read(answer.buffer()) };
  return new ResponseContext(answer.status, Object.fromEntries(answer.headers), body);
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
  throw new ApiException(statusCode, 'refused', await readRefusal(response), {});
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

import { request as plainRequest, type Agent, type IncomingMessage } from 'node:http';
import { request as secureRequest, type RequestOptions } from 'node:https';
import { Sha256 } from '@aws-crypto/sha256-js';
import { DescribeClusterCommand, type EKSClient } from '@aws-sdk/client-eks';
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
  type Configuration,
  type RequestContext,
} from '@kubernetes/client-node';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Target } from '../../../domain/action.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { awsError, connectionLost } from '../../failure.ts';

const requestTimeoutMs = 15_000;
const tokenLifetimeSeconds = 60;
/** How long an answer that has begun may say nothing: the API server sends a bookmark every minute over a watch. */
const silenceMaxMs = 75_000;
const refusalBytesMax = 64 * 1024;

/** The groups of the Kubernetes API that actions use, for one cluster. */
export interface KubernetesApis {
  /** Who asks, for people: `the worker`, or a user of a kubeconfig. */
  user: string;
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
 * Connects to the Kubernetes API of an EKS cluster with the credentials of the EKS client: the endpoint and its
 * certificate authority come from DescribeCluster, the token is a presigned STS call as `aws eks get-token` makes it.
 */
export async function connectKubernetes(eks: EKSClient, target: Target): Promise<KubernetesApis> {
  const { cluster } = await eks
    .send(new DescribeClusterCommand({ name: target.name }))
    .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeCluster', target)));
  if (cluster?.endpoint === undefined) {
    throw new HoldpointError('kubernetes-unreachable', {
      cluster: target.name,
      call: 'anything',
      cause: `EKS names no endpoint for it (its status is ${cluster?.status ?? 'unknown'})`,
    });
  }
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [
      {
        name: target.name,
        server: cluster.endpoint,
        caData: cluster.certificateAuthority?.data,
        // The client refuses plain HTTP (which only a sandbox serves) unless told that there is nothing to verify.
        skipTLSVerify: cluster.endpoint.startsWith('http://'),
      },
    ],
    users: [{ name: 'holdpoint', token: await eksToken(eks, target) }],
    contexts: [{ name: target.name, cluster: target.name, user: 'holdpoint' }],
    currentContext: target.name,
  });
  return apisOf(config, cluster.endpoint, 'the worker');
}

/** The API groups behind a configuration whose current cluster is served at this address, and what people call its current user. */
export function apisOf(config: KubeConfig, server: string, user: string): KubernetesApis {
  const connections = new Connections(config);
  const configuration = configurationFor(connections, server);
  return {
    user,
    core: new CoreV1Api(configuration),
    policy: new PolicyV1Api(configuration),
    apps: new AppsV1Api(configuration),
    authorization: new AuthorizationV1Api(configuration),
    storage: new StorageV1Api(configuration),
    open: (path, query, signal) => openStream(connections, `${server}${path}?${new URLSearchParams(query).toString()}`, signal),
  };
}

/** The client makes an agent for each request, which costs a handshake each time: here all requests share one. */
class Connections {
  private readonly config: KubeConfig;
  private agent: Agent | undefined;

  constructor(config: KubeConfig) {
    this.config = config;
  }

  getName(): string {
    return 'kubeconfig';
  }

  async applySecurityAuthentication(context: RequestContext): Promise<void> {
    await this.config.applySecurityAuthentication(context);
    context.setAgent(this.shared(context.getAgent() as Agent));
  }

  /** Credentials and agent for a request that is sent without the client. */
  async options(): Promise<RequestOptions> {
    const options: RequestOptions = {};
    await this.config.applyToHTTPSOptions(options);
    const { headers, agent } = options;
    return { headers, agent: this.shared(agent as Agent) };
  }

  private shared(agent: Agent): Agent {
    this.agent ??= Object.assign(agent, { keepAlive: true });
    return this.agent;
  }
}

async function openStream(connections: Connections, url: string, signal: AbortSignal): Promise<IncomingMessage> {
  const options = await connections.options();
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const send = url.startsWith('http:') ? plainRequest : secureRequest;
    const sent = send(url, { ...options, signal }, (answer) => {
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
  endWhereSilent(response);
  const { statusCode = 0 } = response;
  if (statusCode === 200) return response;
  throw new ApiException(statusCode, 'refused', await readRefusal(response), {});
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
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk as string;
    if (text.length > refusalBytesMax) response.destroy();
  }
  return text;
}

/** The client sets no time limit of its own: a request without an answer would hang for ever. */
function configurationFor(connections: Connections, server: string): Configuration {
  return createConfiguration({
    baseServer: new ServerConfiguration(server, {}),
    authMethods: { default: connections },
    promiseMiddleware: [
      {
        pre: async (request) => {
          request.setSignal(AbortSignal.timeout(requestTimeoutMs));
          return request;
        },
        post: async (response) => response,
      },
    ],
  });
}

/** A bearer token for the cluster: a presigned GetCallerIdentity that names the cluster in a signed header. */
async function eksToken(eks: EKSClient, target: Target): Promise<string> {
  const signer = new SignatureV4({
    service: 'sts',
    region: target.region,
    sha256: Sha256,
    credentials: eks.config.credentials,
  });
  const hostname = `sts.${target.region}.amazonaws.com`;
  const signed = await signer
    .presign(
      {
        method: 'GET',
        protocol: 'https:',
        hostname,
        path: '/',
        query: { Action: 'GetCallerIdentity', Version: '2011-06-15' },
        headers: { host: hostname, 'x-k8s-aws-id': target.name },
      },
      { expiresIn: tokenLifetimeSeconds },
    )
    .catch((error: unknown) => Promise.reject(awsError(error, 'sign a token', target)));
  const query = new URLSearchParams(signed.query as Record<string, string>).toString();
  return `k8s-aws-v1.${Buffer.from(`https://${hostname}/?${query}`).toString('base64url')}`;
}

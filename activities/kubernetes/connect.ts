import { Sha256 } from '@aws-crypto/sha256-js';
import { DescribeClusterCommand, type EKSClient } from '@aws-sdk/client-eks';
import {
  AppsV1Api,
  AuthorizationV1Api,
  CoreV1Api,
  KubeConfig,
  PolicyV1Api,
  ServerConfiguration,
  StorageV1Api,
  createConfiguration,
  type Configuration,
} from '@kubernetes/client-node';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Target } from '../../domain/action.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { awsError } from '../failure.ts';

const requestTimeoutMs = 15_000;
const tokenLifetimeSeconds = 60;

/** The groups of the Kubernetes API that actions use, for one cluster. */
export interface KubernetesApis {
  core: CoreV1Api;
  policy: PolicyV1Api;
  apps: AppsV1Api;
  authorization: AuthorizationV1Api;
  storage: StorageV1Api;
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
  const configuration = configurationFor(config, cluster.endpoint);
  return {
    core: new CoreV1Api(configuration),
    policy: new PolicyV1Api(configuration),
    apps: new AppsV1Api(configuration),
    authorization: new AuthorizationV1Api(configuration),
    storage: new StorageV1Api(configuration),
  };
}

/** The client sets no time limit of its own: a request without an answer would hang for ever. */
function configurationFor(config: KubeConfig, server: string): Configuration {
  return createConfiguration({
    baseServer: new ServerConfiguration(server, {}),
    authMethods: { default: config },
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

import { Sha256 } from '@aws-crypto/sha256-js';
import { DescribeClusterCommand, type EKSClient } from '@aws-sdk/client-eks';
import { KubeConfig } from '@kubernetes/client-node';
import { SignatureV4 } from '@smithy/signature-v4';
import { HoldpointError } from '../../domain/errors.ts';
import type { Target } from '../../domain/target.ts';
import { awsError } from '../failure.ts';
import { apisOf, type KubernetesApis } from '../kubernetes/client/connect.ts';
import type { Credential } from '../kubernetes/client/credentials.ts';

/** How long the presigned call may be used for a request to STS. */
const presignedSeconds = 60;
/** EKS takes a token for 15 minutes from its signature, whatever that says; `aws eks get-token` counts on one less, too. */
const tokenLifetimeMs = 14 * 60_000;

/**
 * Connects to the Kubernetes API of an EKS cluster with the credentials of the EKS client: the endpoint and its certificate authority
 * come from DescribeCluster, the token, which is renewed, is a presigned STS call as `aws eks get-token` makes it.
 * Throws `cluster-unknown`, `kubernetes-unreachable`, `aws-…` errors.
 */
export async function connectToEks(eks: EKSClient, target: Target): Promise<KubernetesApis> {
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
  config.loadFromClusterAndUser(
    {
      name: target.name,
      server: cluster.endpoint,
      caData: cluster.certificateAuthority?.data,
      // The client refuses plain HTTP (which only a sandbox serves) unless told that there is nothing to verify.
      skipTLSVerify: cluster.endpoint.startsWith('http://'),
    },
    { name: 'holdpoint' },
  );
  return apisOf(config, cluster.endpoint, 'the worker', () => eksToken(eks, target));
}

/** The host of STS in a region: the SDK knows under which domain the services of each partition are, such as `amazonaws.com.cn`. */
export function stsHost(eks: EKSClient, region: string): string {
  const { url } = eks.config.endpointProvider({ Region: region });
  return url.hostname.replace(/^eks\./, 'sts.');
}

/** A bearer token for the cluster: a presigned GetCallerIdentity that names the cluster in a signed header. */
async function eksToken(eks: EKSClient, target: Target): Promise<Credential> {
  const signer = new SignatureV4({
    service: 'sts',
    region: target.region,
    sha256: Sha256,
    credentials: eks.config.credentials,
  });
  const hostname = stsHost(eks, target.region);
  const signedAtMs = Date.now();
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
      { expiresIn: presignedSeconds },
    )
    .catch((error: unknown) => Promise.reject(awsError(error, 'sign a token', target)));
  const query = new URLSearchParams(signed.query as Record<string, string>).toString();
  const token = `k8s-aws-v1.${Buffer.from(`https://${hostname}/?${query}`).toString('base64url')}`;
  return { token, expiresAtMs: signedAtMs + tokenLifetimeMs };
}

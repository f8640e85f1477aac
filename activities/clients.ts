import { EKSClient } from '@aws-sdk/client-eks';
import type { Target } from '../domain/action.ts';
import { connectKubernetes, type KubernetesApis } from './kubernetes/connect.ts';

const requestTimeoutMs = 10_000;
const connectionTimeoutMs = 5_000;
const attemptsMax = 3;
/** An EKS token lives 15 minutes; a connection is made anew well before. */
const connectionAgeMaxMs = 10 * 60_000;

/** The clients through which actions reach the world, one per region or cluster. */
export interface Clients {
  eks(region: string): EKSClient;
  /** Throws `cluster-unknown`, `aws-…` errors. */
  kubernetes(target: Target): Promise<KubernetesApis>;
}

/** Makes the clients. Endpoint and credentials come from where the AWS SDK looks for them. */
export function createClients(): Clients {
  const eksClients = new Map<string, EKSClient>();
  const connections = new Map<string, { apis: Promise<KubernetesApis>; madeAtMs: number }>();
  const eks = (region: string): EKSClient => {
    const client =
      eksClients.get(region) ??
      new EKSClient({ region, maxAttempts: attemptsMax, requestHandler: { requestTimeout: requestTimeoutMs, connectionTimeout: connectionTimeoutMs } });
    eksClients.set(region, client);
    return client;
  };
  const kubernetes = (target: Target): Promise<KubernetesApis> => {
    const key = `${target.region}/${target.name}`;
    const known = connections.get(key);
    if (known && Date.now() - known.madeAtMs < connectionAgeMaxMs) return known.apis;
    const apis = connectKubernetes(eks(target.region), target);
    connections.set(key, { apis, madeAtMs: Date.now() });
    apis.catch(() => connections.delete(key));
    return apis;
  };
  return { eks, kubernetes };
}

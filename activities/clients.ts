import { EC2Client } from '@aws-sdk/client-ec2';
import { EKSClient } from '@aws-sdk/client-eks';
import type { Target } from '../domain/action.ts';
import { connectKubernetes, type KubernetesApis } from './kubernetes/client/connect.ts';

const requestTimeoutMs = 10_000;
const connectionTimeoutMs = 5_000;
const attemptsMax = 3;
/** An EKS token lives 15 minutes; a connection is made anew well before. */
const connectionAgeMaxMs = 10 * 60_000;

/** The clients through which actions reach the world, one per region or cluster. */
export interface Clients {
  eks(region: string): EKSClient;
  ec2(region: string): EC2Client;
  /** Throws `cluster-unknown`, `aws-…` errors. */
  kubernetes(target: Target): Promise<KubernetesApis>;
}

/** Makes the clients. Endpoint and credentials come from where the AWS SDK looks for them. */
export function createClients(): Clients {
  const requestHandler = { requestTimeout: requestTimeoutMs, connectionTimeout: connectionTimeoutMs };
  const settings = { maxAttempts: attemptsMax, requestHandler };
  const eks = onePerRegion((region) => new EKSClient({ region, ...settings }));
  const ec2 = onePerRegion((region) => new EC2Client({ region, ...settings }));
  const connections = new Map<string, { apis: Promise<KubernetesApis>; madeAtMs: number }>();
  const kubernetes = (target: Target): Promise<KubernetesApis> => {
    const key = `${target.region}/${target.name}`;
    const known = connections.get(key);
    if (known && Date.now() - known.madeAtMs < connectionAgeMaxMs) return known.apis;
    const apis = connectKubernetes(eks(target.region), target);
    connections.set(key, { apis, madeAtMs: Date.now() });
    apis.catch(() => connections.delete(key));
    return apis;
  };
  return { eks, ec2, kubernetes };
}

function onePerRegion<Client>(create: (region: string) => Client): (region: string) => Client {
  const clients = new Map<string, Client>();
  return (region) => {
    const client = clients.get(region) ?? create(region);
    clients.set(region, client);
    return client;
  };
}

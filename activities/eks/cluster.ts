import { DescribeClusterCommand, ListNodegroupsCommand, type Cluster } from '@aws-sdk/client-eks';
import type { Stuck } from '../../domain/action.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { Blocker } from '../../domain/plan/plan.ts';
import type { Target } from '../../domain/target.ts';
import { cut } from '../../domain/visible.ts';
import type { Clients } from '../clients.ts';
import { awsError, messageCharactersMax } from '../failure.ts';
import { listAllOf, pageSize } from '../aws-pages.ts';

/** The cluster of a target. Throws `cluster-unknown`, `aws-…` errors. */
export async function readCluster(clients: Clients, target: Target): Promise<Cluster> {
  const { cluster } = await clients
    .eks(target.region)
    .send(new DescribeClusterCommand({ name: target.name }))
    .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeCluster', target)));
  if (!cluster) throw new HoldpointError('cluster-unknown', { cluster: target.name, region: target.region });
  return cluster;
}

/** Which cluster a plan is for, so that another one which has taken the name since is left alone. */
export type ClusterFacts = { clusterArn: string; createdAt: string };

export function clusterFacts({ arn, createdAt }: Cluster): ClusterFacts {
  return { clusterArn: arn ?? '', createdAt: createdAt?.toISOString() ?? '' };
}

/** What to say where a cluster is not the one that was planned for; undefined where it is. */
export function replacedCluster(cluster: Cluster, { clusterArn, createdAt }: ClusterFacts): Stuck | undefined {
  const now = clusterFacts(cluster);
  if (now.clusterArn === clusterArn && now.createdAt === createdAt) return undefined;
  const reason = `Cluster ${cluster.name ?? ''} has been replaced by another one of its name.`;
  return { state: 'stuck', reason, remedy: 'Find out who replaced it; abort the run and plan again.' };
}

/** What keeps EKS from changing a cluster. */
export function clusterBlockers(cluster: Cluster): Blocker[] {
  const object = `Cluster/${cluster.name ?? ''}`;
  const blockers: Blocker[] = [];
  if (cluster.status !== 'ACTIVE' && cluster.status !== 'UPDATING') {
    const remedy = 'Wait until it is ACTIVE, then plan again.';
    blockers.push({ object, reason: `Its status is ${cluster.status ?? 'unknown'}, not ACTIVE.`, remedy });
  }
  for (const issue of cluster.health?.issues ?? []) {
    blockers.push({ object, reason: `EKS reports ${issueText(issue)}`, remedy: 'Put right what EKS reports, then plan again.' });
  }
  return blockers;
}

/** An issue that EKS reports of a cluster or an add-on, as people are told of it: its code, and its message as far as a person reads. */
export function issueText({ code, message }: { code?: string; message?: string }): string {
  return `${code ?? 'an issue'}: ${cut(message ?? 'without a message', messageCharactersMax)}`;
}

/** The names of the node groups of a cluster. Throws `cluster-unknown`, `aws-…` errors. */
export function listNodegroups(clients: Clients, target: Target): Promise<string[]> {
  return listAllOf('ListNodegroups', target, async (nextToken) => {
    const command = new ListNodegroupsCommand({ clusterName: target.name, maxResults: pageSize, nextToken });
    const { nodegroups: items, nextToken: next } = await clients.eks(target.region).send(command);
    return { items, nextToken: next };
  });
}

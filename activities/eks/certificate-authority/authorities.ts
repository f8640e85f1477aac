import {
  DescribeCertificateAuthorityCommand,
  ListCertificateAuthoritiesCommand,
  type CertificateAuthority as Described,
  type Cluster,
  type Update,
} from '@aws-sdk/client-eks';
import type { Progress, Stuck } from '../../../domain/action.ts';
import type { CertificateAuthority, Problem } from '../../../domain/certificate-authority/rotation.ts';
import type { Blocker } from '../../../domain/plan/plan.ts';
import type { Target } from '../../../domain/target.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { inParallel } from '../../kubernetes/client/read.ts';
import { listAllOf, pageSize } from '../pages.ts';
import { describeUpdate, hasFailed } from '../update/planned-change.ts';
import { explainUpdateErrors } from '../update/update-error.ts';

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

/** The certificate authorities of a cluster, the oldest first. Reads only. Throws `cluster-unknown` and `aws-…` errors. */
export async function readAuthorities(clients: Clients, target: Target): Promise<CertificateAuthority[]> {
  const eks = clients.eks(target.region);
  const listed = await listAllOf('ListCertificateAuthorities', target, async (nextToken) => {
    const request = { clusterName: target.name, maxResults: pageSize, nextToken };
    const answer = await eks.send(new ListCertificateAuthoritiesCommand(request));
    return { items: answer.certificateAuthorities, nextToken: answer.nextToken };
  });
  const described = await inParallel(listed, ({ id }) => describe(clients, target, id ?? ''));
  const known = described.flatMap((authority) => (authority ? viewOf(authority) : []));
  return known.sort((one, other) => Date.parse(one.createdAt) - Date.parse(other.createdAt));
}

/** Undefined where it has gone since it was listed. */
async function describe(clients: Clients, target: Target, certificateAuthorityId: string): Promise<Described | undefined> {
  try {
    const request = { clusterName: target.name, certificateAuthorityId };
    return (await clients.eks(target.region).send(new DescribeCertificateAuthorityCommand(request))).certificateAuthority;
  } catch (error) {
    const known = awsError(error, `DescribeCertificateAuthority ${certificateAuthorityId}`, target);
    if (error instanceof Error && error.name === 'ResourceNotFoundException' && known.code !== 'cluster-unknown') return undefined;
    throw known;
  }
}

function viewOf(authority: Described): CertificateAuthority {
  const { id, createdAt, createdBy, activatedAt, signingStatus, distributionStatus, validity, scheduledEvents, rollbackAvailable, data } =
    authority;
  return {
    id: id ?? '',
    createdAt: createdAt?.toISOString() ?? '',
    createdBy: createdBy ?? 'unknown',
    activatedAt: activatedAt?.toISOString(),
    signing: signingStatus ?? 'unknown',
    distribution: distributionStatus ?? 'unknown',
    validUntil: validity?.notAfter?.toISOString(),
    mayBeActivatedFrom: scheduledEvents?.firstAutoActivation?.toISOString(),
    isActivatedBy: scheduledEvents?.finalAutoActivation?.toISOString(),
    rollbackAvailable,
    data: data ?? '',
  };
}

/** How people are told of an authority as an object. */
export function objectOf(target: Target, id: string): string {
  return `CertificateAuthority/${target.name}/${id}`;
}

/** A problem of an authority, or of the cluster, as a blocker. */
export function blockerOf(object: string, problem: Problem | undefined): Blocker[] {
  return problem ? [{ object, ...problem }] : [];
}

/** EKS takes one update of a cluster at a time. */
export function inFlightBlocker(target: Target, update: Update | undefined): Blocker[] {
  if (!update) return [];
  const reason = `The ${describeUpdate(update)} is in progress.`;
  return [{ object: `Cluster/${target.name}`, reason, remedy: 'Wait until it has ended, then plan again.' }];
}

/** What to say of an update in progress that this step has not begun. */
export function foreignUpdateOf(target: Target, update: Update): Stuck {
  const reason = `Somebody else changes cluster ${target.name}: ${describeUpdate(update)} is in progress.`;
  return { state: 'stuck', reason, remedy: 'Wait until it has ended, then try again (`holdpoint retry`).' };
}

/** Whether an update is about an authority, by whatever parameter EKS names it. */
export function concerns({ type, params = [] }: Update, id: string): boolean {
  return type === 'CertificateAuthorityUpdate' && params.some(({ value }) => value === id);
}

/** What to say where the last update of an authority has failed; undefined where it has not. `updates`: the newest first. */
export function failedUpdate(updates: readonly Update[], id: string): Stuck | undefined {
  const latest = updates.find((update) => concerns(update, id));
  if (!hasFailed(latest)) return undefined;
  const { reason: cause, remedy } = explainUpdateErrors(latest.errors ?? []);
  return { state: 'stuck', reason: `The ${describeUpdate(latest)} ended as ${latest.status ?? ''}: ${cause}.`, remedy };
}

/** How far one authority is. */
export function progressOf(summary: string, isDone: boolean): Progress {
  return { summary, done: isDone ? 1 : 0, total: 1, unit: 'certificate authorities', items: [] };
}

import {
  DescribeCertificateAuthorityCommand,
  ListCertificateAuthoritiesCommand,
  type CertificateAuthority as Described,
  type EKSClient,
  type Update,
} from '@aws-sdk/client-eks';
import type { ActionContext, Observation, Progress, Stuck } from '../../../domain/action.ts';
import type { CertificateAuthority, Problem } from '../../../domain/certificate-authority/rotation.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { Blocker } from '../../../domain/plan/plan.ts';
import type { Target } from '../../../domain/target.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { inParallel } from '../../kubernetes/client/read.ts';
import { isMissing } from '../nodegroup/nodegroup.ts';
import { listAllOf, pageSize } from '../../aws-pages.ts';
import { askForUpdate } from '../update/ask-for-update.ts';
import { describeUpdate, foreignUpdateOf, hasFailed } from '../update/planned-change.ts';
import { updateInProgress } from '../update/read-updates.ts';
import { explainUpdateErrors } from '../update/update-error.ts';

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
    if (isMissing(error, known)) return undefined;
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

/** Whether an update is about an authority, by whatever parameter EKS names it. */
function concerns({ type, params = [] }: Update, id: string): boolean {
  return type === 'CertificateAuthorityUpdate' && params.some(({ value }) => value === id);
}

/** What an update in progress means for a step: it waits, or stops for somebody else's. Undefined where there is none of another one. */
export function observeUpdateInProgress(
  updates: readonly Update[],
  id: string,
  { target, acted }: ActionContext,
  waitForUpdate: boolean,
  progress: Progress,
): Observation | undefined {
  const update = updateInProgress(updates);
  if (!update) return undefined;
  if (waitForUpdate || acted) return { state: 'moving', progress };
  return concerns(update, id) ? undefined : { ...foreignClusterUpdate(target, update), progress, untouched: true };
}

/** What is to be done where an authority is as it was planned: EKS is to be asked, unless it was and has failed. */
export function observeUpdateToAsk(updates: readonly Update[], id: string, { acted }: ActionContext, progress: Progress): Observation {
  const failed = acted ? failedUpdate(updates, id) : undefined;
  return failed ? { ...failed, progress } : { state: 'todo', progress, untouched: !acted && !updateInProgress(updates) };
}

/** What every such request says. */
export type TokenRequest = { clusterName: string; clientRequestToken: string };

/** An update of certificate authorities that EKS is asked for. */
interface WantedAuthorityUpdate {
  /** The call as errors name it. */
  call: string;
  /** What makes the request token, besides the cluster, the step and its try. */
  request: JsonObject;
  waitForUpdate: boolean;
  send: (eks: EKSClient, request: TokenRequest) => Promise<{ update?: Update }>;
}

/** Throws what `askForUpdate` throws. */
export async function askForAuthorityUpdate(
  clients: Clients,
  { call, request, waitForUpdate, send }: WantedAuthorityUpdate,
  context: ActionContext,
): Promise<void> {
  const { region, name } = context.target;
  const wanted = {
    call,
    request: { cluster: name, ...request },
    waitForUpdate,
    send: async (clientRequestToken: string) => (await send(clients.eks(region), { clusterName: name, clientRequestToken })).update,
    foreign: (update: Update) => foreignClusterUpdate(context.target, update),
  };
  await askForUpdate(clients, wanted, context);
}

/** Another update of the cluster is waited for by people; none is adopted. */
function foreignClusterUpdate({ name }: Target, update: Update): Stuck {
  return foreignUpdateOf(`cluster ${name}`, describeUpdate(update), false);
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

import { CreateNodegroupCommand, type CreateNodegroupRequest, type Nodegroup } from '@aws-sdk/client-eks';
import type { ActionContext, Observation, Undo } from '../../../domain/action.ts';
import { expectedVersion } from '../../../domain/plan/expected.ts';
import { isObject, type Json, type JsonObject } from '../../../domain/json.ts';
import { digestOf, type Blocker, type Effect } from '../../../domain/plan/plan.ts';
import { kubernetesOfRelease, sameMinorVersion } from '../../../domain/version/version.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { nodeIsReady } from '../../kubernetes/client/read.ts';
import { nodesAdded } from './expected-nodes.ts';
import { findRelease } from './releases.ts';
import { lastingTaints, startupTaint } from './startup-taints.ts';
import {
  findNodegroup,
  findPatiently,
  healthProblem,
  nodesOfNodegroup,
  readNodegroup,
  readinessProgress,
  runTag,
  strangerReason,
} from './nodegroup.ts';
import { readCluster } from '../cluster.ts';
import { requestToken } from '../request-token.ts';

/** EKS takes one to three minutes until the instances of a group have joined. */
const estimateMs = 3 * 60_000;
/** And to make a group go again. */
const undoEstimateMs = 2 * 60_000;
/** EKS: tags of a node group that are not set by AWS itself. */
const tagsMax = 50;
const failedStatuses = new Set(['CREATE_FAILED', 'DEGRADED', 'DELETE_FAILED']);
const renameRemedy = 'Choose another name for the new node group, or delete the old one.';

type CreateInput = ActionInput<'eks.createNodegroup'>;
type CreateFacts = {
  nodegroup: string;
  /** What CreateNodegroup is asked for. */
  request: JsonObject;
  desiredSize: number;
};

/** `eks.createNodegroup`: a node group like another one; done when EKS calls it ACTIVE and every node is Ready. */
export function createNodegroupAction(clients: Clients): AnyAction {
  return defineAction<CreateInput, CreateFacts>({
    declaration: actions['eks.createNodegroup'],
    plan: (input, context) => planCreate(clients, input, context),
    observe: (plan, context) => observeCreate(clients, plan, context),
    act: async (plan, context) => {
      const { request } = plan.facts;
      const settings = request as unknown as CreateNodegroupRequest;
      // No part of the plan, which may be made before there is a run; the rollback deletes only what carries it.
      const tags = { ...settings.tags, [runTag]: context.run };
      const command = new CreateNodegroupCommand({ ...settings, tags, clientRequestToken: requestToken(context, request) });
      await clients
        .eks(context.target.region)
        .send(command)
        .catch((error: unknown) => Promise.reject(awsError(error, `CreateNodegroup ${plan.facts.nodegroup}`, context.target)));
    },
    undo: ({ facts }, context) => undoCreate(clients, facts.nodegroup, context),
  });
}

/** Pods may have moved onto its nodes by then, which go first; a group of that name may also be one that somebody else has made. */
async function undoCreate(clients: Clients, nodegroup: string, context: ActionContext): Promise<Undo> {
  const { run, target } = context;
  const found = await findPatiently(clients, context, nodegroup);
  if (!found) return { nothing: `There is no node group ${nodegroup} (any more).` };
  const stays = strangerReason(found, nodegroup, run);
  if (stays !== undefined) return { nothing: stays };
  const nodes = (await nodesOfNodegroup(clients, target, nodegroup)).map(({ metadata }) => metadata?.name ?? '');
  return [
    { uses: 'kubernetes.drain', with: { nodes, alsoCordoned: true } },
    { uses: 'eks.deleteNodegroup', with: { nodegroup, createdBy: run } },
  ];
}

/** A rotation onto itself would drain and delete the only group. */
function sameGroupBlockers({ name, like }: CreateInput): Blocker[] {
  if (name !== like) return [];
  return [{ object: `Nodegroup/${name}`, reason: 'It is to be like itself: name and like are the same.', remedy: renameRemedy }];
}

/** One place is needed for the tag of the run. */
function tagBlockers({ name, like }: CreateInput, { tags }: JsonObject): Blocker[] {
  if (Object.keys(tags ?? {}).length < tagsMax) return [];
  const reason = `It would have ${tagsMax} tags, as many as EKS allows, and one more is needed for the id of the run.`;
  return [{ object: `Nodegroup/${name}`, reason, remedy: `Take a tag off node group ${like} (aws eks untag-resource), then plan again.` }];
}

async function planCreate(clients: Clients, asked: CreateInput, context: ActionContext): Promise<PlanOf<CreateFacts>> {
  const { target, expected = [] } = context;
  const existing = await findNodegroup(clients, target, asked.name);
  if (existing) return planExisting(clients, asked, existing, context);
  const like = await readNodegroup(clients, target, asked.like);
  const { version: present = '' } = await readCluster(clients, target);
  const clusterVersion = expectedVersion(expected, `Cluster/${target.name}`) ?? present;
  const { input, blockers, notes } = await withRelease(clients, asked, like, clusterVersion, context);
  const request = requestLike(like, input, clusterVersion);
  const desiredSize = like.scalingConfig?.desiredSize ?? 0;
  return {
    ...emptyPlan({ nodegroup: input.name, request, desiredSize }),
    effects: [createEffect(target.name, input, request, desiredSize)],
    blockers: [...sameGroupBlockers(input), ...tagBlockers(input, request), ...versionBlockers(input, clusterVersion), ...blockers],
    notes,
    details: { like: input.like, desiredSize },
    outputs: { nodegroup: input.name },
    expects: nodesAdded(input.name, like, await nodesOfNodegroup(clients, target, input.like), desiredSize),
    estimateMs,
    undoEstimateMs,
  };
}

/** With the release that is meant, where one is asked for; what is named by a version alone, EKS makes of its newest one. */
async function withRelease(
  clients: Clients,
  input: CreateInput,
  { amiType }: Nodegroup,
  clusterVersion: string,
  context: ActionContext,
): Promise<{ input: CreateInput; blockers: Blocker[]; notes: string[] }> {
  if (input.releaseVersion === undefined || amiType === 'CUSTOM') return { input, blockers: [], notes: [] };
  const object = `Nodegroup/${input.name}`;
  const version = input.version ?? clusterVersion;
  const { releaseVersion, blockers, notes } = await findRelease(clients, { ...input, object, amiType, version }, context);
  return { input: { ...input, releaseVersion }, blockers, notes };
}

/** A group of that name is used as it is, if it is what would be made. The one to copy may be gone when it has done its work. */
async function planExisting(
  clients: Clients,
  asked: CreateInput,
  existing: Nodegroup,
  context: ActionContext,
): Promise<PlanOf<CreateFacts>> {
  const { target } = context;
  const { name } = asked;
  const like = await findNodegroup(clients, target, asked.like);
  const { version: clusterVersion = '' } = await readCluster(clients, target);
  const { input, blockers, notes: notesOfRelease } = await withRelease(clients, asked, existing, clusterVersion, context);
  const request = like ? requestLike(like, input, clusterVersion) : requestAlone(existing, input);
  const desiredSize = (like ?? existing).scalingConfig?.desiredSize ?? 0;
  const nodes = await nodesOfNodegroup(clients, target, name);
  const models = like ? await nodesOfNodegroup(clients, target, input.like) : nodes;
  const missing = desiredSize - nodes.filter(nodeIsReady).length;
  const notes = [...notesOfRelease, `Node group ${name} exists already and is used as it is.`];
  if (!like) notes.push(`There is no node group ${input.like} (any more) to compare ${name} with.`);
  return {
    ...emptyPlan({ nodegroup: name, request, desiredSize }),
    blockers: [...sameGroupBlockers(input), ...differenceBlockers(existing, request, name), ...blockers],
    notes,
    details: { like: input.like, desiredSize },
    outputs: { nodegroup: name, nodes: nodes.map((node) => node.metadata?.name ?? '') },
    expects: nodesAdded(name, existing, models, missing),
  };
}

function createEffect(cluster: string, input: CreateInput, request: JsonObject, desiredSize: number): Effect {
  const release = typeof request.releaseVersion === 'string' ? `, release ${request.releaseVersion}` : '';
  const change = `create ${desiredSize} nodes like ${input.like}${release}`;
  return { object: `Nodegroup/${cluster}/${input.name}`, change, after: request };
}

/** The settings of a node group as a request for another one, of the cluster's version unless another one is asked for. */
function requestLike(like: Nodegroup, input: CreateInput, clusterVersion: string): JsonObject {
  const custom = like.amiType === 'CUSTOM';
  // Every field of the SDK's type is named, so that one that EKS adds is not left out without anybody noticing.
  const settings: Record<keyof CreateNodegroupRequest, unknown> = {
    clusterName: like.clusterName,
    nodegroupName: input.name,
    subnets: like.subnets,
    nodeRole: like.nodeRole,
    scalingConfig: like.scalingConfig,
    amiType: custom ? undefined : like.amiType,
    capacityType: like.capacityType,
    // A launch template carries instance settings of its own, and EKS refuses to hear of them twice.
    instanceTypes: like.instanceTypes,
    diskSize: like.launchTemplate ? undefined : like.diskSize,
    launchTemplate: like.launchTemplate && { id: like.launchTemplate.id, version: like.launchTemplate.version },
    labels: like.labels,
    taints: like.taints,
    updateConfig: like.updateConfig,
    nodeRepairConfig: like.nodeRepairConfig,
    warmPoolConfig: like.warmPoolConfig,
    // A setting of groups without a launch template.
    remoteAccess: like.launchTemplate ? undefined : like.remoteAccess,
    tags: ownTags(like.tags),
    version: custom ? undefined : (input.version ?? clusterVersion),
    releaseVersion: custom ? undefined : input.releaseVersion,
    clientRequestToken: undefined,
  };
  return JSON.parse(JSON.stringify(settings)) as JsonObject;
}

/** What is asked for by name, where there is nothing to copy; a custom image has no versions of EKS. */
function requestAlone({ amiType }: Nodegroup, { version, releaseVersion }: CreateInput): JsonObject {
  return amiType === 'CUSTOM' ? {} : (JSON.parse(JSON.stringify({ version, releaseVersion })) as JsonObject);
}

/** Tags with the prefix `aws:` are set by AWS alone, which refuses them in a request; the run that made the other group is not its own. */
function ownTags(tags: Nodegroup['tags']): Record<string, string> {
  return Object.fromEntries(Object.entries(tags ?? {}).filter(([key]) => !key.startsWith('aws:') && key !== runTag));
}

/** EKS API, CreateNodegroup: the version of the cluster is the only one that it accepts. */
function versionBlockers({ name, version, releaseVersion }: CreateInput, clusterVersion: string): Blocker[] {
  const versions = [version, kubernetesOfRelease(releaseVersion ?? '')];
  const asked = versions.filter((text) => text !== undefined && !sameMinorVersion(text, clusterVersion));
  if (asked.length === 0) return [];
  const reason = `EKS makes node groups of the version of the cluster, ${clusterVersion}, only; ${asked.join(' and ')} is asked for.`;
  return [{ object: `Nodegroup/${name}`, reason, remedy: `Ask for a release of ${clusterVersion}, or upgrade the control plane first.` }];
}

/** A group of that name which is not what the plan would make is somebody else's: it is not touched. */
function differenceBlockers(existing: Nodegroup, request: JsonObject, name: string): Blocker[] {
  const differing = differingSettings(existing, request);
  if (differing.length === 0) return [];
  const reason = `A node group of this name exists already and differs in ${differing.join(', ')}.`;
  return [{ object: `Nodegroup/${name}`, reason, remedy: renameRemedy }];
}

function differingSettings(existing: Nodegroup, request: JsonObject): string[] {
  const there = JSON.parse(JSON.stringify(existing)) as JsonObject;
  return Object.keys(request).filter((key) => {
    const asked = request[key];
    if (asked === undefined || notCompared.includes(key)) return false;
    if (key === 'scalingConfig') return !isWithinSize(there[key], asked);
    return !sameSetting(partsOf(there[key], asked), asked);
  });
}

/** What names the group, and what others may add to it at any time. */
const notCompared: readonly string[] = ['clusterName', 'nodegroupName', 'tags', 'clientRequestToken'];

/** Autoscalers change how many nodes are wanted; a group without nodes is none that takes pods. */
function isWithinSize(there: Json | undefined, asked: Json): boolean {
  const [present, wanted] = [there ?? {}, asked] as NonNullable<Nodegroup['scalingConfig']>[];
  if (present?.minSize !== wanted?.minSize || present?.maxSize !== wanted?.maxSize) return false;
  return (wanted?.desiredSize ?? 0) === 0 || (present?.desiredSize ?? 0) > 0;
}

/** Of what EKS describes in more words than it was asked for (the name of a launch template), only what was asked for. */
function partsOf(there: Json | undefined, asked: Json): Json | undefined {
  if (!isObject(asked) || !isObject(there)) return there;
  return Object.fromEntries(Object.keys(asked).flatMap((key) => (there[key] === undefined ? [] : [[key, there[key]]])));
}

/** Lists come in no order that EKS promises, and what is empty may be left out. */
function sameSetting(there: Json | undefined, asked: Json | undefined): boolean {
  return digestOf(normalized(there)) === digestOf(normalized(asked));
}

function normalized(setting: Json | undefined): Json {
  if (typeof setting !== 'object' || setting === null) return setting ?? null;
  if (Object.keys(setting).length === 0) return null;
  return Array.isArray(setting) ? setting.map((item) => digestOf(item)).sort() : setting;
}

async function observeCreate(clients: Clients, plan: PlanOf<CreateFacts>, context: ActionContext): Promise<Observation> {
  const { target, acted } = context;
  const { nodegroup: name, desiredSize, request } = plan.facts;
  const nodegroup = acted ? await findPatiently(clients, context, name) : await findNodegroup(clients, target, name);
  // EKS answers the same request token with the group that was, and makes no other one.
  if (!nodegroup && acted) return deletedSince(name);
  if (!nodegroup) return { state: 'todo' };
  const failed = creationProblem(nodegroup, name, request);
  if (failed) return failed;
  const nodes = await nodesOfNodegroup(clients, target, name);
  const wanted = nodegroup.scalingConfig?.desiredSize ?? desiredSize;
  if (wanted === 0 && desiredSize > 0) return scaledToZero(name, desiredSize);
  const taints = await lastingTaints(clients, target, nodegroup, plan.details.like);
  const progress = readinessProgress(name, nodes, wanted, (node) => startupTaint(node, taints));
  const ready = nodes.filter((node) => nodeIsReady(node) && startupTaint(node, taints) === undefined).length;
  if (nodegroup.status !== 'ACTIVE' || ready < wanted) return { state: 'moving', progress };
  return { state: 'done', outputs: { nodegroup: name, nodes: nodes.map((node) => node.metadata?.name ?? '') }, progress };
}

function scaledToZero(name: string, planned: number): Observation {
  const reason = `Node group ${name} is to have 0 nodes, and ${planned} were planned: somebody else has scaled it down.`;
  return { state: 'stuck', reason, remedy: 'Find out who has scaled it; scale it up, then try again, or abort the run.' };
}

function deletedSince(name: string): Observation {
  const reason = `Node group ${name} has been deleted by somebody else since this step made it.`;
  return { state: 'stuck', reason, remedy: 'Find out who deleted it; try again to have it made anew, or abort the run.' };
}

/** Why waiting for a node group of that name is in vain; undefined where it is not. */
function creationProblem(nodegroup: Nodegroup, name: string, request: JsonObject): Observation | undefined {
  const differing = differingSettings(nodegroup, request);
  if (differing.length > 0) {
    const reason = `Node group ${name} is not the one that was planned: it differs in ${differing.join(', ')}.`;
    return { state: 'stuck', reason, remedy: renameRemedy };
  }
  if (nodegroup.status === 'DELETING') {
    const remedy = 'Find out who deletes it; when it is gone, try again.';
    return { state: 'stuck', reason: `Node group ${name} is being deleted.`, remedy };
  }
  if (!failedStatuses.has(nodegroup.status ?? '')) return undefined;
  return {
    state: 'stuck',
    reason: `EKS could not create node group ${name} (${nodegroup.status ?? ''}): ${healthProblem(nodegroup) ?? 'it gives no reason'}.`,
    remedy: 'Put right what EKS reports, delete the failed node group, then try again.',
  };
}

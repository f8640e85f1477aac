import { CreateNodegroupCommand, type CreateNodegroupRequest, type Nodegroup } from '@aws-sdk/client-eks';
import type { ActionContext, Observation } from '../../domain/action.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { digestOf, type Blocker, type Effect } from '../../domain/plan.ts';
import { actions, type ActionInput } from '../../runbooks/actions.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { nodeIsReady } from '../kubernetes/read.ts';
import { findNodegroup, healthProblem, nodesOfNodegroup, readNodegroup, readinessProgress } from './nodegroup.ts';
import { requestToken } from './request-token.ts';

/** EKS takes one to three minutes until the instances of a group have joined. */
const estimateMs = 3 * 60_000;

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
      const command = new CreateNodegroupCommand({
        ...(request as unknown as CreateNodegroupRequest),
        clientRequestToken: requestToken(context),
      });
      await clients
        .eks(context.target.region)
        .send(command)
        .catch((error: unknown) => Promise.reject(awsError(error, `CreateNodegroup ${plan.facts.nodegroup}`, context.target)));
    },
    undo: (plan) => ({ uses: 'eks.deleteNodegroup', with: { nodegroup: plan.facts.nodegroup } }),
  });
}

async function planCreate(clients: Clients, input: CreateInput, { target }: ActionContext): Promise<PlanOf<CreateFacts>> {
  const like = await readNodegroup(clients, target, input.like);
  const existing = await findNodegroup(clients, target, input.name);
  const request = requestLike(like, input);
  const desiredSize = like.scalingConfig?.desiredSize ?? 0;
  const nodes = existing ? await nodesOfNodegroup(clients, target, input.name) : [];
  const outputs: JsonObject = { nodegroup: input.name };
  if (existing) outputs.nodes = nodes.map((node) => node.metadata?.name ?? '');
  return {
    ...emptyPlan({ nodegroup: input.name, request, desiredSize }),
    effects: existing ? [] : [createEffect(target.name, input, request, desiredSize)],
    blockers: existing ? differenceBlockers(existing, request, input.name) : [],
    warnings: existing ? [`Node group ${input.name} exists already and is used as it is.`] : [],
    notes: { like: input.like, desiredSize },
    outputs,
    estimateMs: existing ? 0 : estimateMs,
  };
}

function createEffect(cluster: string, input: CreateInput, request: JsonObject, desiredSize: number): Effect {
  const release = typeof request.releaseVersion === 'string' ? `, release ${request.releaseVersion}` : '';
  const change = `create ${desiredSize} nodes like ${input.like}${release}`;
  return { object: `Nodegroup/${cluster}/${input.name}`, change, after: request };
}

/** The settings of a node group as a request for another one. What EKS fills in by itself (the version) is left to it. */
function requestLike(like: Nodegroup, input: CreateInput): JsonObject {
  const custom = like.amiType === 'CUSTOM';
  const settings = {
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
    tags: like.tags,
    version: custom ? undefined : (input.version ?? like.version),
    releaseVersion: custom ? undefined : input.releaseVersion,
  };
  return JSON.parse(JSON.stringify(settings)) as JsonObject;
}

/** A group of that name which is not what the plan would make is somebody else's: it is not touched. */
function differenceBlockers(existing: Nodegroup, request: JsonObject, name: string): Blocker[] {
  const there = JSON.parse(JSON.stringify(existing)) as JsonObject;
  const compared = ['subnets', 'nodeRole', 'instanceTypes', 'labels', 'taints', 'releaseVersion', 'version'];
  const differing = compared.filter((key) => request[key] !== undefined && !sameJson(there[key], request[key]));
  if (differing.length === 0) return [];
  const reason = `A node group of this name exists already and differs in ${differing.join(', ')}.`;
  return [{ object: `Nodegroup/${name}`, reason, remedy: 'Choose another name for the new node group, or delete the old one.' }];
}

function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  return digestOf(a ?? null) === digestOf(b ?? null);
}

async function observeCreate(clients: Clients, plan: PlanOf<CreateFacts>, { target }: ActionContext): Promise<Observation> {
  const { nodegroup: name, desiredSize } = plan.facts;
  const nodegroup = await findNodegroup(clients, target, name);
  if (!nodegroup) return { state: 'todo' };
  if (nodegroup.status === 'CREATE_FAILED' || nodegroup.status === 'DEGRADED') {
    return {
      state: 'stuck',
      reason: `EKS could not create node group ${name} (${nodegroup.status}): ${healthProblem(nodegroup) ?? 'it gives no reason'}.`,
      remedy: 'Put right what EKS reports, delete the failed node group, then try again.',
    };
  }
  if (nodegroup.status === 'DELETING') {
    const remedy = 'Find out who deletes it; when it is gone, try again.';
    return { state: 'stuck', reason: `Node group ${name} is being deleted.`, remedy };
  }
  const nodes = await nodesOfNodegroup(clients, target, name);
  const wanted = nodegroup.scalingConfig?.desiredSize ?? desiredSize;
  const progress = readinessProgress(name, nodes, wanted);
  const ready = nodes.filter(nodeIsReady).length;
  if (nodegroup.status !== 'ACTIVE' || ready < wanted) return { state: 'moving', progress };
  return { state: 'done', outputs: { nodegroup: name, nodes: nodes.map((node) => node.metadata?.name ?? '') }, progress };
}

import {
  DescribeClusterCommand,
  DescribeUpdateCommand,
  ListNodegroupsCommand,
  ListUpdatesCommand,
  type Cluster,
  type Nodegroup,
} from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Target } from '../../domain/action.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { Blocker } from '../../domain/plan.ts';
import { skewProblem } from '../../domain/version.ts';
import { actions, type ActionInput } from '../../runbooks/actions.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { inParallel, nodeIsReady } from '../kubernetes/read.ts';
import { healthProblem, nodesOfNodegroup, readNodegroup } from './nodegroup.ts';

/** The newest updates of a cluster or node group that are looked at; EKS lists the newest first. */
const updatesLookedAt = 10;
const nodegroupsMax = 100;
const estimateMs = 2_000;

type PreflightInput = ActionInput<'eks.preflight'>;
type PreflightFacts = { version: string; nodegroup: string | null; nodegroupVersion: string | null };

/** `eks.preflight`: whether maintenance could succeed as things stand. It reads only; its blockers are its result. */
export function preflightAction(clients: Clients): AnyAction {
  return defineAction<PreflightInput, PreflightFacts>({
    declaration: actions['eks.preflight'],
    plan: (input, context) => planPreflight(clients, input, context),
    observe: async (plan, context) => {
      const again = await planPreflight(clients, { nodegroup: plan.facts.nodegroup ?? undefined }, context);
      const [blocker] = again.blockers;
      if (blocker) return { state: 'stuck', reason: `${blocker.object}: ${blocker.reason}`, remedy: blocker.remedy };
      return { state: 'done', outputs: again.outputs };
    },
    act: async () => undefined,
    undo: () => ({ noUndo: 'It changes nothing.' }),
  });
}

async function planPreflight(clients: Clients, input: PreflightInput, { target }: ActionContext): Promise<PlanOf<PreflightFacts>> {
  const cluster = await readCluster(clients, target);
  const blockers = [...clusterBlockers(cluster), ...(await updateBlockers(clients, target))];
  const version = cluster.version ?? '';
  const plan = emptyPlan<PreflightFacts>({ version, nodegroup: input.nodegroup ?? null, nodegroupVersion: null });
  let nodes: V1Node[] = [];
  if (input.nodegroup !== undefined) {
    const nodegroup = await readNodegroup(clients, target, input.nodegroup);
    nodes = await nodesOfNodegroup(clients, target, input.nodegroup);
    blockers.push(...nodegroupBlockers(nodegroup, nodes, version));
    plan.facts.nodegroupVersion = nodegroup.version ?? null;
    if (nodegroup.version) plan.outputs.nodegroupVersion = nodegroup.version;
  }
  const names = nodes.map((node) => node.metadata?.name ?? '');
  return { ...plan, blockers, notes: { nodes: names }, outputs: { ...plan.outputs, version, nodes: names }, estimateMs };
}

/** The cluster of a target. Throws `cluster-unknown`, `aws-…` errors. */
export async function readCluster(clients: Clients, target: Target): Promise<Cluster> {
  const { cluster } = await clients
    .eks(target.region)
    .send(new DescribeClusterCommand({ name: target.name }))
    .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeCluster', target)));
  if (!cluster) throw new HoldpointError('cluster-unknown', { cluster: target.name, region: target.region });
  return cluster;
}

function clusterBlockers(cluster: Cluster): Blocker[] {
  const object = `Cluster/${cluster.name ?? ''}`;
  const blockers: Blocker[] = [];
  if (cluster.status !== 'ACTIVE') {
    const remedy = 'Wait until it is ACTIVE, then plan again.';
    blockers.push({ object, reason: `Its status is ${cluster.status ?? 'unknown'}, not ACTIVE.`, remedy });
  }
  for (const issue of cluster.health?.issues ?? []) {
    const reason = `EKS reports ${issue.code ?? 'an issue'}: ${issue.message ?? 'without a message'}`;
    blockers.push({ object, reason, remedy: 'Put right what EKS reports, then plan again.' });
  }
  return blockers;
}

/** EKS takes one update at a time, of the cluster and of each node group. */
async function updateBlockers(clients: Clients, target: Target): Promise<Blocker[]> {
  const eks = clients.eks(target.region);
  const groups = await eks
    .send(new ListNodegroupsCommand({ clusterName: target.name, maxResults: nodegroupsMax }))
    .catch((error: unknown) => Promise.reject(awsError(error, 'ListNodegroups', target)));
  const owners = [undefined, ...(groups.nodegroups ?? [])];
  const found = await inParallel(owners, (nodegroupName) => updateInFlight(clients, target, nodegroupName));
  return found.flatMap((blocker) => blocker ?? []);
}

async function updateInFlight(clients: Clients, target: Target, nodegroupName: string | undefined): Promise<Blocker | undefined> {
  const eks = clients.eks(target.region);
  const owner = { name: target.name, nodegroupName };
  try {
    const { updateIds = [] } = await eks.send(new ListUpdatesCommand({ ...owner, maxResults: updatesLookedAt }));
    for (const updateId of updateIds) {
      const { update } = await eks.send(new DescribeUpdateCommand({ ...owner, updateId }));
      if (update?.status !== 'InProgress') continue;
      return {
        object: nodegroupName === undefined ? `Cluster/${target.name}` : `Nodegroup/${target.name}/${nodegroupName}`,
        reason: `The update ${updateId} (${update.type ?? 'of unknown type'}) is in progress.`,
        remedy: 'Wait until it has ended, then plan again.',
      };
    }
    return undefined;
  } catch (error) {
    throw awsError(error, 'DescribeUpdate', target);
  }
}

function nodegroupBlockers(nodegroup: Nodegroup, nodes: readonly V1Node[], version: string): Blocker[] {
  const object = `Nodegroup/${nodegroup.clusterName ?? ''}/${nodegroup.nodegroupName ?? ''}`;
  const blockers: Blocker[] = [];
  if (nodegroup.status !== 'ACTIVE') {
    const remedy = 'Wait until it is ACTIVE (or put right what made it fail), then plan again.';
    blockers.push({ object, reason: `Its status is ${nodegroup.status ?? 'unknown'}, not ACTIVE.`, remedy });
  }
  const unhealthy = healthProblem(nodegroup);
  if (unhealthy) blockers.push({ object, reason: `EKS reports ${unhealthy}`, remedy: 'Put right what EKS reports, then plan again.' });
  const groupSkew = skewProblem(nodegroup.version ?? '', version);
  if (groupSkew) blockers.push({ object, reason: `Version skew: ${groupSkew}.`, remedy: 'Bring the older side up first.' });
  for (const node of nodes) {
    const name = `Node/${node.metadata?.name ?? ''}`;
    const skew = skewProblem(node.status?.nodeInfo?.kubeletVersion ?? '', version);
    if (skew) blockers.push({ object: name, reason: `Version skew: ${skew}.`, remedy: 'Bring the older side up first.' });
    if (!nodeIsReady(node)) {
      blockers.push({ object: name, reason: 'It is not Ready.', remedy: 'Repair or remove the node first, then plan again.' });
    }
  }
  return blockers;
}

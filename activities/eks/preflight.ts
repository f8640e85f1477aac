import type { Cluster, Nodegroup } from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import type { Target } from '../../domain/target.ts';
import type { ActionContext, Observation, Progress } from '../../domain/action.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import type { Blocker, Risk } from '../../domain/plan/plan.ts';
import { skewProblem } from '../../domain/version/version.ts';
import { counted } from '../../domain/text.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { inParallel, nodeIsReady } from '../kubernetes/client/read.ts';
import { planChecks } from '../preflight/plan.ts';
import { clusterBlockers, listNodegroups, readCluster } from './cluster.ts';
import { findNodegroup, healthProblem, nodesOfNodegroup } from './nodegroup/nodegroup.ts';
import { readUpdates, updateInProgress } from './update/read-updates.ts';

const estimateMs = 2_000;

type PreflightInput = ActionInput<'eks.preflight'>;
type PreflightFacts = {
  version: string;
  nodegroup: string | null;
  /** Null where no node group is asked for, or there is none of that name. */
  nodegroupVersion: string | null;
  minFreeAddresses: number | null;
  /** Left out where it is not so. */
  acceptBroken?: true;
  /** What the checks were made for; left out where none were. */
  checks?: {
    toVersion: string;
    waive: { finding: string; reason: string; until: string }[];
    updatedAddons?: string[];
    updatedNodegroups?: { nodegroup: string; newNodegroup?: string }[];
  };
};

/** `eks.preflight`: whether maintenance could succeed as things are now. It reads only; its blockers are its result. */
export function preflightAction(clients: Clients): AnyAction {
  return defineAction<PreflightInput, PreflightFacts>({
    declaration: actions['eks.preflight'],
    plan: (input, context) => planPreflight(clients, input, context),
    observe: async (plan, context) => {
      const { nodegroup, minFreeAddresses, checks, acceptBroken = false } = plan.facts;
      const input = { nodegroup: nodegroup ?? undefined, minFreeAddresses: minFreeAddresses ?? undefined, acceptBroken, ...checks };
      const again = await planPreflight(clients, input, context);
      if (plan.facts.nodegroupVersion !== null && again.facts.nodegroupVersion === null) return goneSince(nodegroup ?? '');
      const [blocker] = again.blockers;
      if (blocker) return { state: 'stuck', reason: `${blocker.object}: ${blocker.reason}`, remedy: blocker.remedy };
      return { state: 'done', outputs: again.outputs, progress: preflightProgress(again.facts, again.details.nodes) };
    },
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

function goneSince(nodegroup: string): Observation {
  const reason = `Node group ${nodegroup} has been deleted since the plan was made.`;
  return { state: 'stuck', reason, remedy: 'Find out who deleted it; then abort the run and plan again.' };
}

function preflightProgress({ version, nodegroup, nodegroupVersion }: PreflightFacts, nodes: Json | undefined): Progress {
  const count = Array.isArray(nodes) ? nodes.length : 0;
  const group = nodegroupVersion === null ? '' : `, ${counted(count, 'node')} of ${nodegroup} Ready`;
  return { summary: `cluster ACTIVE at ${version}${group}`, done: count, total: count, unit: 'nodes', items: [] };
}

/** Throws `action-input-invalid` where a setting speaks of what is not looked at. */
function requireWhole({ waive = [], updatedAddons = [], updatedNodegroups, toVersion, minFreeAddresses, nodegroup }: PreflightInput): void {
  const refuse = (cause: string): never => {
    throw new HoldpointError('action-input-invalid', { action: 'eks.preflight', cause });
  };
  if (waive.length > 0 && toVersion === undefined) refuse('waive speaks of the checks before an upgrade, so it needs toVersion');
  if (updatedAddons.length > 0 && toVersion === undefined) refuse('updatedAddons speaks of an upgrade, so it needs toVersion');
  if (updatedNodegroups && toVersion === undefined) refuse('updatedNodegroups speaks of an upgrade, so it needs toVersion');
  if (minFreeAddresses !== undefined && nodegroup === undefined) {
    refuse('minFreeAddresses speaks of the subnets of a node group, so it needs nodegroup');
  }
}

async function planPreflight(clients: Clients, input: PreflightInput, context: ActionContext): Promise<PlanOf<PreflightFacts>> {
  requireWhole(input);
  const { target, expected } = context;
  const cluster = await readCluster(clients, target);
  const blockers = [...clusterBlockers(cluster), ...(await updateBlockers(clients, target, cluster))];
  const version = cluster.version ?? '';
  const plan = emptyPlan<PreflightFacts>({
    version,
    nodegroup: input.nodegroup ?? null,
    nodegroupVersion: null,
    minFreeAddresses: input.minFreeAddresses ?? null,
    ...(input.acceptBroken && { acceptBroken: true as const }),
  });
  let nodes: V1Node[] = [];
  const nodegroup = input.nodegroup === undefined ? undefined : await findNodegroup(clients, target, input.nodegroup);
  if (input.nodegroup !== undefined && !nodegroup) plan.notes.push(missingWarning(target.name, input.nodegroup));
  if (input.nodegroup !== undefined && nodegroup) {
    nodes = await nodesOfNodegroup(clients, target, input.nodegroup);
    blockers.push(...nodegroupBlockers(nodegroup, nodes, version));
    const broken = brokenBlockers(nodegroup, nodes);
    if (input.acceptBroken) plan.risks.push(...broken.map(({ object, reason }) => riskOf(object, reason)));
    else blockers.push(...broken);
    if (input.minFreeAddresses !== undefined) {
      blockers.push(...(await addressBlockers(clients, target, nodegroup, input.minFreeAddresses)));
    }
    plan.facts.nodegroupVersion = nodegroup.version ?? null;
    if (nodegroup.version) plan.outputs.nodegroupVersion = nodegroup.version;
  }
  if (input.toVersion !== undefined) {
    const { toVersion, waive = [], updatedAddons, updatedNodegroups } = input;
    plan.facts.checks = { toVersion, waive, ...(updatedAddons && { updatedAddons }), ...(updatedNodegroups && { updatedNodegroups }) };
    const checked = await planChecks(clients, target, { toVersion, waive, updatedAddons, updatedNodegroups, expected });
    // What is told above of the same object is told once.
    blockers.push(...checked.blockers.filter(({ object }) => !blockers.some((told) => told.object === object)));
    plan.risks.push(...checked.risks);
    plan.notes.push(...checked.notes);
  }
  const names = nodes.map((node) => node.metadata?.name ?? '');
  return { ...plan, blockers, details: { nodes: names }, outputs: { ...plan.outputs, version, nodes: names }, estimateMs };
}

/** What has done its work may have deleted the group: planned again, it must find that nothing is left to do. */
function missingWarning(cluster: string, nodegroup: string): string {
  return `The cluster ${cluster} has no node group ${nodegroup} (any more): nothing of it is checked, and no nodes are listed.`;
}

/** EKS takes one update at a time, of the cluster and of each node group; what is UPDATING says so in its status. */
async function updateBlockers(clients: Clients, target: Target, cluster: Cluster): Promise<Blocker[]> {
  const names = await listNodegroups(clients, target);
  const groups = await inParallel(names, (name) => findNodegroup(clients, target, name));
  const updating = groups.flatMap((group) => (group?.status === 'UPDATING' ? (group.nodegroupName ?? []) : []));
  const owners = [...(cluster.status === 'UPDATING' ? [undefined] : []), ...updating];
  return inParallel(owners, async (nodegroupName) => {
    const update = updateInProgress(await readUpdates(clients, target, { nodegroupName }));
    const which = update ? `The update ${update.id ?? ''} (${update.type ?? 'of unknown type'})` : 'An update';
    return {
      object: nodegroupName === undefined ? `Cluster/${target.name}` : `Nodegroup/${target.name}/${nodegroupName}`,
      reason: `${which} is in progress.`,
      remedy: 'Wait until it has ended, then plan again.',
    };
  });
}

/** Whether each subnet of the node group has room for new nodes and their pods. Asked only where a minimum is given. */
async function addressBlockers(clients: Clients, target: Target, nodegroup: Nodegroup, minFree: number): Promise<Blocker[]> {
  const ec2 = await clients.ec2(target.region);
  const { Subnets: subnets = [] } = await ec2
    .describeSubnets({ SubnetIds: nodegroup.subnets })
    .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeSubnets', target)));
  return subnets
    .filter(({ AvailableIpAddressCount: free = 0 }) => free < minFree)
    .map(({ SubnetId: id, AvailabilityZone: zone, AvailableIpAddressCount: free = 0 }) => ({
      object: `Subnet/${id ?? ''}`,
      reason: `It has ${free} free IP addresses in ${zone ?? 'its zone'}; at least ${minFree} are asked for.`,
      remedy: 'Free addresses or add a subnet to the node group, then plan again.',
    }));
}

function objectOf(nodegroup: Nodegroup): string {
  return `Nodegroup/${nodegroup.clusterName ?? ''}/${nodegroup.nodegroupName ?? ''}`;
}

/** What is wrong with a group, and may be why it is replaced. */
function brokenBlockers(nodegroup: Nodegroup, nodes: readonly V1Node[]): Blocker[] {
  const object = objectOf(nodegroup);
  const blockers: Blocker[] = [];
  if (nodegroup.status === 'DEGRADED') {
    const remedy = 'Put right what EKS reports, then plan again; or plan with `acceptBroken: true`, where it goes because of that.';
    blockers.push({ object, reason: 'Its status is DEGRADED, not ACTIVE.', remedy });
  }
  const unhealthy = healthProblem(nodegroup);
  if (unhealthy) blockers.push({ object, reason: `EKS reports ${unhealthy}.`, remedy: 'Put right what EKS reports, then plan again.' });
  const notReady = nodes.filter((node) => !nodeIsReady(node));
  return [
    ...blockers,
    ...notReady.map(({ metadata }) => ({
      object: `Node/${metadata?.name ?? ''}`,
      reason: 'It is not Ready.',
      remedy: 'Repair or remove the node first, then plan again.',
    })),
  ];
}

function riskOf(object: string, reason: string): Risk {
  const isNode = object.startsWith('Node/');
  const detail = isNode
    ? 'Nobody there can end its pods: a drain waits for them until a deadline, and deletes them by force only where the plan says so.'
    : undefined;
  const risk = reason.replace(/^It/, (word) => word.toLowerCase()).replace(/\.$/, '');
  return { object, risk, ...(detail !== undefined && { detail }) };
}

function nodegroupBlockers(nodegroup: Nodegroup, nodes: readonly V1Node[], version: string): Blocker[] {
  const object = objectOf(nodegroup);
  const blockers: Blocker[] = [];
  if (nodegroup.status !== 'ACTIVE' && nodegroup.status !== 'DEGRADED') {
    const remedy = 'Wait until it is ACTIVE (or put right what made it fail), then plan again.';
    blockers.push({ object, reason: `Its status is ${nodegroup.status ?? 'unknown'}, not ACTIVE.`, remedy });
  }
  const groupSkew = skewProblem(nodegroup.version ?? '', version);
  if (groupSkew) blockers.push({ object, reason: `Version skew: ${groupSkew}.`, remedy: 'Bring the older side up first.' });
  for (const node of nodes) {
    const name = `Node/${node.metadata?.name ?? ''}`;
    const skew = skewProblem(node.status?.nodeInfo?.kubeletVersion ?? '', version);
    if (skew) blockers.push({ object: name, reason: `Version skew: ${skew}.`, remedy: 'Bring the older side up first.' });
  }
  return blockers;
}

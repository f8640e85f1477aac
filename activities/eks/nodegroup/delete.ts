import { setTimeout as wait } from 'node:timers/promises';
import { DeleteNodegroupCommand, type Nodegroup } from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Observation, Progress, Target, Undo } from '../../../domain/action.ts';
import type { Blocker, Effect } from '../../../domain/plan/plan.ts';
import { hasEnded, podName, staysOnNode } from '../../../domain/drain/pod.ts';
import { expectedOfNodes } from '../../../domain/plan/expected.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction, type Following, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { undoCordons } from '../../kubernetes/cordon/cordon.ts';
import { readCluster } from '../../kubernetes/drain/cluster-state.ts';
import { observeDrain, planDrainOf, pushDrain } from '../../kubernetes/drain/drain.ts';
import type { DrainFacts } from '../../kubernetes/drain/facts.ts';
import { DrainSession } from '../../kubernetes/drain/session.ts';
import { podsOnNodes } from '../../kubernetes/client/read.ts';
import { findNodegroup, findPatiently, healthProblem, isMissing, nodesOfNodegroup, runTag } from './nodegroup.ts';

const estimateMs = 2 * 60_000;
const podsShownMax = 5;
/** Its nodes carry workload until they are drained, so they go one after another, and no pod that would be lost goes with them. */
const drainInput = { ...actions['kubernetes.drain'].input.parse({ nodes: [] }), alsoCordoned: true };
/** How often EKS is asked about the group while its nodes are being drained. */
const groupLookMs = 5_000;
/** EKS refuses to delete a group in the middle of these. */
const busyStatuses = new Set(['CREATING', 'UPDATING']);

type DeleteInput = ActionInput<'eks.deleteNodegroup'>;
type DeleteFacts = {
  nodegroup: string;
  exists: boolean;
  nodegroupArn: string | null;
  nodes: string[];
  /** What `kubernetes.drain` would rest on, where the nodes are to be drained first. */
  drain?: DrainFacts;
  /** Why the group is not deleted, although it is there. */
  kept?: string;
};

/** `eks.deleteNodegroup`: deletes a node group that carries no workload (any more); done when EKS no longer knows it. */
export function deleteNodegroupAction(clients: Clients): AnyAction {
  return defineAction<DeleteInput, DeleteFacts>({
    declaration: actions['eks.deleteNodegroup'],
    plan: (input, context) => planDelete(clients, input, context),
    observe: (plan, context) => observeDelete(clients, plan, context, drainBySingleLooks(clients, plan, context)),
    act: (plan, context) => pushDelete(clients, plan, context, drainBySingleLooks(clients, plan, context)),
    follow: async (plan, context) => new Deletion(clients, plan, context),
    undo: (plan, _context, seen) => undoDelete(plan, seen),
  });
}

async function planDelete(clients: Clients, input: DeleteInput, context: ActionContext): Promise<PlanOf<DeleteFacts>> {
  const { nodegroup: name, createdBy } = input;
  const { target } = context;
  // What this run has only just asked for must not be missed.
  const nodegroup = await (createdBy === undefined ? findNodegroup : findPatiently)(clients, target, name);
  const identity = { nodegroup: name, exists: nodegroup !== undefined, nodegroupArn: nodegroup?.nodegroupArn ?? null };
  const kept = nodegroup && keptReason(nodegroup, name, createdBy);
  if (kept !== undefined) return { ...emptyPlan({ ...identity, nodes: [], kept }), notes: [kept], outputs: { nodegroup: name } };
  const present = nodegroup ? await nodesOfNodegroup(clients, target, name) : [];
  const nodes = present.map(nameOf);
  const facts: DeleteFacts = { ...identity, nodes };
  const deletion = nodegroup ? deleteEffects(target.name, name, nodes) : [];
  const waiting = busyWarnings(nodegroup, name);
  if (nodegroup && input.drain) {
    const reading = await readCluster(() => clients.kubernetes(target), target.name);
    const drain = await planDrainOf(clients, reading, nodes, drainInput, context);
    return {
      ...drain,
      facts: { ...facts, drain: drain.facts },
      effects: [...drain.effects, ...deletion],
      notes: [...waiting, ...drain.notes],
      outputs: { nodegroup: name },
      expects: [{ change: 'nodes-removed', nodes }],
      estimateMs: drain.estimateMs + estimateMs,
    };
  }
  const { drained } = expectedOfNodes(context.expected ?? []);
  const left = await podsLeft(
    clients,
    target,
    nodes.filter((node) => !drained.has(node)),
  );
  return {
    ...emptyPlan(facts),
    effects: deletion,
    blockers: left.length > 0 ? [podsLeftBlocker(target.name, name, left)] : [],
    notes: waiting,
    details: { podsLeft: left.length },
    outputs: { nodegroup: name },
    expects: [{ change: 'nodes-removed', nodes }],
    estimateMs: nodegroup ? estimateMs : 0,
  };
}

/** Why a node group stays that is to be deleted only if a run has made it; undefined where it goes. */
function keptReason({ tags }: Nodegroup, name: string, createdBy: string | undefined): string | undefined {
  const maker = tags?.[runTag];
  if (createdBy === undefined || maker === createdBy) return undefined;
  const whose = maker === undefined ? `it carries no tag ${runTag}` : `run ${maker} has`;
  return `Node group ${name} stays as it is: run ${createdBy} has not made it, ${whose}.`;
}

function busyWarnings(nodegroup: Nodegroup | undefined, name: string): string[] {
  if (!busyStatuses.has(nodegroup?.status ?? '')) return [];
  return [`Node group ${name} is ${nodegroup?.status ?? ''}: EKS deletes it only after that, so that is waited for first.`];
}

function deleteEffects(cluster: string, name: string, nodes: readonly string[]): Effect[] {
  return [
    { object: `Nodegroup/${cluster}/${name}`, change: 'delete' },
    ...nodes.map((node) => ({ object: `Node/${node}`, change: 'terminate its instance' })),
  ];
}

function podsLeftBlocker(cluster: string, name: string, left: readonly string[]): Blocker {
  return {
    object: `Nodegroup/${cluster}/${name}`,
    reason: `${left.length} pods still run on its nodes: ${shortened(left)}.`,
    remedy: 'Drain the nodes first (kubernetes.drain), or find out who let new pods onto them.',
  };
}

function shortened(names: readonly string[]): string {
  return names.slice(0, podsShownMax).join(', ') + (names.length > podsShownMax ? ', …' : '');
}

async function podsLeft(clients: Clients, target: Target, nodes: readonly string[]): Promise<string[]> {
  if (nodes.length === 0) return [];
  const pods = await podsOnNodes(await clients.kubernetes(target), target.name, nodes);
  return pods.filter((pod) => !staysOnNode(pod) && !hasEnded(pod)).map(podName);
}

/** The drain of the nodes, for those who look at it and push it. */
type NodesDrain = Pick<Following, 'observe' | 'act'>;

/** Undefined where the plan has no drain. */
function drainBySingleLooks(clients: Clients, plan: PlanOf<DeleteFacts>, context: ActionContext): NodesDrain | undefined {
  const { drain } = plan.facts;
  if (!drain) return undefined;
  const drainPlan = drainPlanOf(plan, drain);
  return { observe: () => observeDrain(clients, drainPlan, context), act: () => pushDrain(clients, drainPlan, context) };
}

/** A deletion at work: the drain before it is followed by watches; EKS, which tells of nothing by itself, is asked now and then. */
class Deletion implements Following {
  private readonly clients: Clients;
  private readonly plan: PlanOf<DeleteFacts>;
  private readonly context: ActionContext;
  private readonly drain: NodesDrain | undefined;
  /** Whether the deletion may have been asked for. */
  private acted: boolean;
  private session: DrainSession | undefined;
  private isDraining = false;
  private groupSeenAtMs = 0;

  constructor(clients: Clients, plan: PlanOf<DeleteFacts>, context: ActionContext) {
    this.clients = clients;
    this.plan = plan;
    this.context = context;
    this.acted = context.acted;
    const { drain } = plan.facts;
    if (drain) this.drain = { observe: () => this.observeDrain(drain), act: async () => this.session?.act() };
  }

  async observe(): Promise<Observation> {
    if (this.isDraining && performance.now() - this.groupSeenAtMs < groupLookMs) {
      const seen = await this.drain?.observe();
      if (seen && seen.state !== 'done') return { ...seen, untouched: true };
    }
    this.isDraining = false;
    this.groupSeenAtMs = performance.now();
    const seen = await observeDelete(this.clients, this.plan, this.now(), this.drain);
    // Just before the deletion it is looked once more.
    if (!this.isDraining && seen.state !== 'todo') await this.stop();
    return seen;
  }

  async act(): Promise<void> {
    if (this.isDraining) {
      await this.drain?.act();
      return;
    }
    await pushDelete(this.clients, this.plan, this.now(), this.drain);
    this.acted = true;
  }

  async changed(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.isDraining) await this.session?.changed(timeoutMs, signal);
    else await wait(timeoutMs, undefined, { signal }).catch(() => undefined);
  }

  async stop(): Promise<void> {
    await this.session?.stop();
    this.session = undefined;
  }

  private async observeDrain(facts: DrainFacts): Promise<Observation> {
    this.session ??= await DrainSession.open(this.clients, drainPlanOf(this.plan, facts), this.context, true);
    const seen = await this.session.observe();
    this.isDraining = seen.state !== 'done';
    return seen;
  }

  private now(): ActionContext {
    return { ...this.context, acted: this.acted };
  }
}

async function observeDelete(
  clients: Clients,
  plan: PlanOf<DeleteFacts>,
  context: ActionContext,
  drain: NodesDrain | undefined,
): Promise<Observation> {
  const { nodegroup: name, nodegroupArn, nodes: planned, kept } = plan.facts;
  const { target, acted } = context;
  const outputs = { nodegroup: name };
  if (kept !== undefined) return { state: 'done', outputs, progress: progressOf(kept, plan, []) };
  const nodegroup = await findNodegroup(clients, target, name);
  // Another group that has taken the name since is not the one that was signed away.
  if (!nodegroup || nodegroup.nodegroupArn !== nodegroupArn) {
    return { state: 'done', outputs, progress: progressOf(`${name} and its ${planned.length} nodes are gone`, plan, []) };
  }
  const nodes = await nodesOfNodegroup(clients, target, name);
  const total = Math.max(planned.length, nodes.length);
  const progress = progressOf(`${nodes.length} of ${total} nodes of ${name} left`, plan, nodes);
  const { status = '' } = nodegroup;
  if (status === 'DELETING') return { state: 'moving', progress };
  // What EKS could not delete has been begun, by whomever.
  const untouched = status !== 'DELETE_FAILED';
  if (busyStatuses.has(status)) {
    return { state: 'moving', progress: { ...progress, summary: `waiting until ${name} is no longer ${status}` }, untouched };
  }
  const emptying = await observeEmptying(clients, plan, nodes, context.target, drain);
  if (emptying) return { progress, ...emptying, untouched };
  if (status === 'DELETE_FAILED' && acted) {
    const reason = `EKS could not delete node group ${name}: ${healthProblem(nodegroup) ?? 'it gives no reason'}.`;
    return { state: 'stuck', reason, remedy: 'Put right what EKS reports, then try again.' };
  }
  return { state: 'todo', progress, untouched };
}

function progressOf(summary: string, { facts: { nodes: planned } }: PlanOf<DeleteFacts>, left: readonly V1Node[]): Progress {
  const names = left.map(nameOf);
  const total = Math.max(planned.length, names.length);
  const items = planned.map((name) => {
    const there = names.includes(name);
    return { name, state: there ? ('moving' as const) : ('done' as const), done: there ? 0 : 1, total: 1 };
  });
  return { summary, done: total - names.length, total, unit: 'nodes', items };
}

/** How far the nodes are from carrying no workload; undefined where they carry none, so that the group can go. */
async function observeEmptying(
  clients: Clients,
  plan: PlanOf<DeleteFacts>,
  nodes: readonly V1Node[],
  target: Target,
  drain: NodesDrain | undefined,
): Promise<Exclude<Observation, { state: 'done' }> | undefined> {
  const { nodegroup: name, drain: { nodes: planned } = { nodes: [] } } = plan.facts;
  if (!drain) {
    const left = await podsLeft(clients, target, nodes.map(nameOf));
    if (left.length === 0) return undefined;
    const { reason, remedy } = podsLeftBlocker(target.name, name, left);
    return { state: 'stuck', reason, remedy };
  }
  const joined = nodes.filter(({ metadata }) => !planned.some(({ uid }) => uid === metadata?.uid));
  const strange = await podsLeft(clients, target, joined.map(nameOf));
  if (strange.length > 0) {
    const reason = `${strange.length} pods run on nodes of ${name} that have joined it since the plan was made: ${shortened(strange)}.`;
    const remedy = 'Keep new nodes from joining the group (its autoscaler), drain those that have, then try again.';
    return { state: 'stuck', reason, remedy };
  }
  const seen = await drain.observe();
  return seen.state === 'done' ? undefined : seen;
}

/** The part of the plan that is a drain, as `kubernetes.drain` would have made it. */
function drainPlanOf(plan: PlanOf<DeleteFacts>, facts: DrainFacts): PlanOf<DrainFacts> {
  return { ...emptyPlan(facts), details: plan.details };
}

async function pushDelete(
  clients: Clients,
  plan: PlanOf<DeleteFacts>,
  { target }: ActionContext,
  drain: NodesDrain | undefined,
): Promise<void> {
  const { nodegroup: name, kept } = plan.facts;
  if (kept !== undefined) return;
  if (drain) {
    const emptying = await observeEmptying(clients, plan, await nodesOfNodegroup(clients, target, name), target, drain);
    if (emptying?.state === 'todo') await drain.act();
    if (emptying) return;
  }
  await clients
    .eks(target.region)
    .send(new DeleteNodegroupCommand({ clusterName: target.name, nodegroupName: name }))
    .catch((error: unknown) => {
      const known = awsError(error, `DeleteNodegroup ${name}`, target);
      // It is gone: an earlier request whose answer was lost has done it, or somebody else.
      if (isMissing(error, known)) return;
      throw known;
    });
}

/** Before its deletion has begun, a group can be kept, and the pods that it is rid of are at home elsewhere. */
function undoDelete({ facts, effects }: PlanOf<DeleteFacts>, seen?: Observation): Undo {
  if (!seen || seen.state === 'done' || !seen.untouched) {
    return { noUndo: `Node group ${facts.nodegroup} is deleted: it can be created anew, but its nodes do not come back.` };
  }
  return facts.drain ? undoCordons(effects) : { nothing: `The deletion of node group ${facts.nodegroup} has not been begun.` };
}

function nameOf({ metadata }: V1Node): string {
  return metadata?.name ?? '';
}

import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Observation, Undo } from '../../domain/action.ts';
import { activeInstances, goneSince, groupObject, shapeBlockers, type ScalingGroup } from '../../domain/autoscaling/group.ts';
import { expectedOfNodes, expectedVersion, type ExpectedChange, type ExpectedNode } from '../../domain/plan/expected.ts';
import type { Blocker } from '../../domain/plan/plan.ts';
import { compareText } from '../../domain/text.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { arrivalProgress, newcomersOf, shortage, type Newcomers } from './capacity.ts';
import { findGroup, nodesByInstance, readGroup, versionNumber } from './read.ts';

/** An instance takes a minute or two until its node is Ready. */
const estimateMs = 2 * 60_000;
const hostnameLabel = 'kubernetes.io/hostname';
const zoneLabel = 'topology.kubernetes.io/zone';
/** Taints that tell of the state of a node, and not of what it is for. */
const taintOfState = /^node\.(kubernetes\.io|cloudprovider\.kubernetes\.io)\//;

type Input = ActionInput<'autoscaling.scaleUp'>;
type Facts = {
  group: string;
  arn: string;
  from: number;
  to: number;
  /** The version of the launch template that new instances must have. */
  version: string;
  /** Ids of the instances that there were. */
  present: string[];
};

/** `autoscaling.scaleUp`: brings instances up to a size, which is asked for as a number, so that it may be asked for again. */
export function scaleUpAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['autoscaling.scaleUp'],
    plan: (input, context) => planGrowth(clients, input, context),
    observe: ({ facts }, context) => observeGrowth(clients, facts, context),
    act: async ({ facts }, { target }) => {
      const group = await findGroup(clients, target, facts.group);
      if (group?.arn !== facts.arn || group.desiredSize !== facts.from) return;
      const { changes } = await clients.autoScaling(target.region);
      await changes
        .updateAutoScalingGroup({ AutoScalingGroupName: facts.group, DesiredCapacity: facts.to })
        .catch((error: unknown) => Promise.reject(awsError(error, `UpdateAutoScalingGroup of ${facts.group}`, target)));
    },
    undo: ({ facts }, context) => undoGrowth(clients, facts, context),
  });
}

async function planGrowth(
  clients: Clients,
  { group: name, to: size, beside }: Input,
  { target, expected = [] }: ActionContext,
): Promise<PlanOf<Facts>> {
  const group = await readGroup(clients, target, name);
  const object = groupObject(name);
  const named = expectedVersion(expected, object) ?? group.template?.version ?? '';
  const version = group.template ? ((await versionNumber(clients, target, group.template.id, named)) ?? named) : '';
  const nodes = await nodesByInstance(clients, target);
  const isNeeded = beside === undefined || [...nodes.values()].some(({ metadata }) => beside.includes(metadata?.name ?? ''));
  const leaving = expectedOfNodes(expected).removed;
  const staying = activeInstances(group).filter(({ id }) => !leaving.has(nodes.get(id)?.metadata?.name ?? ''));
  const sizeBefore = sizeByThen(group, staying.length, expected);
  const to = isNeeded ? size : Math.min(sizeBefore, size);
  const from = Math.min(sizeBefore, to);
  const facts: Facts = { group: name, arn: group.arn, from, to, version, present: staying.map(({ id }) => id).sort(compareText) };
  const plan = { ...emptyPlan(facts), blockers: shapeBlockers(group), outputs: { group: name, nodes: [] } };
  if (!isNeeded) return { ...plan, notes: ['None of the nodes is there any more beside which new ones were to come.'] };
  if (sizeBefore > to) return { ...plan, blockers: [...plan.blockers, largerBlocker(group, to)] };
  const isHeld = expected.some((each) => each.change === 'group-held' && each.object === object);
  if (to > group.maxSize && !isHeld) return { ...plan, blockers: [...plan.blockers, tooSmallBlocker(group, to)] };
  if (from === to) return { ...plan, notes: [`${name} is to have ${to} instances already.`] };
  const models = staying.flatMap(({ id }) => nodes.get(id) ?? []);
  return {
    ...plan,
    effects: [{ object, change: `start ${to - from} instances of version ${version}`, before: from, after: to }],
    expects: nodesComing(name, models, to - from),
    estimateMs,
    undoEstimateMs: estimateMs,
  };
}

/** The size of a group once earlier steps have started and ended what they are to. */
function sizeByThen(group: ScalingGroup, staying: number, expected: readonly ExpectedChange[]): number {
  const coming = expected.flatMap((each) => (each.change === 'nodes-added' && each.group === group.name ? each.nodes : []));
  const ending = activeInstances(group).length - staying;
  return group.desiredSize - ending + coming.reduce((sum, { count }) => sum + count, 0);
}

function largerBlocker({ name, desiredSize }: ScalingGroup, to: number): Blocker {
  const reason = `It is to have ${desiredSize} instances already, more than ${to}.`;
  return { object: groupObject(name), reason, remedy: 'Find out who has scaled it up, then plan again.' };
}

function tooSmallBlocker({ name, maxSize }: ScalingGroup, to: number): Blocker {
  const reason = `Its largest size is ${maxSize}, and it is to have ${to} instances.`;
  return { object: groupObject(name), reason, remedy: 'Raise its largest size, or have autoscaling.hold do it, then plan again.' };
}

/** Nodes like the present ones of the group, zone by zone; nothing is known of those to come where there are none. */
function nodesComing(group: string, models: readonly V1Node[], count: number): ExpectedChange[] {
  const byZone = new Map<string, ExpectedNode>();
  for (let index = 0; index < count; index += 1) {
    const { metadata, spec, status } = models[index % models.length] ?? {};
    if (!metadata) return [];
    const labels: Record<string, string> = { ...metadata.labels };
    delete labels[hostnameLabel];
    const zone = labels[zoneLabel] ?? '';
    const known = byZone.get(zone);
    const taints = (spec?.taints ?? []).filter(({ key }) => !taintOfState.test(key));
    if (known) known.count += 1;
    else byZone.set(zone, { name: `${group} in ${zone}`, count: 1, labels, taints, allocatable: status?.allocatable ?? {} });
  }
  return [{ change: 'nodes-added', group, nodes: [...byZone.values()] }];
}

async function observeGrowth(clients: Clients, facts: Facts, context: ActionContext): Promise<Observation> {
  const { group: name, from, to, version, present } = facts;
  const group = await findGroup(clients, context.target, name);
  if (group?.arn !== facts.arn) return goneSince(name);
  if (group.desiredSize < to) {
    if (group.desiredSize === from) return { state: 'todo', untouched: true };
    const reason = `${name} is to have ${group.desiredSize} instances; this step was to bring it from ${from} to ${to}.`;
    return { state: 'stuck', reason, remedy: `Find out who has scaled it; set its size to ${from} or ${to}, then try again.` };
  }
  const newcomers = await newcomersOf(clients, context.target, group, present);
  const progress = arrivalProgress(group, newcomers, to);
  const other = newcomers.instances.find(({ instance }) => instance.version !== undefined && instance.version !== version);
  if (other) {
    const { id, version: found = '' } = other.instance;
    const reason = `Instance ${id} of ${name} has come with version ${found}; ${version} was planned.`;
    return { state: 'stuck', reason, remedy: 'Find out who has changed the launch template; undo the run, or abort it.', progress };
  }
  if (newcomers.active >= to && newcomers.instances.every(({ isReady }) => isReady)) {
    return { state: 'done', outputs: { group: name, nodes: namesOf(newcomers) }, progress };
  }
  const lacking = newcomers.active < to ? await shortage(clients, group, context, progress) : undefined;
  return lacking ?? { state: 'moving', progress };
}

function namesOf({ instances }: Newcomers): string[] {
  return instances.flatMap(({ node }) => node?.metadata?.name ?? []).sort(compareText);
}

/** As many instances go as it has grown by: those that have come last, as earlier batches may have brought others that stay. */
async function undoGrowth(clients: Clients, { group: name, arn, from, to, present }: Facts, { target }: ActionContext): Promise<Undo> {
  const group = await findGroup(clients, target, name);
  if (group?.arn !== arn) return { nothing: `The Auto Scaling group ${name} is gone, or another one has its name.` };
  const grown = Math.min(group.desiredSize, to) - from;
  if (grown <= 0) return { nothing: `${name} is to have ${group.desiredSize} instances, no more than before.` };
  const newcomers = await newcomersOf(clients, target, group, present);
  const missing = Math.max(0, group.desiredSize - newcomers.active);
  const going = newcomers.instances
    .toSorted((one, other) => compareText(ageOf(other.node), ageOf(one.node)))
    .slice(0, Math.max(0, grown - missing));
  const nodes = going.flatMap(({ node }) => node?.metadata?.name ?? []);
  const instances = going.map(({ instance }) => instance.id);
  return [
    ...(nodes.length > 0 ? [{ uses: 'kubernetes.drain', with: { nodes, alsoCordoned: true } }] : []),
    { uses: 'autoscaling.terminate', with: { group: name, instances, sizeAfter: from } },
  ];
}

/** Instances without a node have come last. */
function ageOf(node: V1Node | undefined): string {
  const at = node?.metadata?.creationTimestamp;
  return at ? new Date(at).toISOString() : '~';
}

import type { ActionContext, Observation, Progress, ProgressItem, Undo } from '../../domain/action.ts';
import { activeInstances, groupObject, shapeBlockers, type ScalingGroup } from '../../domain/autoscaling/group.ts';
import { expectedOfNodes } from '../../domain/plan/expected.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { podsLeft } from './pods-left.ts';
import { findGroup, nodesByInstance, readGroup } from './read.ts';

const estimateMs = 60_000;

type Input = ActionInput<'autoscaling.terminate'>;
type Facts = {
  group: string;
  arn: string;
  /** `node` is empty for an instance that has not joined. */
  instances: { id: string; node: string }[];
  sizeAfter: number | null;
};

/**
 * `autoscaling.terminate`: ends instances together with their places in the group. An instance that is ending already is not asked for
 * again: Auto Scaling would make the group smaller once more.
 */
export function terminateAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['autoscaling.terminate'],
    plan: (input, context) => planEnd(clients, input, context),
    observe: ({ facts }, context) => observeEnd(clients, facts, context),
    act: ({ facts }, context) => end(clients, facts, context),
    undo: async ({ facts: { group, instances } }, _context, seen): Promise<Undo> => {
      if (instances.length === 0) return { nothing: `It ends no instance of ${group}.` };
      if (isUntouched(seen)) return { nothing: `No instance of ${group} has been ended.` };
      return { noUndo: `Instances of ${group} are ended: others can be started, but these do not come back.` };
    },
  });
}

async function planEnd(clients: Clients, input: Input, { target, expected = [] }: ActionContext): Promise<PlanOf<Facts>> {
  const { group: name, nodes: named = [], instances: wanted = [], sizeAfter = null } = input;
  const group = await readGroup(clients, target, name);
  const nodes = await nodesByInstance(clients, target);
  const isWanted = (id: string): boolean => wanted.includes(id) || named.includes(nodes.get(id)?.metadata?.name ?? '');
  const going = activeInstances(group).filter(({ id }) => isWanted(id));
  const instances = going.map(({ id }) => ({ id, node: nodes.get(id)?.metadata?.name ?? '' }));
  const facts: Facts = { group: name, arn: group.arn, instances, sizeAfter };
  const { drained } = expectedOfNodes(expected);
  const carrying = instances.map(({ node }) => node).filter((node) => node !== '' && !drained.has(node));
  const left = await podsLeft(clients, target, carrying);
  const givenUp = sizeAfter !== null && group.desiredSize - instances.length > sizeAfter;
  return {
    ...emptyPlan(facts),
    effects: [
      ...instances.map(({ id, node }) => {
        return { object: node === '' ? `Instance/${id}` : `Node/${node}`, change: `terminate its instance, and its place in ${name}` };
      }),
      ...(givenUp ? [{ object: groupObject(name), change: 'wait for no further instances', after: sizeAfter }] : []),
    ],
    blockers: [...shapeBlockers(group), ...(left ? [{ object: groupObject(name), ...left }] : [])],
    outputs: { group: name },
    expects: [{ change: 'nodes-removed', nodes: instances.flatMap(({ node }) => (node === '' ? [] : [node])) }],
    estimateMs: instances.length === 0 ? 0 : estimateMs,
  };
}

async function observeEnd(clients: Clients, facts: Facts, { target }: ActionContext): Promise<Observation> {
  const { group: name, instances, sizeAfter } = facts;
  const group = await findGroup(clients, target, name);
  // Whoever deletes a group ends its instances.
  if (!group || group.arn !== facts.arn) return { state: 'done', outputs: { group: name } };
  const progress = progressOf(facts, group);
  const todo = stillActive(facts, group);
  if (todo.length > 0) {
    const untouched = todo.length === instances.length;
    const left = await podsLeft(
      clients,
      target,
      todo.map(({ node }) => node).filter((node) => node !== ''),
    );
    if (left) return { state: 'stuck', ...left, progress, untouched };
    return { state: 'todo', progress, untouched };
  }
  if (group.instances.some(({ id }) => instances.some((one) => one.id === id))) return { state: 'moving', progress };
  if (sizeAfter !== null && sizeWithoutWaiting(group, sizeAfter) !== undefined) return { state: 'todo', progress };
  return { state: 'done', outputs: { group: name }, progress };
}

function stillActive({ instances }: Facts, group: ScalingGroup): Facts['instances'] {
  const active = new Set(activeInstances(group).map(({ id }) => id));
  return instances.filter(({ id }) => active.has(id));
}

/** The size that gives up what the group still waits for, and no instance that there is; undefined where it waits for nothing. */
function sizeWithoutWaiting(group: ScalingGroup, sizeAfter: number): number | undefined {
  const size = Math.max(sizeAfter, activeInstances(group).length);
  return size < group.desiredSize ? size : undefined;
}

function progressOf({ instances }: Facts, group: ScalingGroup): Progress {
  const items = instances.map(({ id, node }): ProgressItem => {
    const state = group.instances.find((one) => one.id === id)?.state;
    const done = state === undefined ? 1 : 0;
    return {
      name: node === '' ? id : node,
      state: done === 1 ? 'done' : 'moving',
      done,
      total: 1,
      ...(state !== undefined && { detail: state }),
    };
  });
  const done = items.filter(({ state }) => state === 'done').length;
  return { summary: `${done} of ${items.length} instances of ${group.name} ended`, done, total: items.length, unit: 'instances', items };
}

async function end(clients: Clients, facts: Facts, { target, signal }: ActionContext): Promise<void> {
  const { group: name, sizeAfter } = facts;
  const group = await findGroup(clients, target, name);
  if (!group || group.arn !== facts.arn) return;
  const { changes } = await clients.autoScaling(target.region);
  const todo = stillActive(facts, group);
  for (const { id } of todo) {
    signal.throwIfAborted();
    await changes
      .terminateInstanceInAutoScalingGroup({ InstanceId: id, ShouldDecrementDesiredCapacity: true })
      .catch((error: unknown) => Promise.reject(awsError(error, `TerminateInstanceInAutoScalingGroup of ${id}`, target)));
  }
  const size = todo.length === 0 && sizeAfter !== null ? sizeWithoutWaiting(group, sizeAfter) : undefined;
  if (size === undefined) return;
  await changes
    .updateAutoScalingGroup({ AutoScalingGroupName: name, DesiredCapacity: size })
    .catch((error: unknown) => Promise.reject(awsError(error, `UpdateAutoScalingGroup of ${name}`, target)));
}

import type { ActionContext, Observation, Undo } from '../../domain/action.ts';
import { activeInstances, goneSince } from '../../domain/autoscaling/group.ts';
import { expectedOfNodes } from '../../domain/plan/expected.ts';
import { compareText } from '../../domain/text.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { readNode } from '../kubernetes/client/read.ts';
import { arrivalProgress, newcomersOf, shortage } from './capacity.ts';
import { podsLeft } from './pods-left.ts';
import { findGroup, groupOfInstance, instanceOf, readGroup } from './read.ts';

/** An instance takes a minute to end, and another one two until its node is Ready. */
const estimateMs = 3 * 60_000;

type Input = ActionInput<'autoscaling.replace'>;
type Facts = {
  node: string;
  /** Empty where the node is gone. */
  instance: string;
  group: string;
  present: string[];
  podsLeft: 'refuse' | 'accept';
};

/** `autoscaling.replace`: ends the instance of one node; its group, whose size stays, brings another one. */
export function replaceAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['autoscaling.replace'],
    plan: (input, context) => planReplacement(clients, input, context),
    observe: ({ facts }, context) => observeReplacement(clients, facts, context),
    act: async ({ facts: { group: name, instance } }, { target }) => {
      const group = await findGroup(clients, target, name);
      if (!group || !activeInstances(group).some(({ id }) => id === instance)) return;
      const { changes } = await clients.autoScaling(target.region);
      await changes
        .terminateInstanceInAutoScalingGroup({ InstanceId: instance, ShouldDecrementDesiredCapacity: false })
        .catch((error: unknown) => Promise.reject(awsError(error, `TerminateInstanceInAutoScalingGroup of ${instance}`, target)));
    },
    undo: async ({ facts: { node, instance } }, _context, seen): Promise<Undo> => {
      if (instance === '') return { nothing: `${node} is gone already.` };
      if (isUntouched(seen)) return { nothing: `The instance of ${node} has not been ended.` };
      return { noUndo: `The instance of ${node} is ended: it does not come back.` };
    },
  });
}

async function planReplacement(clients: Clients, input: Input, { target, expected = [] }: ActionContext): Promise<PlanOf<Facts>> {
  const node = await readNode(await clients.kubernetes(target), target.name, input.node);
  const object = `Node/${input.node}`;
  const facts: Facts = { node: input.node, instance: '', group: '', present: [], podsLeft: input.podsLeft };
  if (!node) return { ...emptyPlan(facts), notes: [`${input.node} is no node of the cluster (any more).`], outputs: { group: '' } };
  const instance = instanceOf(node) ?? '';
  const name = instance === '' ? undefined : await groupOfInstance(clients, target, instance);
  if (name === undefined) {
    const reason = 'Its instance belongs to no Auto Scaling group, so that nothing would bring another one.';
    return {
      ...emptyPlan(facts),
      blockers: [{ object, reason, remedy: 'Replace it with the tool that has made it.' }],
      outputs: { group: '' },
    };
  }
  const group = await readGroup(clients, target, name);
  const drained = expectedOfNodes(expected).drained.has(input.node);
  const left = drained ? undefined : await podsLeft(clients, target, [input.node]);
  const found: Facts = {
    ...facts,
    instance,
    group: name,
    present: activeInstances(group)
      .map(({ id }) => id)
      .sort(compareText),
  };
  return {
    ...emptyPlan(found),
    effects: [{ object, change: `terminate its instance ${instance}, which ${name} replaces` }],
    risks:
      left && input.podsLeft === 'accept' ? [{ object, risk: 'pods that still run on it are killed with it', detail: left.reason }] : [],
    blockers: [
      ...(left && input.podsLeft === 'refuse' ? [{ object, ...left }] : []),
      ...(group.suspended.includes('Launch')
        ? [{ object, reason: `${name} starts no instances: its process Launch is suspended.`, remedy: 'Resume it, then plan again.' }]
        : []),
    ],
    outputs: { group: name },
    expects: [{ change: 'nodes-removed', nodes: [input.node] }],
    estimateMs,
  };
}

async function observeReplacement(clients: Clients, facts: Facts, context: ActionContext): Promise<Observation> {
  const { group: name, instance, present, node } = facts;
  if (instance === '') return { state: 'done', outputs: { group: '' } };
  const { target } = context;
  const group = await findGroup(clients, target, name);
  if (!group) return goneSince(name);
  if (activeInstances(group).some(({ id }) => id === instance)) {
    const left = facts.podsLeft === 'accept' ? undefined : await podsLeft(clients, target, [node]);
    return left ? { state: 'stuck', ...left, untouched: true } : { state: 'todo', untouched: true };
  }
  const newcomers = await newcomersOf(clients, target, group, present);
  const progress = arrivalProgress(group, newcomers, group.desiredSize);
  const isGone = !group.instances.some(({ id }) => id === instance);
  if (isGone && newcomers.active >= group.desiredSize && newcomers.instances.every(({ isReady }) => isReady)) {
    return { state: 'done', outputs: { group: name }, progress };
  }
  const lacking = newcomers.active < group.desiredSize ? await shortage(clients, group, context, progress) : undefined;
  return lacking ?? { state: 'moving', progress };
}

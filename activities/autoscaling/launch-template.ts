import type { ActionContext, Observation, Undo } from '../../domain/action.ts';
import { groupObject, goneSince, shapeBlockers } from '../../domain/autoscaling/group.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { findGroup, readGroup, versionNumber } from './read.ts';

const estimateMs = 1_000;

type Input = ActionInput<'autoscaling.setLaunchTemplate'>;
type Facts = { group: string; arn: string; template: string; from: string; to: string };

/** `autoscaling.setLaunchTemplate`: the version that a group starts its next instances with. Those that run stay as they are. */
export function setLaunchTemplateAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['autoscaling.setLaunchTemplate'],
    plan: (input, context) => planChange(clients, input, context),
    observe: ({ facts }, context) => observeChange(clients, facts, context),
    act: async ({ facts }, { target }) => {
      const { changes } = await clients.autoScaling(target.region);
      const LaunchTemplate = { LaunchTemplateId: facts.template, Version: facts.to };
      await changes
        .updateAutoScalingGroup({ AutoScalingGroupName: facts.group, LaunchTemplate })
        .catch((error: unknown) => Promise.reject(awsError(error, `UpdateAutoScalingGroup of ${facts.group}`, target)));
    },
    undo: async ({ facts: { group, from, to } }, _context, seen): Promise<Undo> => {
      if (from === to) return { nothing: `${group} named the version ${to} before.` };
      if (isUntouched(seen)) return { nothing: `The launch template of ${group} has not been changed.` };
      return [{ uses: 'autoscaling.setLaunchTemplate', with: { group, version: from } }];
    },
  });
}

async function planChange(clients: Clients, { group: name, version: to }: Input, { target }: ActionContext): Promise<PlanOf<Facts>> {
  const group = await readGroup(clients, target, name);
  const object = groupObject(name);
  const { id = '', version: from = '' } = group.template ?? {};
  const facts: Facts = { group: name, arn: group.arn, template: id, from, to };
  const number = group.template && (await versionNumber(clients, target, id, to));
  const plan = { ...emptyPlan(facts), outputs: { group: name, version: to } };
  const blockers = shapeBlockers(group);
  if (group.template && number === undefined) {
    blockers.push({ object, reason: `Its launch template ${id} has no version ${to}.`, remedy: 'Check the version, then plan again.' });
  }
  if (group.mixed && from !== to) {
    const reason = 'Its policy of mixed instances names the launch template.';
    blockers.push({ object, reason, remedy: 'Change the version there by hand, then plan without this step.' });
  }
  if (from === to) return { ...plan, blockers, notes: [`${name} names the version ${to} of its launch template already.`] };
  const change = `start its next instances with another version of launch template ${id}`;
  return {
    ...plan,
    blockers,
    effects: [{ object, change, before: from, after: number === to ? to : `${to} (${number ?? 'none'})` }],
    expects: [{ change: 'version', object, version: to }],
    estimateMs,
    undoEstimateMs: estimateMs,
  };
}

async function observeChange(clients: Clients, facts: Facts, { target }: ActionContext): Promise<Observation> {
  const group = await findGroup(clients, target, facts.group);
  if (group?.arn !== facts.arn) return goneSince(facts.group);
  const version = group.template?.version;
  if (group.template?.id === facts.template && version === facts.to) {
    return { state: 'done', outputs: { group: facts.group, version: facts.to } };
  }
  if (group.template?.id === facts.template && version === facts.from) return { state: 'todo', untouched: true };
  const { id = 'none', version: other = 'none' } = group.template ?? {};
  const reason = `Somebody else has given ${facts.group} the version ${other} of launch template ${id}.`;
  return { state: 'stuck', reason, remedy: `Give it ${facts.from} or ${facts.to} of ${facts.template} again, then try again.` };
}

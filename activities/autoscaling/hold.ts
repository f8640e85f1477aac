import type { ActionContext, Observation, Undo } from '../../domain/action.ts';
import { goneSince, groupObject, shapeBlockers, type ScalingGroup } from '../../domain/autoscaling/group.ts';
import {
  holdOf,
  holdTag,
  holdText,
  isHeld,
  processesHeld,
  tagCharactersMax,
  whatIsGivenBack,
  type Hold,
} from '../../domain/autoscaling/hold.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { Effect } from '../../domain/plan/plan.ts';
import type { Target } from '../../domain/target.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, stuckError, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { findGroup, groupsWithTag, readGroup } from './read.ts';

const estimateMs = 2_000;
/** Stands before the name wherever owner annotations are told; no node can be called so. */
const objectPrefix = 'AutoScalingGroup/';

type HoldFacts = { group: string; arn: string; processes: string[]; maxSizeBefore: number; maxSize: number };

/** `autoscaling.hold`: a tag says whose it is and what it has changed before anything is changed, so that nothing stays suspended. */
export function holdAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<'autoscaling.hold'>, HoldFacts>({
    declaration: actions['autoscaling.hold'],
    plan: (input, context) => planHold(clients, input, context),
    observe: ({ facts }, context) => observeHold(clients, facts, context),
    act: ({ facts }, context) => hold(clients, facts, context),
    undo: async ({ facts: { group } }, { target, run }): Promise<Undo> => {
      const found = await findGroup(clients, target, group);
      if (!found || holdOf(found)?.run !== run) return { nothing: `This run does not hold ${group}.` };
      return [{ uses: 'autoscaling.release', with: { group } }];
    },
  });
}

async function planHold(clients: Clients, input: ActionInput<'autoscaling.hold'>, context: ActionContext): Promise<PlanOf<HoldFacts>> {
  const { target, run } = context;
  const group = await readGroup(clients, target, input.group);
  const object = groupObject(group.name);
  const held = holdOf(group);
  const isOurs = held?.run === run && run !== '';
  const processes = isOurs ? held.processes : processesHeld.filter((process) => !group.suspended.includes(process));
  const maxSizeBefore = isOurs ? held.maxSizeBefore : group.maxSize;
  const maxSize = isOurs ? held.maxSize : Math.max(group.maxSize, input.sizeMax);
  const facts: HoldFacts = { group: group.name, arn: group.arn, processes, maxSizeBefore, maxSize };
  const plan = { ...emptyPlan(facts), outputs: { group: group.name } };
  const blockers = [
    ...shapeBlockers(group),
    ...(held && !isOurs ? [{ object, ...foreignHold(held.run) }] : []),
    ...(holdText({ ...facts, run, cluster: target.name }).length > tagCharactersMax
      ? [{ object, reason: 'What this run suspends does not fit into a tag of AWS.', remedy: 'Start the run with a shorter id.' }]
      : []),
  ];
  if (isOurs && isHeld(group, facts)) return { ...plan, blockers, notes: [`This run holds ${group.name} already.`] };
  return {
    ...plan,
    blockers,
    effects: holdEffects(object, facts),
    notes: [scalingNote],
    expects: [{ change: 'group-held', object }],
    estimateMs,
    undoEstimateMs: estimateMs,
  };
}

const scalingNote = 'Meanwhile the group does not follow its alarms and schedules.';

function holdEffects(object: string, { processes, maxSizeBefore, maxSize }: HoldFacts): Effect[] {
  const grown = { object, change: 'raise its largest size until the run ends', before: maxSizeBefore, after: maxSize };
  return [
    { object, change: `suspend ${processes.length === 0 ? 'nothing more' : processes.join(', ')} until the run ends` },
    ...(maxSize > maxSizeBefore ? [grown] : []),
  ];
}

function foreignHold(run: string): { reason: string; remedy: string } {
  const remedy = `Wait until that run has ended. Where it is gone, \`holdpoint sweep\` gives the group back, by its tag ${holdTag}.`;
  return { reason: `Run ${run} holds it.`, remedy };
}

async function observeHold(clients: Clients, facts: HoldFacts, { target, run }: ActionContext): Promise<Observation> {
  const group = await findGroup(clients, target, facts.group);
  if (group?.arn !== facts.arn) return goneSince(facts.group);
  const held = holdOf(group);
  if (held && held.run !== run) return { state: 'stuck', ...foreignHold(held.run) };
  if (held && isHeld(group, facts)) return { state: 'done', outputs: { group: group.name } };
  return { state: 'todo' };
}

/** The tag comes first: whatever is changed after it can be given back by whoever reads it. */
async function hold(clients: Clients, facts: HoldFacts, { target, run }: ActionContext): Promise<void> {
  const { group: name, processes, maxSizeBefore, maxSize } = facts;
  const group = await findGroup(clients, target, name);
  if (group?.arn !== facts.arn) throw stuckError(goneSince(name));
  const { changes } = await clients.autoScaling(target.region);
  const before = holdOf(group);
  if (before && before.run !== run) throw stuckError({ state: 'stuck', ...foreignHold(before.run) });
  const own: Hold = before ?? {
    run,
    cluster: target.name,
    maxSizeBefore,
    maxSize,
    // What others have suspended since the plan was made is theirs.
    processes: processes.filter((process) => !group.suspended.includes(process)),
  };
  if (!before) {
    const tag = { ResourceId: name, ResourceType: 'auto-scaling-group', Key: holdTag, Value: holdText(own), PropagateAtLaunch: false };
    await changes.createOrUpdateTags({ Tags: [tag] }).catch((error: unknown) => failed(error, `CreateOrUpdateTags of ${name}`, target));
  }
  const missing = processes.filter((process) => !group.suspended.includes(process));
  if (missing.length > 0) {
    await changes
      .suspendProcesses({ AutoScalingGroupName: name, ScalingProcesses: missing })
      .catch((error: unknown) => failed(error, `SuspendProcesses of ${name}`, target));
  }
  if (group.maxSize < maxSize) {
    await changes
      .updateAutoScalingGroup({ AutoScalingGroupName: name, MaxSize: maxSize })
      .catch((error: unknown) => failed(error, `UpdateAutoScalingGroup of ${name}`, target));
  }
}

type ReleaseFacts = { group: string; arn: string | null; sizeMax: number };

/** `autoscaling.release`: gives a group back that this run holds. */
export function releaseAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<'autoscaling.release'>, ReleaseFacts>({
    declaration: actions['autoscaling.release'],
    plan: async ({ group: name }, { target, run, expected = [] }) => {
      const group = await findGroup(clients, target, name);
      const held = group && holdOf(group);
      const willBe = expected.some((each) => each.change === 'group-held' && each.object === groupObject(name));
      const isOurs = group !== undefined && (willBe || (held?.run === run && run !== ''));
      const facts = { group: name, arn: isOurs ? group.arn : null, sizeMax: group?.maxSize ?? 0 };
      const plan = { ...emptyPlan<ReleaseFacts>(facts), outputs: { group: name } };
      if (!isOurs) return { ...plan, notes: [`This run does not hold ${name}.`] };
      const change = 'resume what this run has suspended, and take its largest size back';
      return { ...plan, effects: [{ object: groupObject(name), change }], estimateMs, undoEstimateMs: estimateMs };
    },
    observe: async ({ facts: { group: name, arn } }, { target, run }) => {
      const group = arn === null ? undefined : await findGroup(clients, target, name);
      const isOurs = group !== undefined && group.arn === arn && holdOf(group)?.run === run;
      return isOurs ? { state: 'todo' } : { state: 'done', outputs: { group: name } };
    },
    act: async ({ facts: { group: name } }, { target, run }) => void (await giveBack(clients, target, name, run)),
    undo: async ({ facts: { group, arn, sizeMax } }): Promise<Undo> => {
      if (arn === null) return { nothing: `It gives nothing back of ${group}.` };
      return [{ uses: 'autoscaling.hold', with: { group, sizeMax } }];
    },
  });
}

/** Gives a group back that a run holds; returns whether there was anything to give back. May be repeated. Throws `aws-…` errors. */
export async function giveBack(clients: Clients, target: Target, name: string, run: string): Promise<boolean> {
  const group = await findGroup(clients, target, name);
  const held = group && holdOf(group);
  if (!group || held?.run !== run) return false;
  const { changes } = await clients.autoScaling(target.region);
  const { resume, maxSize } = whatIsGivenBack(group, held);
  if (maxSize !== undefined) {
    await changes
      .updateAutoScalingGroup({ AutoScalingGroupName: name, MaxSize: maxSize })
      .catch((error: unknown) => failed(error, `UpdateAutoScalingGroup of ${name}`, target));
  }
  if (resume.length > 0) {
    await changes
      .resumeProcesses({ AutoScalingGroupName: name, ScalingProcesses: resume })
      .catch((error: unknown) => failed(error, `ResumeProcesses of ${name}`, target));
  }
  // The tag goes last: until then whoever comes after knows what is left to give back.
  const tag = { ResourceId: name, ResourceType: 'auto-scaling-group', Key: holdTag };
  await changes.deleteTags({ Tags: [tag] }).catch((error: unknown) => failed(error, `DeleteTags of ${name}`, target));
  return true;
}

/** The groups that runs hold for a cluster, as owner annotations are told. A worker that may not read groups can have held none. */
export async function findHeld(clients: Clients, target: Target): Promise<{ node: string; run: string }[]> {
  try {
    const groups = await groupsWithTag(clients, target, holdTag);
    return groups.flatMap((group: ScalingGroup) => {
      const held = holdOf(group);
      return held?.cluster === target.name ? [{ node: `${objectPrefix}${group.name}`, run: held.run }] : [];
    });
  } catch (error) {
    if (error instanceof HoldpointError && error.code === 'aws-denied') return [];
    throw error;
  }
}

/** The name of the group that an owner annotation is about; undefined where it is about something else. */
export function groupOfAnnotation(object: string): string | undefined {
  return object.startsWith(objectPrefix) ? object.slice(objectPrefix.length) : undefined;
}

function failed(error: unknown, call: string, target: Target): never {
  throw awsError(error, call, target);
}

import type { Blocker } from '../plan/plan.ts';
import { firstNames } from '../text.ts';

/** An instance of an Auto Scaling group, as the API describes it. */
export interface ScaledInstance {
  id: string;
  zone: string;
  /** `InService`, `Pending:Wait`, `Terminating` and the like. */
  state: string;
  /** The version of the launch template that it was started with, as a number; undefined where there is none. */
  version?: string;
}

/** An Auto Scaling group, as far as a rotation concerns it. */
export interface ScalingGroup {
  name: string;
  arn: string;
  minSize: number;
  maxSize: number;
  desiredSize: number;
  /** The launch template and the version that the group names: a number, `$Latest` or `$Default`. */
  template?: { id: string; version: string };
  /** Where its instances are of several kinds, and each kind may have a launch template of its own. */
  mixed?: { onDemandPercentage?: number; hasOwnTemplates: boolean };
  /** How many instances wait in its warm pool; undefined where it has none. */
  warmPoolSize?: number;
  suspended: string[];
  tags: { [key: string]: string };
  instances: ScaledInstance[];
}

/** The tag by which EKS says that a group is that of a managed node group. */
export const managedTag = 'eks:nodegroup-name';
/** The tag by which the Cluster Autoscaler finds its groups. */
const clusterAutoscalerTag = 'k8s.io/cluster-autoscaler/enabled';
/** States of an instance refresh that is not over (Auto Scaling API, InstanceRefreshStatus). */
const refreshesUnderWay = ['Pending', 'InProgress', 'Cancelling', 'RollbackInProgress', 'Baking'];

/** Whether an instance is on its way out, or gone but still listed. */
export function isLeaving({ state }: ScaledInstance): boolean {
  return state.startsWith('Terminat') || state.startsWith('Detach');
}

/** The instances that count for the size of a group. */
export function activeInstances({ instances }: ScalingGroup): ScaledInstance[] {
  return instances.filter((instance) => !isLeaving(instance) && !instance.state.startsWith('Warmed'));
}

/** How effects and blockers name a group. */
export function groupObject(name: string): string {
  return `AutoScalingGroup/${name}`;
}

/** Why a step cannot go on whose group is not there any more. */
export function goneSince(name: string): { state: 'stuck'; reason: string; remedy: string } {
  const reason = `The Auto Scaling group ${name} that was planned is gone, or another one has its name.`;
  return { state: 'stuck', reason, remedy: 'Find out who has deleted it; skip the step, or abort the run.' };
}

/** Why the size or the instances of a group are not changed, whatever is asked for. */
export function shapeBlockers(group: ScalingGroup): Blocker[] {
  const blockers: Blocker[] = [];
  const add = (reason: string, remedy: string): void => void blockers.push({ object: groupObject(group.name), reason, remedy });
  const nodegroup = group.tags[managedTag];
  if (nodegroup !== undefined) {
    const remedy = 'Rotate the node group instead (node-group-rotation or node-group-update).';
    add(`It belongs to the managed node group ${nodegroup}, and EKS changes it by itself.`, remedy);
  } else if (!group.template) {
    add('It has a launch configuration and no launch template.', 'Give it a launch template, then plan again.');
  }
  return blockers;
}

/** What a rotation finds at a group besides: what would work against it is a blocker, what is good to know a note. */
export function rotationFindings(
  group: ScalingGroup,
  { refreshes, hooks, version }: { refreshes: readonly string[]; hooks: readonly LifecycleHook[]; version: string | undefined },
): { blockers: Blocker[]; notes: string[] } {
  const { name, warmPoolSize, mixed, tags } = group;
  const blockers = shapeBlockers(group);
  const add = (reason: string, remedy: string): void => void blockers.push({ object: groupObject(name), reason, remedy });
  const refresh = refreshes.find((status) => refreshesUnderWay.includes(status));
  if (refresh !== undefined) {
    add(`An instance refresh is under way (${refresh}), which ends nodes without regard to budgets.`, cancelRefresh(name));
  }
  if (warmPoolSize !== undefined) {
    const command = `aws autoscaling delete-warm-pool --auto-scaling-group-name ${name}`;
    const remedy = `Delete it (\`${command}\`), and make it anew after the rotation.`;
    add(`It has a warm pool (${warmPoolSize} instances), whose instances come first, of the version before.`, remedy);
  }
  if (mixed?.hasOwnTemplates === true) {
    add('Some of its instance types have a launch template of their own.', 'Rotate it by hand, or give all of them the same one.');
  } else if (mixed && version !== undefined && version !== group.template?.version) {
    add('Its policy of mixed instances names the launch template.', 'Change the version there, then plan without launchTemplateVersion.');
  }
  const notes = hooks.map(hookNote);
  if (mixed) notes.push(`Its instances are of several types${shareNote(mixed.onDemandPercentage)}; which ones come is for AWS to choose.`);
  if (tags[clusterAutoscalerTag] !== undefined) {
    notes.push(
      'The Cluster Autoscaler scales this group, too: it may take empty nodes away meanwhile. Have it stand still if that matters.',
    );
  }
  return { blockers, notes };
}

function shareNote(onDemandPercentage: number | undefined): string {
  return onDemandPercentage === undefined ? '' : `, ${onDemandPercentage} % of them On-Demand beyond the base`;
}

/** A lifecycle hook of a group. */
export interface LifecycleHook {
  name: string;
  isOfLaunch: boolean;
  timeoutSeconds: number;
  /** `CONTINUE` or `ABANDON`. */
  defaultResult: string;
}

function hookNote({ name, isOfLaunch, timeoutSeconds, defaultResult }: LifecycleHook): string {
  const what = isOfLaunch ? 'starts' : 'ends';
  const after = `for up to ${timeoutSeconds} s where nobody answers it`;
  const then = isOfLaunch && defaultResult === 'ABANDON' ? ', and AWS ends the instance then' : '';
  return `The lifecycle hook ${name} holds each instance that ${what}, ${after}${then}.`;
}

/** What to do about an instance refresh that is in the way. */
export function cancelRefresh(name: string): string {
  return `Wait for its end, or cancel it (\`aws autoscaling cancel-instance-refresh --auto-scaling-group-name ${name}\`), then plan again.`;
}

/** A node that goes, with its instance. */
export type RotatedNode = { node: string; instance: string; zone: string };

/**
 * The order in which nodes go: zone by zone in turn, the oldest of each zone first, so that none is emptied before the others and AWS,
 * which starts new instances where there are fewest, keeps them level.
 *
 * @param nodes the oldest first
 */
export function inTurns(nodes: readonly RotatedNode[]): RotatedNode[] {
  const zones = new Map<string, RotatedNode[]>();
  for (const node of nodes) zones.set(node.zone, [...(zones.get(node.zone) ?? []), node]);
  const queues = [...zones].sort(([one, ofOne], [other, ofOther]) => ofOther.length - ofOne.length || (one < other ? -1 : 1));
  const longest = Math.max(0, ...queues.map(([, queue]) => queue.length));
  return Array.from({ length: longest }, (_, turn) => queues.flatMap(([, queue]) => queue[turn] ?? [])).flat();
}

/** How many batches a rotation may have: each of them is planned and signed with the others. */
export const batchesMax = 100;

/** How many nodes a surge is: a number, or a share of all, rounded down, to one at least. */
export function surgeOf(surge: number | string, nodes: number): number {
  const count = typeof surge === 'number' ? surge : Math.floor((nodes * Number(surge.slice(0, -1))) / 100);
  return Math.max(1, Math.min(count, nodes));
}

/** Cuts a list into pieces of a size. */
export function piecesOf<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) => items.slice(index * size, (index + 1) * size));
}

/** Why a group does not have what it should before it is rotated. */
export function unreadyBlockers(group: ScalingGroup, nodeOf: (instance: string) => string | undefined): Blocker[] {
  const object = groupObject(group.name);
  const active = activeInstances(group);
  const blockers: Blocker[] = [];
  if (active.length !== group.desiredSize) {
    const reason = `It is to have ${group.desiredSize} instances and has ${active.length}.`;
    blockers.push({ object, reason, remedy: 'Wait until AWS has started or ended the others, then plan again.' });
  }
  const resting = active.filter(({ state }) => state !== 'InService');
  if (resting.length > 0) {
    const named = firstNames(resting.map(({ id, state }) => `${id} (${state})`));
    blockers.push({
      object,
      reason: `Not all of its instances are InService: ${named}.`,
      remedy: 'Put them into service, then plan again.',
    });
  }
  const strange = active.filter(({ id }) => nodeOf(id) === undefined).map(({ id }) => id);
  if (strange.length > 0) {
    const reason = `These of its instances are no nodes of the cluster: ${firstNames(strange)}.`;
    blockers.push({ object, reason, remedy: 'Check the name of the group; find out why they have not joined, and end them.' });
  }
  return blockers;
}

/** How many starts in a row may fail until the group counts as one that gets no capacity. */
export const failedStartsMax = 3;

/** A start or an end of an instance, as a group tells it; the newest come first. */
export interface ScalingActivity {
  id: string;
  description: string;
  status: string;
  message?: string;
}

/**
 * Why a group gets no instances: as AWS has said it last, once so many starts in a row have failed. What AWS had said when somebody was
 * last asked about it does not count again.
 *
 * @param askedAfter the newest failure by then
 */
export function shortageOf(
  activities: readonly ScalingActivity[],
  askedAfter: string | undefined,
): { id: string; message: string } | undefined {
  const starts = activities.filter(({ description }) => description.startsWith('Launching'));
  const succeeded = starts.findIndex(({ status, id }) => status === 'Successful' || id === askedAfter);
  const failed = (succeeded < 0 ? starts : starts.slice(0, succeeded)).filter(({ status }) => status === 'Failed');
  const [newest] = failed;
  if (!newest || failed.length < failedStartsMax) return undefined;
  return { id: newest.id, message: newest.message ?? 'AWS gives no reason' };
}

import type { ScalingGroup } from './group.ts';

/**
 * Processes of a group that would work against a rotation: they end or bring instances by themselves, whatever runs on their nodes (Auto
 * Scaling user guide, "Suspend and resume processes"). Launch and Terminate are left, which the rotation needs.
 */
export const processesHeld = ['AZRebalance', 'AlarmNotification', 'InstanceRefresh', 'ReplaceUnhealthy', 'ScheduledActions'];

/** The tag in which a run says what it has changed at a group until it gives it back. */
export const holdTag = 'holdpoint.dev/hold';
/** AWS takes tag values of that length. */
export const tagCharactersMax = 256;

/** What a run has changed at a group, and gives back. */
export interface Hold {
  run: string;
  cluster: string;
  /** The largest size before and since; equal where it was large enough. */
  maxSizeBefore: number;
  maxSize: number;
  /** What it has suspended, none of which was suspended before. */
  processes: string[];
}

/** A hold as the value of a tag, of characters that AWS takes there. */
export function holdText({ run, cluster, maxSizeBefore, maxSize, processes }: Hold): string {
  return [run, cluster, `${maxSizeBefore}:${maxSize}`, ...processes].join(' ');
}

/** The hold that a group tells of; undefined where nobody holds it, or its tag has been changed. */
export function holdOf({ tags }: Pick<ScalingGroup, 'tags'>): Hold | undefined {
  const [run = '', cluster = '', sizes = '', ...processes] = (tags[holdTag] ?? '').split(' ');
  const [, before, after] = /^(\d+):(\d+)$/.exec(sizes) ?? [];
  if (run === '' || cluster === '' || before === undefined || after === undefined) return undefined;
  const own = processes.filter((name) => processesHeld.includes(name));
  return { run, cluster, maxSizeBefore: Number(before), maxSize: Number(after), processes: own };
}

/** Whether a hold has taken effect: everything is suspended that works against a rotation, and the group may grow. */
export function isHeld(group: ScalingGroup, { processes, maxSize }: Pick<Hold, 'processes' | 'maxSize'>): boolean {
  return processes.every((name) => group.suspended.includes(name)) && group.maxSize >= maxSize;
}

/**
 * What giving a group back is: the processes to resume, and the largest size to set. A group that has more instances than its largest
 * size was before keeps the larger one: AWS would end instances with whatever runs on them.
 */
export function whatIsGivenBack(group: ScalingGroup, hold: Hold): { resume: string[]; maxSize?: number } {
  const resume = hold.processes.filter((name) => group.suspended.includes(name));
  const isOurs = hold.maxSize !== hold.maxSizeBefore && group.maxSize === hold.maxSize;
  return { resume, ...(isOurs && group.desiredSize <= hold.maxSizeBefore && { maxSize: hold.maxSizeBefore }) };
}

import type { JsonObject } from '../json.ts';
import type { RunsOn } from '../runbook.ts';
import { formatTarget, type Target } from '../target.ts';

/** The place where the worker of a step has to be, such as `etcd/prod/m1`; undefined where any worker may carry it out. */
export function placeOf(runsOn: RunsOn | undefined, input: JsonObject, target: Target): string | undefined {
  if (runsOn === undefined || typeof runsOn === 'string') return runsOn;
  const part = input[runsOn.input];
  return placeIn(formatTarget(target), typeof part === 'string' ? part : JSON.stringify(part));
}

/** The place of a part of a target. */
export function placeIn(target: string, part: string): string {
  return `${target}/${part}`;
}

/** The task queue of the workers at a place, beside that of the run. */
export function queueAt(taskQueue: string, place: string): string {
  return `${taskQueue}.${place}`;
}

import type { Controller, ControllerContext } from '../controller.ts';
import { deleteObject } from '../deletion.ts';
import { conditionOf, controllerOf, hasEnded, isReady, keyOf, setCondition, splitKey, timestamp } from '../objects.ts';
import type { Condition, Job, Pod } from '../objects.ts';
import type { Actor, Change } from '../store.ts';
import { freePodName, newPod, reportCreated } from './pods.ts';

/** Holds a pod until its end has been counted. */
const trackingFinalizer = 'batch.kubernetes.io/job-tracking';
const actor: Actor = { part: 'controller', name: 'job-controller', verb: 'update' };

/** Runs the pods of each Job until enough of them have succeeded, or too many have failed. */
export function createJobController(context: ControllerContext): Controller {
  return {
    name: 'job',
    onChange: ({ resource, object }: Change) => {
      if (resource === 'jobs') return [keyOf(object)];
      const owner = resource === 'pods' ? controllerOf(object) : undefined;
      return owner?.kind === 'Job' ? [`${object.metadata.namespace ?? ''}/${owner.name}`] : [];
    },
    reconcile: (key) => {
      const job = context.store.getByKey('jobs', key);
      if (!job) return letGo(context, key);
      const pods = context.store.ownedBy('pods', job.metadata.uid);
      const counted = count(context, job, pods);
      const active = pods.filter((pod) => !hasEnded(pod));
      if (isOver(counted)) for (const pod of active) remove(context, pod);
      else if (counted.metadata.deletionTimestamp === undefined) startPods(context, counted, active.length);
      writeStatus(context, key);
    },
  };
}

function isOver(job: Job): boolean {
  return conditionOf(job, 'Complete') !== undefined || conditionOf(job, 'Failed') !== undefined;
}

/** Counts the pods that have ended since, and lets them go; one that was deleted before it had a node counts for nothing. */
function count({ store }: ControllerContext, job: Job, pods: Pod[]): Job {
  let { succeeded = 0, failed = 0 } = job.status;
  for (const pod of pods) {
    if (!(pod.metadata.finalizers ?? []).includes(trackingFinalizer)) continue;
    const neverRan = pod.metadata.deletionTimestamp !== undefined && pod.status.phase === 'Pending';
    if (!hasEnded(pod) && !neverRan) continue;
    if (pod.status.phase === 'Succeeded') succeeded += 1;
    else if (pod.status.phase === 'Failed') failed += 1;
    store.update('pods', keyOf(pod), actor, ({ metadata }) => {
      metadata.finalizers = metadata.finalizers?.filter((one) => one !== trackingFinalizer);
    });
  }
  return store.update('jobs', keyOf(job), actor, ({ status }) => {
    if (succeeded > 0) status.succeeded = succeeded;
    if (failed > 0) status.failed = failed;
  });
}

/** The pods of a job that is gone are counted by nobody. */
function letGo({ store }: ControllerContext, key: string): void {
  const { namespace, name } = splitKey(key);
  const held = store.inNamespace('pods', namespace).filter((pod) => {
    const owner = controllerOf(pod);
    return owner?.kind === 'Job' && owner.name === name && (pod.metadata.finalizers ?? []).includes(trackingFinalizer);
  });
  for (const pod of held) {
    store.update('pods', keyOf(pod), actor, ({ metadata }) => {
      metadata.finalizers = metadata.finalizers?.filter((one) => one !== trackingFinalizer);
    });
  }
}

function startPods(context: ControllerContext, job: Job, active: number): void {
  const { completions, parallelism, backoffLimit, template } = job.spec;
  const { succeeded = 0, failed = 0 } = job.status;
  if (failed > backoffLimit || succeeded >= completions) return;
  const wanted = Math.min(parallelism, completions - succeeded);
  for (let number = active; number < wanted; number++) {
    const labels = { 'batch.kubernetes.io/controller-uid': job.metadata.uid, 'controller-uid': job.metadata.uid };
    const pod = newPod(job, template, freePodName(context, job), { labels });
    pod.metadata.finalizers = [trackingFinalizer];
    context.store.create('pods', pod, { ...actor, verb: 'create' });
    reportCreated(context, job, pod.metadata.name, actor.name);
  }
}

function remove(context: ControllerContext, pod: Pod): void {
  if (pod.metadata.deletionTimestamp !== undefined) return;
  deleteObject(context, 'pods', keyOf(pod), {}, { ...actor, verb: 'delete' });
}

function writeStatus({ store, clock }: ControllerContext, key: string): void {
  const job = store.getByKey('jobs', key);
  if (!job) return;
  const pods = store.ownedBy('pods', job.metadata.uid).filter((pod) => !hasEnded(pod));
  const now = timestamp(clock.now());
  store.update('jobs', key, actor, ({ spec, status }) => {
    const { active: _active, ...others } = status;
    const { succeeded = 0, failed = 0 } = others;
    const ready = pods.filter(isReady).length;
    const next = { ...others, startTime: status.startTime ?? now, ready, ...(pods.length > 0 ? { active: pods.length } : {}) };
    Object.assign(status, next);
    if (pods.length === 0) delete status.active;
    const ending = endOf(succeeded >= spec.completions, failed > spec.backoffLimit);
    if (!ending || conditionOf({ status }, ending.type)) return;
    status.conditions = setCondition(status.conditions, ending, now);
    if (ending.type === 'Complete') status.completionTime = now;
  });
}

function endOf(complete: boolean, failed: boolean): Condition | undefined {
  if (complete)
    return { type: 'Complete', status: 'True', reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' };
  if (!failed) return undefined;
  return { type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' };
}

import type { Controller, ControllerContext } from '../controller.ts';
import { mayGo } from '../deletion.ts';
import { hasEnded, isReady, keyOf, setCondition, timestamp } from '../objects.ts';
import type { Condition, ContainerStatus, Node, Pod, VolumeAttachment } from '../objects.ts';
import type { Actor, Change } from '../store.ts';
import { hasItsVolumes } from './attach-detach.ts';

const actor: Actor = { part: 'controller', name: 'kubelet', verb: 'update' };

const startAnnotation = 'sandbox.holdpoint.dev/start-seconds';
const readinessAnnotation = 'sandbox.holdpoint.dev/readiness-seconds';
const shutdownAnnotation = 'sandbox.holdpoint.dev/shutdown-seconds';
/** For how long the containers of a pod that is not to be restarted run before they succeed; without it they run on. */
const runtimeAnnotation = 'sandbox.holdpoint.dev/runtime-seconds';

/** How long things take unless a pod says otherwise, in simulated milliseconds. */
const startMs: [number, number] = [1000, 4000];
const readinessMs: [number, number] = [5000, 10_000];
const shutdownMs: [number, number] = [1000, 5000];

type Stage = 'starting' | 'becoming-ready' | 'ready' | 'stopping' | 'ended';

/** Runs the pods of all nodes: starts them, makes them ready, ends them within their grace. */
export function createKubelet(context: ControllerContext): Controller {
  const stages = new Map<string, { uid: string; stage: Stage }>();
  let addresses = 0;
  const enter = (pod: Pod, stage: Stage): boolean => {
    const before = stages.get(keyOf(pod));
    if (before?.uid === pod.metadata.uid && before.stage === stage) return false;
    stages.set(keyOf(pod), { uid: pod.metadata.uid, stage });
    return true;
  };
  /** Runs the step later, unless the pod is another one or in another stage by then. */
  const later = (pod: Pod, stage: Stage, delayMs: number, step: (now: Pod) => void): void => {
    if (!enter(pod, stage)) return;
    context.later(delayMs, () => {
      const now = context.store.getByKey('pods', keyOf(pod));
      if (now?.metadata.uid === pod.metadata.uid && stages.get(keyOf(pod))?.stage === stage) step(now);
    });
  };
  const reconcile = (key: string): void => {
    const pod = context.store.getByKey('pods', key);
    const node = pod?.spec.nodeName === undefined ? undefined : context.store.get('nodes', '', pod.spec.nodeName);
    if (!pod) stages.delete(key);
    if (!pod || !node) return;
    if (hasEnded(pod)) {
      enter(pod, 'ended');
      if (mayGo(pod)) context.store.remove('pods', key, { ...actor, verb: 'delete' });
    } else if (pod.metadata.deletionTimestamp !== undefined) {
      if (stages.get(key)?.stage !== 'stopping' && pod.status.phase === 'Running') reportKilling(context, pod);
      later(pod, 'stopping', shutdownDelay(context, pod), (now) => finish(context, now));
    } else if (pod.status.phase === 'Pending' && isReady(node) && hasItsVolumes(context.store, pod)) {
      later(pod, 'starting', startDelay(context, pod), (now) => start(context, now, node, ++addresses));
    } else if (pod.status.phase === 'Running' && !isReady(pod) && stages.get(key)?.stage !== 'ready') {
      later(pod, 'becoming-ready', readinessDelay(context, pod), (now) => {
        enter(now, 'ready');
        becomeReady(context, now);
        endInTime(context, now);
      });
    }
  };
  return { name: 'kubelet', onChange: (change) => keysOfChange(context, change), reconcile };
}

function reportKilling(context: ControllerContext, pod: Pod): void {
  for (const { name } of pod.spec.containers) context.recordEvent(pod, 'Normal', 'Killing', `Stopping container ${name}`, actor.name);
}

/** Has the containers of a pod succeed after the time that it says, unless it is gone or told to end by then. */
function endInTime(context: ControllerContext, pod: Pod): void {
  const runtimeMs = annotatedMs(pod, runtimeAnnotation);
  if (runtimeMs === undefined || pod.spec.restartPolicy === 'Always') return;
  context.clock.after(runtimeMs, () => {
    const now = context.store.getByKey('pods', keyOf(pod));
    const runsOn = now?.metadata.uid === pod.metadata.uid && !hasEnded(now) && now.metadata.deletionTimestamp === undefined;
    if (runsOn) end(context, now, 'Succeeded');
  });
}

function keysOfChange({ store }: ControllerContext, { resource, object, previous }: Change): string[] {
  if (resource === 'pods') return [keyOf(object)];
  if (resource === 'volumeattachments') return store.podsOnNode((object as VolumeAttachment).spec.nodeName).map(keyOf);
  const becameReady = resource === 'nodes' && isReady(object as Node) && !(previous && isReady(previous as Node));
  return becameReady ? store.podsOnNode(object.metadata.name).map(keyOf) : [];
}

function annotatedMs(pod: Pod, annotation: string): number | undefined {
  const seconds = Number(pod.metadata.annotations?.[annotation] ?? NaN);
  return seconds >= 0 ? seconds * 1000 : undefined;
}

function startDelay({ random }: ControllerContext, pod: Pod): number {
  return annotatedMs(pod, startAnnotation) ?? random.between(...startMs);
}

function readinessDelay({ random }: ControllerContext, pod: Pod): number {
  const annotated = annotatedMs(pod, readinessAnnotation);
  if (annotated !== undefined) return annotated;
  const probe = pod.spec.containers.find(({ readinessProbe }) => readinessProbe)?.readinessProbe;
  if (!probe) return random.between(...readinessMs);
  return ((probe.initialDelaySeconds ?? 0) + random.next() * (probe.periodSeconds ?? 10)) * 1000;
}

function shutdownDelay({ random }: ControllerContext, pod: Pod): number {
  const graceMs = (pod.metadata.deletionGracePeriodSeconds ?? 30) * 1000;
  return Math.min(graceMs, annotatedMs(pod, shutdownAnnotation) ?? random.between(...shutdownMs));
}

function containerStatuses(pod: Pod, ready: boolean, state: Record<string, object>): ContainerStatus[] {
  return pod.spec.containers.map(({ name, image }) => ({ name, image, imageID: '', ready, started: ready, restartCount: 0, state }));
}

function withConditions(pod: Pod, now: string, conditions: Condition[]): Condition[] {
  return conditions.reduce((all, condition) => setCondition(all, condition, now), pod.status.conditions ?? []);
}

function start({ store, clock }: ControllerContext, pod: Pod, node: Node, address: number): void {
  const now = timestamp(clock.now());
  const notReady = { status: 'False', reason: 'ContainersNotReady', message: 'containers with unready status' } as const;
  store.update('pods', keyOf(pod), actor, (draft) => {
    draft.status = {
      ...draft.status,
      phase: 'Running',
      conditions: withConditions(draft, now, [
        { type: 'PodReadyToStartContainers', status: 'True' },
        { type: 'Initialized', status: 'True' },
        { type: 'Ready', ...notReady },
        { type: 'ContainersReady', ...notReady },
      ]),
      hostIP: node.status.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? '',
      podIP: `10.${100 + ((address >> 16) & 63)}.${(address >> 8) & 255}.${address & 255}`,
      startTime: now,
      containerStatuses: containerStatuses(draft, false, { running: { startedAt: now } }),
    };
  });
}

function becomeReady({ store, clock }: ControllerContext, pod: Pod): void {
  const now = timestamp(clock.now());
  store.update('pods', keyOf(pod), actor, (draft) => {
    const state = draft.status.containerStatuses?.[0]?.state ?? { running: { startedAt: now } };
    draft.status.conditions = withConditions(draft, now, [
      { type: 'Ready', status: 'True' },
      { type: 'ContainersReady', status: 'True' },
    ]);
    draft.status.containerStatuses = containerStatuses(draft, true, state);
  });
}

/** Whether its containers would take longer to end than they may. */
function isKilled(pod: Pod): boolean {
  return (annotatedMs(pod, shutdownAnnotation) ?? 0) > (pod.metadata.deletionGracePeriodSeconds ?? 30) * 1000;
}

/** A kubelet writes how the containers have ended before the pod goes. */
function showKilled({ store, clock }: ControllerContext, pod: Pod): void {
  const state = { terminated: { exitCode: 137, reason: 'Error', finishedAt: timestamp(clock.now()) } };
  store.update('pods', keyOf(pod), actor, (draft) => {
    draft.status.containerStatuses = containerStatuses(draft, false, state);
  });
}

/** The containers have ended: the pod is gone, unless a finalizer holds it. Then it has failed if it was to end by itself. */
function finish(context: ControllerContext, pod: Pod): void {
  if (isKilled(pod)) showKilled(context, pod);
  if (mayGo(pod)) context.store.remove('pods', keyOf(pod), { ...actor, verb: 'delete' });
  else end(context, pod, pod.spec.restartPolicy === 'Never' ? 'Failed' : 'Succeeded');
}

function end({ store, clock }: ControllerContext, pod: Pod, phase: 'Succeeded' | 'Failed'): void {
  const now = timestamp(clock.now());
  const reason = phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed';
  store.update('pods', keyOf(pod), actor, (draft) => {
    draft.status.phase = phase;
    draft.status.conditions = withConditions(draft, now, [
      { type: 'Ready', status: 'False', reason },
      { type: 'ContainersReady', status: 'False', reason },
    ]);
    const [exitCode, why] = phase === 'Succeeded' ? [0, 'Completed'] : [143, 'Error'];
    const state = { terminated: { exitCode, reason: why, finishedAt: now } };
    draft.status.containerStatuses = containerStatuses(draft, false, state);
  });
}

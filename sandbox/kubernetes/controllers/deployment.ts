import type { Controller, ControllerContext } from '../controller.ts';
import { deleteObject } from '../deletion.ts';
import { cloneJson, sameJson } from '../json.ts';
import { controllerOf, keyOf, setCondition, timestamp } from '../objects.ts';
import type { Condition, Deployment, PodTemplate, ReplicaSet } from '../objects.ts';
import { scaledValue } from '../quantity.ts';
import type { Actor, Change } from '../store.ts';
import { templateHash } from './pods.ts';

const revisionAnnotation = 'deployment.kubernetes.io/revision';
const hashLabel = 'pod-template-hash';
const actor: Actor = { part: 'controller', name: 'deployment-controller', verb: 'update' };

/** Gives each Deployment a ReplicaSet for its template and moves the pods from older ones to it. */
export function createDeploymentController(context: ControllerContext): Controller {
  return {
    name: 'deployment',
    onChange: ({ resource, object }: Change) => {
      if (resource === 'deployments') return [keyOf(object)];
      const owner = resource === 'replicasets' ? controllerOf(object) : undefined;
      return owner?.kind === 'Deployment' ? [`${object.metadata.namespace ?? ''}/${owner.name}`] : [];
    },
    reconcile: (key) => {
      const deployment = context.store.getByKey('deployments', key);
      if (!deployment || deployment.metadata.deletionTimestamp !== undefined) return;
      const all = context.store.ownedBy('replicasets', deployment.metadata.uid);
      const current = all.find((set) => sameJson(withoutHash(set.spec.template), deployment.spec.template));
      const old = all.filter((set) => set !== current);
      if (current || deployment.spec.paused !== true) {
        const target = current ?? createReplicaSet(context, deployment, all);
        if (deployment.spec.strategy.type === 'Recreate') recreate(context, deployment, target, old);
        else rollOut(context, deployment, target, old);
        forgetOldRevisions(context, deployment, old);
      }
      writeStatus(context, key, deployment.metadata.uid);
    },
  };
}

function withoutHash(template: PodTemplate): PodTemplate {
  const labels = { ...template.metadata?.labels };
  delete labels[hashLabel];
  return { ...template, metadata: { ...template.metadata, labels } };
}

function revisionOf(set: ReplicaSet): number {
  return Number(set.metadata.annotations?.[revisionAnnotation] ?? 0);
}

function createReplicaSet({ store }: ControllerContext, deployment: Deployment, all: ReplicaSet[]): ReplicaSet {
  const { metadata, spec } = deployment;
  const hash = templateHash(spec.template);
  const labels = { ...spec.template.metadata?.labels, [hashLabel]: hash };
  const revision = String(1 + Math.max(0, ...all.map(revisionOf)));
  const { name, uid } = metadata;
  store.update('deployments', keyOf(deployment), actor, (draft) => {
    draft.metadata.annotations = { ...draft.metadata.annotations, [revisionAnnotation]: revision };
  });
  const replicaSet = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${name}-${hash}`,
      namespace: metadata.namespace,
      labels,
      annotations: { [revisionAnnotation]: revision },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name, uid, controller: true, blockOwnerDeletion: true }],
    },
    spec: {
      replicas: 0,
      selector: { ...spec.selector, matchLabels: { ...spec.selector.matchLabels, [hashLabel]: hash } },
      template: { ...cloneJson(spec.template), metadata: { ...spec.template.metadata, labels } },
    },
    status: { replicas: 0 },
  };
  return store.create('replicasets', replicaSet, { ...actor, verb: 'create' });
}

function scale(context: ControllerContext, deployment: Deployment, set: ReplicaSet, replicas: number): void {
  const { replicas: before } = set.spec;
  if (replicas === before) return;
  context.store.update('replicasets', keyOf(set), actor, (draft) => {
    draft.spec.replicas = replicas;
  });
  const what = `Scaled ${replicas > before ? 'up' : 'down'} replica set ${set.metadata.name} from ${before} to ${replicas}`;
  context.recordEvent(deployment, 'Normal', 'ScalingReplicaSet', what, actor.name);
}

function sum(sets: ReplicaSet[], count: (set: ReplicaSet) => number): number {
  return sets.reduce((total, set) => total + count(set), 0);
}

function recreate(context: ControllerContext, deployment: Deployment, target: ReplicaSet, old: ReplicaSet[]): void {
  for (const set of old) scale(context, deployment, set, 0);
  const remaining = old.some((set) => context.store.ownedBy('pods', set.metadata.uid).length > 0);
  if (!remaining) scale(context, deployment, target, deployment.spec.replicas);
}

/** One step of a rolling update: new pods as far as the surge allows, old ones as far as enough are available. */
function rollOut(context: ControllerContext, deployment: Deployment, target: ReplicaSet, old: ReplicaSet[]): void {
  const { replicas, strategy } = deployment.spec;
  const surge = scaledValue(strategy.rollingUpdate?.maxSurge ?? '25%', replicas, 'up');
  const asked = scaledValue(strategy.rollingUpdate?.maxUnavailable ?? '25%', replicas, 'down');
  // With neither surge nor gap nothing could ever move.
  const maxUnavailable = surge === 0 && asked === 0 ? 1 : asked;
  const inOld = sum(old, (set) => set.spec.replicas);
  const room = replicas + surge - inOld;
  const wanted = Math.min(replicas, Math.max(target.spec.replicas, room));
  if (wanted !== target.spec.replicas) scale(context, deployment, target, wanted);
  if (inOld === 0) return;
  const available = (set: ReplicaSet): number => set.status.availableReplicas ?? 0;
  const least = replicas - maxUnavailable;
  const unhealthyInOld = inOld - sum(old, available);
  const spare = Math.max(0, sum([...old, target], available) - least);
  let toRemove = Math.min(inOld + wanted - least - Math.max(0, wanted - available(target)), unhealthyInOld + spare);
  for (const set of [...old].sort((a, b) => revisionOf(a) - revisionOf(b))) {
    const remove = Math.min(set.spec.replicas, Math.max(0, toRemove));
    if (remove > 0) scale(context, deployment, set, set.spec.replicas - remove);
    toRemove -= remove;
  }
}

function forgetOldRevisions(context: ControllerContext, deployment: Deployment, old: ReplicaSet[]): void {
  const empty = old.filter((set) => set.spec.replicas === 0 && set.status.replicas === 0).sort((a, b) => revisionOf(a) - revisionOf(b));
  const surplus = empty.length - (deployment.spec.revisionHistoryLimit ?? 10);
  for (const set of empty.slice(0, Math.max(0, surplus))) {
    deleteObject(context, 'replicasets', keyOf(set), {}, { ...actor, verb: 'delete' });
  }
}

function writeStatus({ store, clock }: ControllerContext, key: string, uid: string): void {
  const sets = store.ownedBy('replicasets', uid);
  const now = timestamp(clock.now());
  store.update('deployments', key, actor, (draft) => {
    const { spec, metadata } = draft;
    const current = sets.find((set) => sameJson(withoutHash(set.spec.template), spec.template));
    const replicas = sum(sets, (set) => set.status.replicas);
    const available = sum(sets, (set) => set.status.availableReplicas ?? 0);
    const updated = current?.status.replicas ?? 0;
    const complete = updated === spec.replicas && available >= spec.replicas && replicas === spec.replicas;
    const before = (draft.status as { conditions?: Condition[] }).conditions;
    draft.status = {
      observedGeneration: metadata.generation,
      ...(replicas > 0 ? { replicas, updatedReplicas: updated } : {}),
      ...(available > 0 ? { readyReplicas: available, availableReplicas: available } : {}),
      ...(spec.replicas > available ? { unavailableReplicas: spec.replicas - available } : {}),
      conditions: statusConditions(before, { spec, available, complete, name: current?.metadata.name ?? '' }, now),
    };
  });
}

function statusConditions(
  before: Condition[] | undefined,
  { spec, available, complete, name }: { spec: Deployment['spec']; available: number; complete: boolean; name: string },
  now: string,
): Condition[] {
  const gap = scaledValue(spec.strategy.rollingUpdate?.maxUnavailable ?? '25%', spec.replicas, 'down');
  const enough = available >= spec.replicas - gap;
  const conditions = setCondition(
    before,
    {
      type: 'Available',
      status: enough ? 'True' : 'False',
      reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
      message: enough ? 'Deployment has minimum availability.' : 'Deployment does not have minimum availability.',
    },
    now,
  );
  return setCondition(
    conditions,
    {
      type: 'Progressing',
      status: 'True',
      reason: complete ? 'NewReplicaSetAvailable' : 'ReplicaSetUpdated',
      message: `ReplicaSet "${name}" ${complete ? 'has successfully progressed' : 'is progressing'}.`,
    },
    now,
  );
}

import type {
  V1Deployment,
  V1NodeSelectorRequirement,
  V1ObjectMeta,
  V1Pod,
  V1PodDisruptionBudget,
  V1PodSpec,
  V1StatefulSet,
} from '@kubernetes/client-node';
import type { BudgetView } from '../../../domain/drain/budget.ts';
import { mayHoldData } from '../../../domain/drain/host-paths.ts';
import { repellingTaint } from '../../../domain/drain/node-selection.ts';
import type { PodEnding } from '../../../domain/drain/pod-ends.ts';
import { podAnnotations, type PodOwner, type PodView } from '../../../domain/drain/pod.ts';
import type { WorkloadView } from '../../../domain/drain/workload.ts';
import { cut, nameCharactersMax } from '../../../domain/visible.ts';
import { messageCharactersMax, withoutFullStop } from '../../failure.ts';

/** What the API server fills in where a pod says nothing (core/v1). */
const graceSecondsDefault = 30;
/** What the API server fills in where a Deployment says nothing (apps/v1), with a percentage rounded up. */
const maxSurgeDefault = '25%';
/** What is kept of an owner's name that no object can have. */
const shownOfOwnerMax = 100;
const hostnameLabel = 'kubernetes.io/hostname';
/** Of a container that was ended by SIGKILL. */
const killedExitCode = 137;
const criticalClasses = ['system-node-critical', 'system-cluster-critical'];
const cordonedNode = { name: '', labels: {}, taints: [], schedulable: false };
/** The end of the API groups of Kubernetes itself; the oldest of them have no dot. */
const ownGroups = /^[a-z]*$|\.k8s\.io$/;

/** What the rules of a drain need to know of a pod. Throws for a pod that the API server could not have sent. */
export function podView(pod: V1Pod): PodView {
  const labels = pod.metadata?.labels ?? {};
  const ready = (pod.status?.conditions ?? []).find(({ type }) => type === 'Ready');
  const createdAtMs = timeMs(pod.metadata?.creationTimestamp) ?? 0;
  const readyAtMs = timeMs(ready?.lastTransitionTime);
  const volumes = pod.spec?.volumes ?? [];
  return {
    namespace: pod.metadata?.namespace ?? '',
    name: pod.metadata?.name ?? '',
    uid: pod.metadata?.uid ?? '',
    version: pod.metadata?.resourceVersion ?? '',
    node: pod.spec?.nodeName ?? '',
    labels,
    annotations: chosen(pod.metadata?.annotations ?? {}, podAnnotations),
    phase: pod.status?.phase ?? 'Unknown',
    ready: ready?.status === 'True',
    unschedulable: unschedulableReason(pod),
    terminating: pod.metadata?.deletionTimestamp !== undefined,
    graceEndsAtMs: timeMs(pod.metadata?.deletionTimestamp),
    ending: endingOf(pod),
    isForced: pod.metadata?.deletionTimestamp !== undefined && pod.metadata.deletionGracePeriodSeconds === 0,
    finalizers: pod.metadata?.finalizers,
    trouble: troubleOf(pod),
    createdAtMs,
    startupMs: ready?.status === 'True' && readyAtMs !== undefined ? Math.max(0, readyAtMs - createdAtMs) : undefined,
    graceMs: (pod.spec?.terminationGracePeriodSeconds ?? graceSecondsDefault) * 1000,
    owner: podOwner(pod, labels),
    mirror: pod.metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined,
    emptyDir: volumes.some((volume) => volume.emptyDir !== undefined),
    claims: volumes.flatMap((volume) => volume.persistentVolumeClaim?.claimName ?? []),
    // https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#persistentvolumeclaim-naming
    ephemeralClaims: someOf(volumes.flatMap(({ name, ephemeral }) => (ephemeral ? `${pod.metadata?.name ?? ''}-${name}` : []))),
    hostPaths: someOf(hostPathsOf(pod)),
    isCritical: criticalClasses.includes(pod.spec?.priorityClassName ?? ''),
    completes: pod.spec?.restartPolicy === 'Never' || pod.spec?.restartPolicy === 'OnFailure',
    ignoresCordon: ignoredCordon(pod),
  };
}

function someOf<Item>(items: Item[]): Item[] | undefined {
  return items.length === 0 ? undefined : items;
}

/** Those that a container may write to and that are no part of the machine. */
function hostPathsOf({ spec }: V1Pod): string[] {
  const isWritten = (volume: string): boolean => {
    const mounts = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].flatMap(({ volumeMounts }) => volumeMounts ?? []);
    const own = mounts.filter(({ name }) => name === volume);
    return own.length === 0 || own.some(({ readOnly }) => readOnly !== true);
  };
  return (spec?.volumes ?? []).flatMap(({ name, hostPath }) => {
    const isFile = hostPath?.type === 'Socket' || hostPath?.type === 'CharDevice' || hostPath?.type === 'BlockDevice';
    return hostPath && !isFile && mayHoldData(hostPath.path) && isWritten(name) ? cut(hostPath.path, nameCharactersMax) : [];
  });
}

function endingOf({ metadata, status }: V1Pod): PodEnding | undefined {
  const endsAtMs = timeMs(metadata?.deletionTimestamp);
  if (endsAtMs === undefined) return undefined;
  const graceMs = (metadata?.deletionGracePeriodSeconds ?? graceSecondsDefault) * 1000;
  const statuses = status?.containerStatuses ?? [];
  const ended = statuses.flatMap(({ state }) => state?.terminated ?? []);
  const asked = { askedAtMs: endsAtMs - graceMs, graceMs };
  if (statuses.length === 0 || ended.length < statuses.length) return asked;
  const finished = ended.flatMap(({ finishedAt }) => timeMs(finishedAt) ?? []);
  const codes = ended.map(({ exitCode, reason }) => (reason === 'OOMKilled' ? 1 : exitCode));
  const exitCode = codes.includes(killedExitCode) ? killedExitCode : (codes.find((code) => code !== 0) ?? 0);
  return { ...asked, ...(finished.length > 0 && { endedAtMs: Math.max(...finished) }), exitCode };
}

/** Why a container does not run, as the kubelet calls it; that it is being created tells nothing. */
function troubleOf({ status }: V1Pod): string | undefined {
  const waits = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].flatMap(
    ({ state }) => state?.waiting?.reason ?? [],
  );
  const trouble = waits.find((reason) => reason !== 'ContainerCreating' && reason !== 'PodInitializing');
  return trouble === undefined ? undefined : cut(trouble, nameCharactersMax);
}

/**
 * A node that a scheduler has chosen is set by the subresource `binding`, of which the managed fields tell nothing; where they name
 * `spec.nodeName`, the pod was made with it. Behind a nodeSelector or an affinity there is a scheduler, which heeds cordons.
 */
function ignoredCordon({ metadata, spec }: V1Pod): PodView['ignoresCordon'] {
  if (spec?.nodeName === undefined) return undefined;
  const isMadeForNode = (metadata?.managedFields ?? []).some(({ fieldsV1, subresource }) => {
    const { 'f:spec': fields } = (fieldsV1 ?? {}) as { 'f:spec'?: object };
    return !subresource && fields !== undefined && 'f:nodeName' in fields;
  });
  if (isMadeForNode) return 'made-for-node';
  if (repellingTaint(cordonedNode, spec.tolerations ?? [])) return undefined;
  return isBoundToNode(spec, spec.nodeName) ? 'bound-to-node' : 'tolerates-cordon';
}

function isBoundToNode({ nodeSelector, affinity }: V1PodSpec, node: string): boolean {
  if (nodeSelector?.[hostnameLabel] !== undefined) return true;
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  // Each term is a way to fulfil it.
  return (
    terms.length > 0 &&
    terms.every(({ matchFields = [], matchExpressions = [] }) => {
      const isThisNode = ({ operator, values = [] }: V1NodeSelectorRequirement): boolean =>
        operator === 'In' && values.length === 1 && values[0] === node;
      const isHostname = ({ key, operator, values = [] }: V1NodeSelectorRequirement): boolean =>
        key === hostnameLabel && operator === 'In' && values.length === 1;
      return matchFields.some(isThisNode) || matchExpressions.some(isHostname);
    })
  );
}

function unschedulableReason({ spec, status }: V1Pod): string | undefined {
  if (spec?.nodeName !== undefined || status?.phase !== 'Pending') return undefined;
  const scheduled = (status.conditions ?? []).find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status !== 'False' || scheduled.reason !== 'Unschedulable') return undefined;
  return withoutFullStop(cut(scheduled.message ?? 'the scheduler says no more', messageCharactersMax));
}

/** A time in milliseconds since 1970, as the client reads it or as it is in the JSON. */
export function timeMs(time: Date | string | undefined): number | undefined {
  return time === undefined ? undefined : new Date(time).getTime();
}

function chosen(values: Record<string, string>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]]])));
}

/** A Deployment's ReplicaSets carry its name and the hash of the pod template, which the pods have as a label. */
function podOwner({ metadata }: V1Pod, labels: Record<string, string>): PodView['owner'] {
  const owner = ownerOf(metadata);
  const hash = labels['pod-template-hash'];
  if (owner?.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`)) {
    return { kind: 'Deployment', name: owner.name.slice(0, -hash.length - 1) };
  }
  // argo-rollouts, utils/annotations: its ReplicaSets carry a hash of their own.
  const rollout = labels['rollouts-pod-template-hash'];
  if (owner?.kind === 'ReplicaSet' && rollout !== undefined && owner.name.endsWith(`-${rollout}`)) {
    return { kind: 'Rollout', name: owner.name.slice(0, -rollout.length - 1) };
  }
  // OpenShift: the ReplicationControllers of a DeploymentConfig are numbered.
  const config = labels.deploymentconfig;
  return owner?.kind === 'ReplicationController' && config !== undefined && owner.name.startsWith(`${config}-`)
    ? { kind: 'DeploymentConfig', name: config }
    : owner;
}

type Owner = [kind: string, name: string, apiVersion: string];

/**
 * The API server takes whatever is said of an owner, in any length. What no object can be called is cut, and the object that says it is
 * named, so that one pod's owner never passes for that of another.
 */
function ownersText(text: string, of: string): string {
  if (text.length <= nameCharactersMax) return text;
  return `${cut(text, shownOfOwnerMax)} of ${of}`;
}

function ownerOf(metadata: V1ObjectMeta | undefined): PodOwner | undefined {
  const controller = (metadata?.ownerReferences ?? []).find((reference) => reference.controller === true);
  if (!controller) return undefined;
  const of = `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;
  const [kind, name, apiVersion] = [controller.kind, controller.name, controller.apiVersion].map((text) => ownersText(text, of)) as Owner;
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  return ownGroups.test(group) ? { kind, name } : { kind, name, customGroup: group };
}

/** What the rules of a drain need to know of a PodDisruptionBudget. */
export function budgetView(budget: V1PodDisruptionBudget): BudgetView {
  const { metadata, spec, status } = budget;
  // pkg/controller/disruption: what cannot be counted allows nothing, and says so in its condition.
  const failed = (status?.conditions ?? []).find(({ type, reason }) => type === 'DisruptionAllowed' && reason === 'SyncFailed');
  return {
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    selector: spec?.selector,
    minAvailable: spec?.minAvailable === undefined ? undefined : String(spec.minAvailable),
    maxUnavailable: spec?.maxUnavailable === undefined ? undefined : String(spec.maxUnavailable),
    unhealthyPodEvictionPolicy: spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow' ? 'AlwaysAllow' : 'IfHealthyBudget',
    statusIsCurrent: (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0),
    disruptionsAllowed: status?.disruptionsAllowed ?? 0,
    currentHealthy: status?.currentHealthy ?? 0,
    desiredHealthy: status?.desiredHealthy ?? 0,
    expectedPods: status?.expectedPods ?? 0,
    disrupted: Object.keys(status?.disruptedPods ?? {}),
    syncFailure: failed && withoutFullStop(cut(failed.message, messageCharactersMax)),
    owner: ownerOf(metadata),
  };
}

/** What the rules of a drain need to know of a Deployment. */
export function deploymentView({ metadata, spec }: V1Deployment): WorkloadView {
  const { namespace = '', name = '' } = metadata ?? {};
  const replicas = spec?.replicas ?? 1;
  return { kind: 'Deployment', namespace, name, replicas, noSurge: noSurge(spec, replicas) };
}

function noSurge(spec: V1Deployment['spec'], replicas: number): string | undefined {
  if (spec?.paused === true) return 'its rollouts are paused';
  if (spec?.strategy?.type === 'Recreate') return 'its strategy is Recreate';
  const { maxSurge = maxSurgeDefault, maxUnavailable = '25%' } = spec?.strategy?.rollingUpdate ?? {};
  if (countOf(maxSurge, replicas, Math.ceil) < 1) return `its maxSurge is ${maxSurge}`;
  return countOf(maxUnavailable, replicas, Math.floor) < replicas ? undefined : `its maxUnavailable is ${maxUnavailable}`;
}

/** Surge is rounded up and unavailability down (pkg/controller/deployment/util, ResolveFenceposts). */
function countOf(setting: number | string, of: number, round: (value: number) => number): number {
  return typeof setting === 'string' && setting.endsWith('%') ? round((Number(setting.slice(0, -1)) * of) / 100) : Number(setting);
}

/** What the rules of a drain need to know of a StatefulSet. */
export function statefulSetView({ metadata, spec }: V1StatefulSet): WorkloadView {
  return { kind: 'StatefulSet', namespace: metadata?.namespace ?? '', name: metadata?.name ?? '', replicas: spec?.replicas ?? 1 };
}

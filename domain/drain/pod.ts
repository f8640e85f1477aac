import { cut, nameCharactersMax } from '../visible.ts';
import type { PodEnding } from './pod-ends.ts';

/** A pod as the drain sees it. */
export interface PodView {
  namespace: string;
  name: string;
  uid: string;
  /** Its resource version: another one each time anything about the pod changes. */
  version: string;
  node: string;
  labels: Record<string, string>;
  /** Those by which its owner says how it may be disturbed; see `optOutOf`. */
  annotations: Record<string, string>;
  phase: string;
  ready: boolean;
  /** Why the scheduler finds no node for it, in its words; undefined where it has one, or has not been looked at yet. */
  unschedulable?: string;
  /** It has a deletion timestamp. */
  terminating: boolean;
  /** Until when it has time to end by itself, in milliseconds since 1970; of a terminating pod only. */
  graceEndsAtMs?: number;
  /** How a terminating pod ends, as far as its kubelet says. */
  ending?: PodEnding;
  /** Of a terminating pod: whether it has been deleted by force, without any time to end. Then only a finalizer keeps it. */
  isForced?: boolean;
  /** What has to be taken off it before the API server lets it go. */
  finalizers?: readonly string[];
  /** What one of its containers waits for, as the kubelet calls it: `CrashLoopBackOff`. */
  trouble?: string;
  /** In milliseconds since 1970. */
  createdAtMs: number;
  /** How long it took from its creation to being Ready; unknown where it is not Ready. */
  startupMs?: number;
  /** How long it has to end by itself once it is asked to. */
  graceMs: number;
  /** Its controller, with ReplicaSets replaced by the Deployment above them where there is one. */
  owner?: PodOwner;
  /** A static pod's mirror: the API cannot evict it. */
  mirror: boolean;
  /** It has a volume that is lost with the pod (emptyDir). */
  emptyDir: boolean;
  /** Names of its PersistentVolumeClaims. */
  claims: readonly string[];
  /** Names of the claims that were made for it alone and go with it (generic ephemeral volumes). */
  ephemeralClaims?: readonly string[];
  /** Paths of its node under which it may keep data of its own; those of the machine itself are none. */
  hostPaths?: readonly string[];
  /** Nodes or the cluster rest on it (`system-node-critical`, `system-cluster-critical`). */
  isCritical?: boolean;
  /** Its containers are not started again when they have succeeded: as far as that tells, it ends by itself some day. */
  completes: boolean;
  /** Why a pod like it can come to its node though that is cordoned; undefined where it cannot. */
  ignoresCordon?: IgnoredCordon;
}

/** What brings a pod back. */
export interface PodOwner {
  kind: string;
  name: string;
  /** Its API group, where that is not one of Kubernetes' own. */
  customGroup?: string;
}

/** `made-for-node`: it was made with the name of the node. `bound-to-node`: it may be there only, and tolerates the cordon. */
export type IgnoredCordon = 'made-for-node' | 'bound-to-node' | 'tolerates-cordon';

/** How a pod's owner wants it to be treated, and the mark that says so. */
export interface OptOut {
  /** `wait`: it may not be disturbed, only waited for. `leave`: a drain passes it over. */
  treatment: 'wait' | 'leave';
  mark: string;
}

const doNotDisrupt = 'karpenter.sh/do-not-disrupt';
const safeToEvict = 'cluster-autoscaler.kubernetes.io/safe-to-evict';
const drainLabel = 'cluster.x-k8s.io/drain';
const durationUnitsMs: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** The annotations that the rules below read; a view of a pod needs no others. */
export const podAnnotations: readonly string[] = [doNotDisrupt, safeToEvict];

/** `namespace/name` of a pod, as people write it. */
export function podName(pod: { namespace: string; name: string }): string {
  return `${pod.namespace}/${pod.name}`;
}

/** `1 pod`, `3 pods`, with a word before them where one is given: `3 new pods`. */
export function countedPods(count: number, which = ''): string {
  return `${count} ${which === '' ? '' : `${which} `}${count === 1 ? 'pod' : 'pods'}`;
}

/** The workload a pod belongs to, e.g. `Deployment shop/cart`; a pod without controller is its own. */
export function workloadOf(pod: PodView): string {
  return pod.owner ? `${pod.owner.kind} ${pod.namespace}/${pod.owner.name}` : `Pod ${podName(pod)}`;
}

/**
 * What a pod's marks ask of a drain, or nothing: `karpenter.sh/do-not-disrupt` (true, or for so long after its creation),
 * `cluster-autoscaler.kubernetes.io/safe-to-evict: "false"`, and the label `cluster.x-k8s.io/drain` (`skip`, `wait-completed`;
 * Cluster API, proposal 20240930-machine-drain-rules).
 */
export function optOutOf(pod: PodView, nowMs: number): OptOut | undefined {
  const label = pod.labels[drainLabel];
  if (label === 'skip') return { treatment: 'leave', mark: `${drainLabel}=skip` };
  if (label === 'wait-completed') return { treatment: 'wait', mark: `${drainLabel}=wait-completed` };
  if (pod.annotations[safeToEvict] === 'false') return { treatment: 'wait', mark: `${safeToEvict}=false` };
  const disrupt = pod.annotations[doNotDisrupt];
  if (disrupt === undefined) return undefined;
  const forMs = disrupt === 'true' ? Infinity : goDurationMs(disrupt);
  return forMs !== undefined && nowMs < pod.createdAtMs + forMs
    ? { treatment: 'wait', mark: `${doNotDisrupt}=${cut(disrupt, nameCharactersMax)}` }
    : undefined;
}

/** A duration as Go writes it, such as `1h30m`, in milliseconds; undefined where it is none. */
function goDurationMs(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|h|m|s))+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)].reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * (durationUnitsMs[unit ?? ''] ?? 0),
    0,
  );
}

/** Whether a controller that is not one of Kubernetes' own looks after it: nobody can tell what that does when the pod goes. */
export function isOfCustomController({ owner }: { owner?: PodOwner }): boolean {
  return owner?.customGroup !== undefined;
}

/** Whether it is one of a DaemonSet: such pods come to every node and come back at once. */
export function isDaemon(pod: PodView): boolean {
  return pod.owner?.kind === 'DaemonSet';
}

/** Whether any drain leaves the pod where it is: mirror pods cannot be evicted, others are passed over as their owner wants it. */
export function staysOnNode(pod: PodView): boolean {
  return pod.mirror || isDaemon(pod) || pod.labels[drainLabel] === 'skip';
}

/** Whether it has ended by itself: nothing is lost with it, no budget counts it. */
export function hasEnded(pod: PodView): boolean {
  return pod.phase === 'Succeeded' || pod.phase === 'Failed';
}

/** Whether the data of a pod that is brought back is lost with it: it goes only if a signed plan names its workload. */
export function losesData(pod: PodView): boolean {
  return pod.owner !== undefined && pod.emptyDir;
}

/**
 * What has pods that do a piece of work to its end, by API group and kind; groups of Kubernetes itself, and those that look like one, are
 * left out. Of others it is not known: virtual machines and idle runners of CI have pods that are not started again either, and that
 * never end by themselves.
 */
const workOwners: ReadonlySet<string> = new Set([
  ' Job',
  // argoproj/argo-workflows#13152
  'argoproj.io Workflow',
  ...['TaskRun', 'PipelineRun', 'CustomRun'].map((kind) => `tekton.dev ${kind}`),
  ...['TFJob', 'PyTorchJob', 'MPIJob', 'XGBoostJob', 'PaddleJob', 'JAXJob'].map((kind) => `kubeflow.org ${kind}`),
  // sparkoperator.k8s.io
  ' SparkApplication',
  'batch.volcano.sh Job',
]);

/** Whether a pod does a piece of work to its end, and is waited for unless the signed plan has it evicted. */
export function doesWork({ owner }: PodView): boolean {
  return owner !== undefined && workOwners.has(`${owner.customGroup ?? ''} ${owner.kind}`);
}

/** Whether a pod does something to its end of which nobody knows whether it is begun anew elsewhere. */
export function mayLoseWork(pod: PodView): boolean {
  // A virtual machine is started elsewhere, or moved there.
  return pod.completes && isOfCustomController(pod) && !(pod.owner?.customGroup ?? '').endsWith('kubevirt.io');
}

/** The claims of a pod, those that were made for it alone among them. */
export function claimsOf({ claims, ephemeralClaims = [] }: PodView): string[] {
  return [...claims, ...ephemeralClaims];
}

/** The ordinal of a pod of a StatefulSet; undefined for any other. */
export function ordinalOf(pod: PodView): number | undefined {
  if (pod.owner?.kind !== 'StatefulSet') return undefined;
  const ordinal = /-(\d+)$/.exec(pod.name)?.[1];
  return ordinal === undefined ? undefined : Number(ordinal);
}

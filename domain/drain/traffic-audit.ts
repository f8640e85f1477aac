import { countedPods } from './pod.ts';

/** A pod that a drain moves, as far as its traffic is concerned. */
export interface TrafficPod {
  /** As people write it, e.g. `Deployment shop/cart`. */
  workload: string;
  /** How many pods of its workload there are in the cluster, itself included. */
  replicas: number;
  /** A PodDisruptionBudget protects it. */
  hasBudget: boolean;
  /** Its `terminationGracePeriodSeconds`. */
  graceSeconds: number;
  /** A container of it declares ports. */
  hasPorts: boolean;
  /** A container of it has a readiness probe. */
  hasReadinessProbe: boolean;
  /** A container of it has a preStop hook. */
  hasPreStop: boolean;
  /** Whether SIGTERM stays with a shell that is the main process of a container. */
  shellKeepsSignals?: 'does' | 'may';
  /** The longest sleep among its preStop hooks; undefined where none of them sleeps, as far as can be read. */
  preStopSleepSeconds?: number;
}

/** What a drain would cost the traffic of a workload, and what its owner can do about it. */
export interface TrafficWarning {
  kind: 'shell-keeps-signals' | 'no-readiness-probe' | 'no-pre-stop' | 'no-grace' | 'pre-stop-exceeds-grace' | 'no-budget';
  workload: string;
  /** One or two sentences, beginning with the workload. */
  sentence: string;
  remedy: string;
}

/** Whether a pod has the trouble, and what to say of a workload with such pods. */
interface Rule {
  kind: TrafficWarning['kind'];
  applies: (pod: TrafficPod) => boolean;
  /** How many such pods of one workload there must be. */
  podsMin?: number;
  trouble: (pods: string, pod: TrafficPod) => string;
  remedy: string;
}

/** By this long the proxies of all nodes have usually heard that an endpoint is gone. */
const endpointsHeardSeconds = 5;

const rules: readonly Rule[] = [
  {
    kind: 'shell-keeps-signals',
    applies: ({ shellKeepsSignals, graceSeconds }) => shellKeepsSignals !== undefined && graceSeconds > 0,
    trouble: (pods, { shellKeepsSignals, graceSeconds }) => {
      const verb = shellKeepsSignals === 'does' ? 'is' : 'may be';
      const then = `SIGTERM stays with it, and they are killed after ${graceSeconds} s`;
      return `${pods} whose main process ${verb} a shell (\`sh -c\` without \`exec\`): ${then}.`;
    },
    remedy: 'Start the program with `exec` in the script, without a shell, or under an init program such as tini.',
  },
  {
    kind: 'no-readiness-probe',
    applies: ({ hasPorts, hasReadinessProbe }) => hasPorts && !hasReadinessProbe,
    trouble: (pods) => `${pods} without a readiness probe: their successors get requests, and count for budgets, before they can answer.`,
    remedy: 'Give the container that serves a readinessProbe.',
  },
  {
    kind: 'no-grace',
    applies: ({ graceSeconds }) => graceSeconds === 0,
    trouble: (pods) => `${pods} with terminationGracePeriodSeconds 0: they are killed in the middle of whatever they do.`,
    remedy: 'Give them a grace period that is longer than their longest request.',
  },
  {
    kind: 'no-pre-stop',
    applies: ({ hasPorts, hasReadinessProbe, hasPreStop, graceSeconds }) =>
      hasPorts && hasReadinessProbe && !hasPreStop && graceSeconds > 0,
    trouble: (pods, { graceSeconds }) =>
      `${pods} without a preStop hook (grace period ${graceSeconds} s): they are told to end while requests still come in.`,
    remedy:
      `Give the container that serves a preStop sleep of ${endpointsHeardSeconds} s or more, ` +
      'unless it goes on to serve for that long after SIGTERM.',
  },
  {
    kind: 'pre-stop-exceeds-grace',
    applies: ({ preStopSleepSeconds = 0, graceSeconds }) => graceSeconds > 0 && preStopSleepSeconds >= graceSeconds,
    trouble: (pods, { preStopSleepSeconds = 0, graceSeconds }) =>
      `${pods} whose preStop sleeps ${preStopSleepSeconds} s of a grace period of ${graceSeconds} s: no time is left to end in order.`,
    remedy: 'Make the grace period longer than the sleep and the longest request together.',
  },
  {
    kind: 'no-budget',
    applies: ({ hasBudget, replicas }) => !hasBudget && replicas > 1,
    podsMin: 2,
    trouble: (pods, { replicas }) => `${pods} of ${replicas} without a PodDisruptionBudget: all of them may be gone at once.`,
    remedy: 'Give the workload a PodDisruptionBudget, e.g. with maxUnavailable: 1.',
  },
];

/**
 * What a drain of these pods would cost traffic: at most one warning of a kind for each workload, in the order of workloads.
 * Where the pods of a workload differ, the numbers are those of the first one that has the trouble.
 *
 * A pod counts as serving when it declares ports. Out of reach: ports that are not declared, Services with
 * publishNotReadyAddresses (which send requests to pods that end, whatever they do), what happens in a preStop command apart from
 * its sleep, and how a program takes SIGTERM. After the pod lifecycle and the termination of endpoints (kubernetes.io/docs).
 */
export function trafficWarnings(pods: readonly TrafficPod[]): TrafficWarning[] {
  const workloads = new Map<string, TrafficPod[]>();
  for (const pod of pods) workloads.set(pod.workload, [...(workloads.get(pod.workload) ?? []), pod]);
  const sorted = [...workloads].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.flatMap(([workload, found]) => rules.flatMap((rule) => warning(rule, workload, found)));
}

function warning({ kind, applies, podsMin = 1, trouble, remedy }: Rule, workload: string, pods: readonly TrafficPod[]): TrafficWarning[] {
  const concerned = pods.filter(applies);
  const [first] = concerned;
  if (!first || concerned.length < podsMin) return [];
  const count = countedPods(concerned.length);
  return [{ kind, workload, sentence: `${workload}: ${trouble(count, first)}`, remedy }];
}

import type { V1Container, V1LifecycleHandler, V1Pod } from '@kubernetes/client-node';
import { shellKeepsSignals } from '../../../domain/preflight/shell.ts';
import type { TrafficPod } from '../../../domain/drain/traffic-audit.ts';

/** What the API server fills in where a pod says nothing. */
const graceSecondsDefault = 30;
/** A call of `sleep` in a shell command; other ways to wait are not read. */
const sleepPattern = /(?:^|[\s;&|('"])sleep\s+(\d+)(?:\.\d+)?s?(?=$|[\s;&|)'"])/;

/** What the audit of traffic sees in a pod by itself. */
export type TrafficTraits = Omit<TrafficPod, 'workload' | 'replicas' | 'hasBudget'>;

/** A pod as the audit of its traffic sees it. */
export function trafficTraits(pod: V1Pod): TrafficTraits {
  const { containers = [], initContainers = [], terminationGracePeriodSeconds } = pod.spec ?? {};
  const running = [...containers, ...initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always')];
  const hooks = running.flatMap(({ lifecycle }) => lifecycle?.preStop ?? []);
  const sleeps = hooks.flatMap((hook) => sleepSecondsOf(hook) ?? []);
  return {
    graceSeconds: terminationGracePeriodSeconds ?? graceSecondsDefault,
    hasPorts: running.some(({ ports }: V1Container) => (ports ?? []).length > 0),
    hasReadinessProbe: running.some(({ readinessProbe }) => readinessProbe !== undefined),
    hasPreStop: hooks.length > 0,
    shellKeepsSignals: shellOf(containers),
    ...(sleeps.length > 0 ? { preStopSleepSeconds: Math.max(...sleeps) } : {}),
  };
}

function shellOf(containers: readonly V1Container[]): TrafficTraits['shellKeepsSignals'] {
  const found = containers.flatMap(({ command, args }) => shellKeepsSignals([...(command ?? []), ...(args ?? [])]) ?? []);
  return found.includes('does') ? 'does' : found[0];
}

function sleepSecondsOf({ sleep, exec }: V1LifecycleHandler): number | undefined {
  if (sleep) return sleep.seconds;
  const seconds = sleepPattern.exec((exec?.command ?? []).join(' '))?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}

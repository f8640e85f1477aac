import { selectorMatches } from '../drain/selector.ts';
import { defineCheck, objectText, type Check } from './finding.ts';
import type { Parts } from './snapshot.ts';

const failClosed = defineCheck({
  name: 'webhook-fails-closed',
  title: 'An admission webhook that fails closed is served by a single pod, or by none',
  severity: 'error where it is asked about pods, else warning',
  source: 'https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/',
  reads: ['webhooks', 'services', 'workloads'],
  find: (parts) =>
    parts.webhooks
      .filter(({ failsClosed, service }) => failsClosed && service !== undefined)
      .flatMap(({ configuration, name, rules, service }) => {
        const replicas = replicasBehind(parts, service?.namespace ?? '', service?.name ?? '');
        if (replicas > 1) return [];
        const isOfPods = rules.some(({ resources }) => resources.some((resource) => /^(\*|pods|\*\/\*|pods\/\*)$/.test(resource)));
        const count = replicas === 0 ? 'no pod' : 'a single pod';
        const what = isOfPods ? 'no pod is made anywhere' : 'what it is asked about is refused';
        return [
          {
            object: objectText(configuration),
            severity: isOfPods ? ('error' as const) : ('warning' as const),
            why: `Its webhook ${name} fails closed, and ${count} serves it: while that moves, ${what}.`,
            remedy: 'Run 2 replicas on different nodes, leave kube-system out, or set failurePolicy: Ignore.',
          },
        ];
      }),
});

/** How many pods workloads want behind a service. */
function replicasBehind({ services, workloads }: Pick<Parts, 'services' | 'workloads'>, namespace: string, name: string): number {
  const selector = services.find((one) => one.namespace === namespace && one.name === name)?.selector;
  if (selector === undefined || Object.keys(selector).length === 0) return 0;
  return workloads
    .filter((one) => one.namespace === namespace && selectorMatches({ matchLabels: selector }, one.labels))
    .reduce((sum, { replicas, kind }) => sum + (replicas ?? (kind === 'DaemonSet' ? 2 : 1)), 0);
}

/** Webhooks without which the API server refuses. */
export const webhookChecks: readonly Check[] = [failClosed];

import { isObject, parseJson } from '../../../domain/json.ts';
import type { Blocker } from '../../../domain/plan/plan.ts';
import { readType, type PageReading } from '../export/read-type.ts';

const pods = { group: '', version: 'v1', resource: 'pods', kind: 'Pod', namespaced: true };
const phasesOfRunning = ['Pending', 'Running'];

/** Namespaces into which something would be restored, and in which pods run. Throws `kubernetes-…` errors. */
export async function blockersOfRunning(namespaces: readonly string[], reading: PageReading): Promise<Blocker[]> {
  if (namespaces.length === 0) return [];
  const counts = new Map<string, number>();
  for await (const { items } of readType(pods, undefined, reading)) {
    for (const item of items) {
      const pod = parseJson(item);
      if (!isObject(pod) || !isObject(pod.metadata) || !isObject(pod.status)) continue;
      const { namespace } = pod.metadata;
      const { phase: phaseNow } = pod.status;
      if (typeof namespace !== 'string' || !phasesOfRunning.some((phase) => phase === phaseNow)) continue;
      counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
    }
  }
  return namespaces
    .filter((namespace) => counts.has(namespace))
    .map((namespace) => ({
      object: `Namespace/${namespace}`,
      reason: 'Pods run in it, and objects would be restored into it.',
      remedy: 'Restore what is missing by `objects`, or say `intoRunning: true`, which whoever signs is shown.',
    }));
}

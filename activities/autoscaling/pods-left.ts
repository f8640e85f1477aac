import { hasEnded, podName, staysOnNode } from '../../domain/drain/pod.ts';
import type { Target } from '../../domain/target.ts';
import { firstNames } from '../../domain/text.ts';
import type { Clients } from '../clients.ts';
import { podsOnNodes } from '../kubernetes/client/read.ts';

/** Why instances are not ended whose nodes still carry pods; undefined where none do. Throws `kubernetes-…` errors. */
export async function podsLeft(
  clients: Clients,
  target: Target,
  nodes: readonly string[],
): Promise<{ reason: string; remedy: string } | undefined> {
  if (nodes.length === 0) return undefined;
  const pods = await podsOnNodes(await clients.kubernetes(target), target.name, nodes);
  const left = pods.filter((pod) => !staysOnNode(pod) && !hasEnded(pod)).map(podName);
  if (left.length === 0) return undefined;
  return {
    reason: `${left.length} pods still run on the nodes that go: ${firstNames(left)}.`,
    remedy: 'Drain the nodes first (kubernetes.drain), or find out who let new pods onto them.',
  };
}

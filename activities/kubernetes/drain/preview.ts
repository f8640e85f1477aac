import { HoldpointError } from '../../../domain/errors.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { ActionPlan } from '../../../domain/plan/plan.ts';
import { closestName } from '../../../domain/suggestion.ts';
import { contextOfLook } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { drainAction } from './drain.ts';
import { connectByKubeconfig, type KubeconfigOptions } from '../client/kubeconfig.ts';
import { listNodes } from '../client/read.ts';

/** What a drain would do to a cluster. */
export interface DrainPreview {
  /** As the kubeconfig calls it, and where it is. */
  cluster: string;
  server: string;
  plan: ActionPlan;
}

/**
 * The plan that `kubernetes.drain` would make for a cluster of a kubeconfig. Reads only, with the rights of whoever the kubeconfig
 * names; needs neither Temporal nor a worker.
 *
 * @param input what `kubernetes.drain` takes.
 * @throws HoldpointError `kubeconfig-invalid`, `node-unknown` (with the name that was most likely meant), `action-input-invalid`,
 * `kubernetes-…`.
 */
export async function previewDrain(input: JsonObject & { nodes: string[] }, options: KubeconfigOptions): Promise<DrainPreview> {
  const { apis, cluster, server } = connectByKubeconfig(options);
  const noAws = (): never => {
    throw new Error('the planner of drains has no AWS');
  };
  const clients: Clients = { eks: noAws, ec2: noAws, kubernetes: async () => apis };
  const known = (await listNodes(apis, cluster)).map(({ metadata }) => metadata?.name ?? '');
  requireNodes(known, input.nodes, cluster);
  // No run is planned for: whatever cordon there is, is another's.
  const context = { run: '', step: 'drain', target: { kind: 'eks' as const, region: '', name: cluster }, retry: 0 };
  return { cluster, server, plan: await drainAction(clients).plan(input, contextOfLook(context)) };
}

function requireNodes(known: readonly string[], wanted: readonly string[], cluster: string): void {
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  const meant = unknown.map((name) => known.find((other) => other.startsWith(`${name}.`)) ?? closestName(name, known));
  const names = [...new Set(meant.flatMap((name) => (name === undefined ? [] : `"${name}"`)))];
  const hint = names.length === 0 ? '' : ` Did you mean ${names.join(', ')}?`;
  throw new HoldpointError('node-unknown', { cluster, node: unknown.join(', ') }, { hint });
}

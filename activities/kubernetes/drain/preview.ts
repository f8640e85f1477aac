import { HoldpointError } from '../../../domain/errors.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { ActionPlan } from '../../../domain/plan/plan.ts';
import { closestName } from '../../../domain/suggestion.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { readInput } from '../../action.ts';
import { connectByKubeconfig, type KubeconfigOptions } from '../client/kubeconfig.ts';
import { readCluster } from './cluster-state.ts';
import { planDrainIn } from './drain.ts';
import { expectedReading } from './expected-reading.ts';

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
  const { nodes, ...settings } = readInput(actions['kubernetes.drain'], input) as ActionInput<'kubernetes.drain'>;
  const reading = await readCluster(async () => apis, cluster);
  requireNodes(
    reading.nodes.map(({ metadata }) => metadata?.name ?? ''),
    nodes,
    cluster,
  );
  // No run is planned for: whatever cordon there is, is another's.
  const plan = await planDrainIn({ apis, cluster, run: '' }, expectedReading(reading, [], ''), nodes, settings);
  return { cluster, server, plan };
}

function requireNodes(known: readonly string[], wanted: readonly string[], cluster: string): void {
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  const meant = unknown.map((name) => known.find((other) => other.startsWith(`${name}.`)) ?? closestName(name, known));
  const names = [...new Set(meant.flatMap((name) => (name === undefined ? [] : `"${name}"`)))];
  const hint = names.length === 0 ? '' : ` Did you mean ${names.join(', ')}?`;
  throw new HoldpointError('node-unknown', { cluster, node: unknown.join(', ') }, { hint });
}

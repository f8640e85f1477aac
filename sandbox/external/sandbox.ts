import { createCloud } from '../cloud.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from '../server.ts';
import { readAccess } from './access.ts';
import { ExternalCluster } from './cluster.ts';

export interface ExternalSandboxOptions extends Omit<SandboxOptions, 'cloud' | 'external'> {
  /** The file that says how to reach the real cluster, whose nodes kwok must play. */
  kubeconfig: string;
  /** Hears of what could not be done in the real cluster. */
  report: (trouble: string) => void;
}

/**
 * Serves the AWS face of a world of one cluster whose Kubernetes is a real one: node groups have their nodes there, and requests
 * to the cluster's API are passed on to it. Throws an Error where the real cluster cannot be used.
 */
export async function startExternalSandbox({ kubeconfig, report, ...options }: ExternalSandboxOptions): Promise<Sandbox> {
  const [seed, another] = options.seed.clusters;
  if (!seed || another) throw new Error('an external Kubernetes takes a world of exactly one cluster');
  const access = await readAccess(kubeconfig);
  let url = '';
  const cluster = await ExternalCluster.connect({ access, seed, speed: options.speed ?? 1, baseUrl: () => url, report });
  try {
    const sandbox = await startSandbox({
      ...options,
      seed: { clusters: [] },
      external: cluster,
      cloud: (world) =>
        createCloud({
          clock: world.clock,
          random: world.random,
          faults: world.faults,
          observer: world.observer,
          seed: options.seed,
          cluster: (name) => (name === cluster.name ? cluster : undefined),
          showNodegroups: (view) => world.showNodegroups(view),
          showAutoScalingGroups: (view) => world.showAutoScalingGroups(view),
        }).handle,
    });
    url = sandbox.url;
    const stop = async (): Promise<void> => {
      cluster.stop();
      await sandbox.stop();
    };
    return { ...sandbox, stop };
  } catch (error) {
    cluster.stop();
    throw error;
  }
}

import { dirname, resolve } from 'node:path';
import type { ClusterAccess, Configuration } from './configuration.ts';

/** How the clusters of a configuration are reached, with the absolute paths of their kubeconfigs. */
export function clustersOf(file: string, { clusters = {} }: Configuration): Record<string, ClusterAccess> {
  const absolute = Object.entries(clusters).map(([name, access]): [string, ClusterAccess] => {
    return [name, 'kubeconfig' in access ? { ...access, kubeconfig: resolve(dirname(file), access.kubeconfig) } : access];
  });
  return Object.fromEntries(absolute);
}

import { getOrAdd } from '../../../domain/map.ts';
import type { Blocker } from '../../../domain/plan/plan.ts';
import { kubernetesError } from '../../failure.ts';
import type { V1SelfSubjectAccessReview } from '@kubernetes/client-node';
import type { KubernetesApis } from './connect.ts';
import { readPatiently } from './list.ts';
import { inParallel } from './read.ts';

/** Something that somebody wants to do in all namespaces. */
export interface Ask {
  verb: string;
  /** The API group; empty for the core group. */
  group: string;
  /** The resource, with its subresource after a slash where it is about one: `pods/eviction`. */
  resource: string;
}

/** What a drain does besides what its plan does already: that lists all of this, and fails where it may not. */
export const drainAsks: readonly Ask[] = [
  ...asksOf('', 'pods', 'watch'),
  ...asksOf('', 'pods/eviction', 'create'),
  ...asksOf('', 'nodes', 'get', 'watch', 'patch'),
  ...asksOf('policy', 'poddisruptionbudgets', 'watch'),
  ...asksOf('apps', 'deployments', 'watch'),
  ...asksOf('apps', 'statefulsets', 'watch'),
];

/** What a drain does besides where its pods use persistent volumes. */
export const volumeAsks: readonly Ask[] = [
  ...asksOf('', 'persistentvolumes', 'list', 'watch'),
  ...asksOf('storage.k8s.io', 'volumeattachments', 'list', 'watch'),
];

/** What a drain does besides where it rolls out Deployments instead of evicting their only pods. */
export const rolloutAsks: readonly Ask[] = asksOf('apps', 'deployments', 'get', 'patch');

/** What a drain does besides where it deletes pods after a deadline. */
export const deletionAsks: readonly Ask[] = asksOf('', 'pods', 'delete');

/** Asks for several verbs on one resource. */
export function asksOf(group: string, resource: string, ...verbs: string[]): Ask[] {
  return verbs.map((verb) => ({ verb, group, resource }));
}

/**
 * Asks the API server what the user of the connection may do (SelfSubjectAccessReview, authorization.k8s.io/v1). Returns a blocker
 * for each resource of which something is not allowed, with the RBAC rule that is missing. Changes nothing. Throws `kubernetes-…` errors.
 */
export async function mayI(apis: KubernetesApis, cluster: string, asks: readonly Ask[]): Promise<Blocker[]> {
  const answers = await inParallel(asks, (ask) => isAllowed(apis, cluster, ask));
  const missing = new Map<string, Ask[]>();
  for (const ask of asks.filter((_ask, index) => !answers[index])) {
    getOrAdd(missing, `${ask.group}/${ask.resource}`, () => []).push(ask);
  }
  return [...missing.values()].map((some) => missingPermission(some, apis.user));
}

async function isAllowed(apis: KubernetesApis, cluster: string, { verb, group, resource: asked }: Ask): Promise<boolean> {
  const [resource, subresource] = asked.split('/');
  try {
    const resourceAttributes = { verb, group, resource, ...(subresource === undefined ? {} : { subresource }) };
    const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } };
    const review = await readPatiently(() =>
      apis.request<V1SelfSubjectAccessReview>('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { body }),
    );
    return review.status?.allowed === true;
  } catch (error) {
    throw kubernetesError(error, `ask whether it may ${verb} ${asked}`, cluster);
  }
}

function missingPermission(asks: Ask[], user: string): Blocker {
  const { group = '', resource = '' } = asks[0] ?? {};
  const verbs = asks.map(({ verb }) => verb);
  const rule = JSON.stringify({ apiGroups: [group], resources: [resource], verbs });
  return {
    object: `Permission/${resource}`,
    reason: `${user.charAt(0).toUpperCase()}${user.slice(1)} may not ${verbs.join(', ')} ${resource} in all namespaces.`,
    remedy: `Add this rule to the ClusterRole of ${user}, then plan again: ${rule}.`,
  };
}

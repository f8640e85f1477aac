import type { KubernetesApis } from './connect.ts';
import type { Kind } from './list.ts';
import { WatchedList } from './watched-list.ts';

/** By what the API server is reached with, then by the kind. */
const lists = new WeakMap<object, Map<object, WatchedList<unknown>>>();

/**
 * The list of a kind that everybody in this process follows who reaches the cluster in the same way: with five watches for each of
 * twenty drains, an API server would send and we would read everything twenty times. With other credentials one may see something
 * else, so they have a list of their own. `kind` must be the same object each time.
 */
export function sharedList<Item>(
  { access }: Pick<KubernetesApis, 'access'>,
  kind: Kind<Item>,
  cluster: string,
  connect: () => Promise<KubernetesApis>,
): WatchedList<Item> {
  const known = lists.get(access) ?? new Map<object, WatchedList<unknown>>();
  lists.set(access, known);
  const list = (known.get(kind) as WatchedList<Item> | undefined) ?? new WatchedList(kind, cluster, connect, () => known.delete(kind));
  known.set(kind, list as WatchedList<unknown>);
  return list;
}

import { ApiError, badRequest, expired } from './errors.ts';
import { keyOf } from './objects.ts';
import type { KubernetesObject, ResourceName } from './objects.ts';
import type { Predicate } from './selectors.ts';
import type { Store } from './store.ts';

/** One page of a list. */
export interface Page {
  items: KubernetesObject[];
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
}

interface Continuation {
  rv: number;
  /** Key of the last object of the page before. */
  after: string;
  /** The number of the list, where it is kept. */
  list?: number;
}

function parseContinuation(text: string): Continuation {
  try {
    const { rv, after, list } = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as Partial<Continuation>;
    if (typeof rv === 'number' && typeof after === 'string') return { rv, after, list };
  } catch {
    // Falls through to the one answer for every text that is no continuation.
  }
  throw badRequest(`continue key is not valid: ${text}`);
}

/** Whether a list leaves it to the server which version it shows. */
export function leavesVersionOpen(query: URLSearchParams): boolean {
  return ['', '0'].includes(query.get('resourceVersion') ?? '') && !query.has('continue');
}

/** The version that a list is to show, from `resourceVersion` and `resourceVersionMatch`. */
function versionAsked(store: Store, query: URLSearchParams): number {
  const text = query.get('resourceVersion') ?? '';
  const current = store.resourceVersion;
  if (text === '' || text === '0') return current;
  if (!/^\d+$/.test(text)) throw badRequest(`resourceVersion: Invalid value: "${text}"`);
  const version = Number(text);
  if (version > current) {
    throw new ApiError(504, 'Timeout', `Too large resource version: ${version}, current: ${current}`, {
      retryAfterSeconds: 1,
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    });
  }
  return query.get('resourceVersionMatch') === 'Exact' ? version : current;
}

function continuedAt(store: Store, { rv }: Continuation): number {
  if (rv >= store.oldestVersion) return rv;
  throw expired(
    'The provided continue parameter is too old to display a consistent list result. ' +
      'You can start a new list without the continue parameter.',
  );
}

/** Among which objects, as they are now, those are that a query asks for: drains ask for the pods of a node over and over. */
function candidates(store: Store, resource: ResourceName, query: URLSearchParams): readonly KubernetesObject[] {
  const [, node] = /(?:^|,)spec\.nodeName==?([^,!=]+)(?:,|$)/.exec(query.get('fieldSelector') ?? '') ?? [];
  if (resource !== 'pods' || node === undefined) return store.list(resource);
  return store.podsOnNode(node).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/**
 * A page of a resource: all pages of a list show it as it was at the first. `matches` holds for the objects that the
 * client wants to see; `asOf` is the version to show where the client leaves that open, the newest unless given.
 * Throws an ApiError: 410 if the version is no longer known, 400 for what cannot be read.
 */
export function listPage(store: Store, resource: ResourceName, matches: Predicate, query: URLSearchParams, asOf?: number): Page {
  const token = query.get('continue') ?? '';
  const continuation = token === '' ? undefined : parseContinuation(token);
  const lagging = leavesVersionOpen(query) ? asOf : undefined;
  const version = continuation ? continuedAt(store, continuation) : (lagging ?? versionAsked(store, query));
  const limit = Number(query.get('limit') ?? 0);
  if (!Number.isInteger(limit) || limit < 0) throw badRequest(`limit: Invalid value: "${query.get('limit') ?? ''}"`);
  const known = listsOf(store).get(continuation?.list ?? 0);
  const wanted = known ?? objectsAt(store, resource, version, query).filter(matches);
  const items = pageOf(wanted, continuation?.after, limit);
  const last = items.at(-1);
  if (!last || last === wanted.at(-1)) return { items, metadata: { resourceVersion: String(version) } };
  const list = known ? continuation?.list : remember(store, wanted);
  const next: Continuation = { rv: version, after: keyOf(last), list };
  const selected = query.has('labelSelector') || query.has('fieldSelector');
  return {
    items,
    metadata: {
      resourceVersion: String(version),
      continue: Buffer.from(JSON.stringify(next)).toString('base64url'),
      ...(selected ? {} : { remainingItemCount: wanted.length - firstAfter(wanted, keyOf(last)) }),
    },
  };
}

function objectsAt(store: Store, resource: ResourceName, version: number, query: URLSearchParams): readonly KubernetesObject[] {
  return version >= store.resourceVersion ? candidates(store, resource, query) : store.listAt(resource, version);
}

function pageOf(objects: readonly KubernetesObject[], after: string | undefined, limit: number): KubernetesObject[] {
  const first = after === undefined ? 0 : firstAfter(objects, after);
  return objects.slice(first, limit > 0 ? first + limit : undefined);
}

/** The place of the first object whose key comes after a key; the objects are in the order of their keys. */
function firstAfter(objects: readonly KubernetesObject[], after: string): number {
  let low = 0;
  let high = objects.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const object = objects[middle];
    if (object && keyOf(object) <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many lists whose next page may be asked for are kept: to find one anew for each page takes a second in a large cluster. */
const listsKeptMax = 8;
/** By their numbers. Objects are never altered, so that a list stays what it was at its version. */
const listsKept = new WeakMap<Store, Map<number, readonly KubernetesObject[]>>();
let listsCount = 0;

function listsOf(store: Store): Map<number, readonly KubernetesObject[]> {
  const known = listsKept.get(store) ?? new Map<number, readonly KubernetesObject[]>();
  listsKept.set(store, known);
  return known;
}

function remember(store: Store, objects: readonly KubernetesObject[]): number {
  const lists = listsOf(store).set(++listsCount, objects);
  const [oldest] = lists.keys();
  if (lists.size > listsKeptMax && oldest !== undefined) lists.delete(oldest);
  return listsCount;
}

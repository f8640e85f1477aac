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
}

function parseContinuation(text: string): Continuation {
  try {
    const { rv, after } = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as Partial<Continuation>;
    if (typeof rv === 'number' && typeof after === 'string') return { rv, after };
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
function candidates(store: Store, resource: ResourceName, query: URLSearchParams): KubernetesObject[] {
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
  const after = continuation?.after;
  const all = version >= store.resourceVersion ? candidates(store, resource, query) : store.listAt(resource, version);
  const found = all.filter((object) => (after === undefined || keyOf(object) > after) && matches(object));
  const limit = Number(query.get('limit') ?? 0);
  if (!Number.isInteger(limit) || limit < 0) throw badRequest(`limit: Invalid value: "${query.get('limit') ?? ''}"`);
  const items = limit > 0 ? found.slice(0, limit) : found;
  const last = items.at(-1);
  if (items.length === found.length || !last) return { items, metadata: { resourceVersion: String(version) } };
  const next: Continuation = { rv: version, after: keyOf(last) };
  const selected = query.has('labelSelector') || query.has('fieldSelector');
  return {
    items,
    metadata: {
      resourceVersion: String(version),
      continue: Buffer.from(JSON.stringify(next)).toString('base64url'),
      ...(selected ? {} : { remainingItemCount: found.length - items.length }),
    },
  };
}

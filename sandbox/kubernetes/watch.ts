import type { ServerResponse } from 'node:http';
import type { KubernetesCluster } from './cluster.ts';
import { ApiError, badRequest } from './errors.ts';
import { objectText } from './object-text.ts';
import type { KubernetesObject, ResourceName } from './objects.ts';
import { apiVersionOf, definitionOf } from './resources.ts';
import type { Predicate } from './selectors.ts';
import type { Change } from './store.ts';
import { partialMetadata, toTable } from './table.ts';
import type { IncludeObject } from './table.ts';
import type { AnswerForm } from './wire.ts';

/** How long a watch lasts if the client does not say, in (wall) seconds. */
const defaultTimeoutSeconds = 1800;

/** How often a watch is told the newest version where nothing else happens, in simulated milliseconds. */
const bookmarkEveryMs = 60_000;

/** How many bytes may wait for a client that does not read; beyond that its watch is cut. */
const unreadBytesMax = 16 * 1024 * 1024;

/** A watch as it was asked for. */
export interface WatchRequest {
  resource: ResourceName;
  /** Whether an object is in the namespace and fits the selectors that the client named. */
  matches: Predicate;
  query: URLSearchParams;
  form: AnswerForm;
}

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/** Serves a watch until the client leaves, its time is up or it is cut. */
export function serveWatch(cluster: KubernetesCluster, request: WatchRequest, response: ServerResponse): void {
  const { store } = cluster;
  const { resource, query } = request;
  const stream = new WatchStream(cluster, request, response);
  try {
    const since = startingVersion(query, store.resourceVersion);
    if (since === undefined) {
      for (const object of store.list(resource)) if (request.matches(object)) stream.send('ADDED', object);
      if (query.get('sendInitialEvents') === 'true') stream.bookmark({ 'k8s.io/initial-events-end': 'true' });
    } else {
      for (const change of store.changesSince(resource, since)) stream.tell(change);
    }
  } catch (error) {
    // Like the real server: once the request itself was sound, trouble is told as an event of the stream.
    if (!(error instanceof ApiError) || error.status.code !== 410) throw error;
    stream.fail(error);
    return;
  }
  stream.follow(Number(query.get('timeoutSeconds') ?? defaultTimeoutSeconds));
}

/** The version after which a watch begins; undefined to begin with all objects as they are. */
function startingVersion(query: URLSearchParams, current: number): number | undefined {
  const text = query.get('resourceVersion') ?? '';
  if (text === '' || text === '0' || query.get('sendInitialEvents') === 'true') return undefined;
  if (!/^\d+$/.test(text)) throw badRequest(`resourceVersion: Invalid value: "${text}"`);
  return Math.min(Number(text), current);
}

/** The answer to a watch: one JSON object a line. */
class WatchStream {
  private readonly cluster: KubernetesCluster;
  private readonly request: WatchRequest;
  private readonly response: ServerResponse;
  private headersSent = false;

  constructor(cluster: KubernetesCluster, request: WatchRequest, response: ServerResponse) {
    this.cluster = cluster;
    this.request = request;
    this.response = response;
  }

  /** Passes a change on as it looks through the selectors: what comes to match is added, what ceases to is deleted. */
  tell({ resource, type, object, previous, resourceVersion }: Change): void {
    const { matches } = this.request;
    if (resource !== this.request.resource) return;
    const matched = previous !== undefined && matches(previous);
    const does = type !== 'DELETED' && matches(object);
    if (does) this.send(matched ? 'MODIFIED' : 'ADDED', object);
    else if (matched && type === 'DELETED') this.send('DELETED', object);
    else if (matched) this.send('DELETED', { ...previous, metadata: { ...previous.metadata, resourceVersion: String(resourceVersion) } });
  }

  send(type: EventType, object: KubernetesObject): void {
    const { form } = this.request;
    if (form === 'object') this.write(type, objectText(object));
    else this.write(type, JSON.stringify(form === 'metadata' ? partialMetadata(object) : this.inTable(object)));
  }

  bookmark(annotations?: Record<string, string>): void {
    const definition = definitionOf(this.request.resource);
    const resourceVersion = String(this.cluster.store.resourceVersion);
    const metadata = { resourceVersion, creationTimestamp: null, ...(annotations ? { annotations } : {}) };
    const table = { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata, rows: [] };
    const object = { kind: definition.kind, apiVersion: apiVersionOf(definition), metadata };
    this.write('BOOKMARK', JSON.stringify(this.request.form === 'table' ? table : object));
  }

  fail({ status }: ApiError): void {
    this.write('ERROR', JSON.stringify(status));
    this.response.end();
  }

  /** Stays with the changes for so many seconds. */
  follow(timeoutSeconds: number): void {
    const { cluster, response, request } = this;
    this.begin();
    response.flushHeaders();
    const bookmarks = request.query.get('allowWatchBookmarks') === 'true';
    const endings = [
      cluster.store.onChange((change) => this.tell(change)),
      cluster.onWatchCut(() => response.destroy()),
      bookmarks ? repeat(cluster, () => this.bookmark()) : () => undefined,
    ];
    const timeout = setTimeout(() => {
      if (bookmarks) this.bookmark();
      response.end();
    }, timeoutSeconds * 1000);
    response.once('close', () => {
      clearTimeout(timeout);
      for (const end of endings) end();
    });
  }

  private inTable(object: KubernetesObject): object {
    const { resource, query } = this.request;
    const include = (query.get('includeObject') ?? 'Metadata') as IncludeObject;
    const metadata = { resourceVersion: object.metadata.resourceVersion };
    return toTable(resource, [object], { now: this.cluster.clock.now(), include, metadata, headers: !this.headersSent });
  }

  private begin(): void {
    if (this.response.headersSent) return;
    this.response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
  }

  private write(type: EventType, text: string): void {
    this.begin();
    this.headersSent = true;
    if (this.response.writableEnded || this.response.destroyed) return;
    this.response.write(`{"type":"${type}","object":${text}}\n`);
    if (this.response.writableLength > unreadBytesMax) this.response.destroy();
  }
}

function repeat({ clock }: KubernetesCluster, action: () => void): () => void {
  let cancel = clock.after(bookmarkEveryMs, function again() {
    action();
    cancel = clock.after(bookmarkEveryMs, again);
  });
  return () => cancel();
}

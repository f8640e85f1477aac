import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { ApiException } from '@kubernetes/client-node';
import { HoldpointError } from '../../../domain/errors.ts';
import { connectionLost, kubernetesError } from '../../failure.ts';
import type { KubernetesApis } from './connect.ts';
import { withoutManagedFields } from './managed-fields.ts';

const pageSize = 500;
/** Of a page that is too large, a smaller part is asked for: tenants can make objects of 256 KB and more. */
const pageShrinksBy = 8;
/** Objects of one kind that are kept, whatever the server says that there are. */
export const objectsMax = 200_000;
/** Pages in a row that bring nothing new; a server that goes round in circles would be asked without end. */
const idlePagesMax = 10;

/** What is waited for and kept of a list at most, whatever the server sends. */
export const listLimits = {
  /** A page of 500 pods has about 5 MB. */
  pageBytesMax: 32 * 1024 * 1024,
  /** Until the last byte of a page. */
  pageTimeoutMs: 60_000,
  /** A list of 150,000 pods takes less than a minute. */
  listTimeoutMs: 300_000,
};
const listAttemptsMax = 3;
/** How often a read is sent, as the AWS SDK does by itself: a look takes many reads, and one lost answer must not spoil it. */
const readAttemptsMax = 3;
const readPauseMs = 200;
const goneCode = 410;
const itemsKey = '"items":[';

/** A kind of object that is listed and watched. */
export interface Kind<Item> {
  /** In the plural, for people: `pods`. */
  title: string;
  /** Path of its collection over all namespaces: `/api/v1/pods`. */
  path: string;
  view: (object: object) => Item;
  /** Whether the view reads `managedFields`: lists are read twice as fast without them. */
  readsManagedFields?: boolean;
}

/** An object of a list, as far as every kind has it. */
export interface ListedObject {
  metadata: { namespace?: string; name: string; resourceVersion?: string };
}

interface Page {
  metadata: { resourceVersion?: string; continue?: string };
  items: ListedObject[];
}

/** What is kept of an object, and of which of its versions. */
export interface Listed<Item> {
  item: Item;
  version: string;
}

/** All objects of a kind as they were at one resource version, by their keys. */
export interface WholeList<Item> {
  byKey: Map<string, Listed<Item>>;
  resourceVersion: string;
  /** How long it took to read. */
  tookMs: number;
}

export interface ListOptions {
  labelSelector?: string;
  fieldSelector?: string;
  /** A resource version that has been seen: a list that is older is not taken. */
  notBefore?: string;
  signal?: AbortSignal;
}

export interface ReadListOptions<Item> extends ListOptions {
  /** What has been read before: of an object that is still of the same version, the same is kept. */
  known?: ReadonlyMap<string, Listed<Item>>;
}

/**
 * Reads a whole list page by page, so that no answer grows with the cluster. A list that takes so long that the server has forgotten
 * its beginning (410), or that is older than what is known, is begun again. Throws `kubernetes-…` errors.
 * @param connect asked anew for each page, as credentials may end while a long list is read
 */
export async function readList<Item>(
  kind: Kind<Item>,
  cluster: string,
  connect: () => Promise<KubernetesApis>,
  options: ReadListOptions<Item> = {},
): Promise<WholeList<Item>> {
  const call = `list ${kind.title}`;
  const deadline = AbortSignal.timeout(listLimits.listTimeoutMs);
  const signal = AbortSignal.any([deadline, ...(options.signal ? [options.signal] : [])]);
  const late = { call, cluster, cause: `it was not complete within ${listLimits.listTimeoutMs / 1000} s` };
  const stale = { call, cluster, cause: 'it has answered with an older state than before' };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const list = await readPages(kind, cluster, connect, { ...options, signal });
      // What a watch has shown must not be forgotten: a pod that goes would be evicted a second time.
      if (!isOlder(list.resourceVersion, options.notBefore ?? '')) return list;
      if (attempt >= listAttemptsMax) throw new HoldpointError('kubernetes-unreachable', stale);
    } catch (error) {
      if (deadline.aborted) throw new HoldpointError('kubernetes-unreachable', late, { cause: error });
      if (!isGone(error) || attempt >= listAttemptsMax) throw kubernetesError(error, call, cluster);
    }
  }
}

async function readPages<Item>(
  kind: Kind<Item>,
  cluster: string,
  connect: () => Promise<KubernetesApis>,
  options: ReadListOptions<Item> & { signal: AbortSignal },
): Promise<WholeList<Item>> {
  const { title, readsManagedFields = false } = kind;
  const refuse = (cause: string): never => {
    throw new HoldpointError('kubernetes-refused', { call: `list ${title}`, cluster, cause });
  };
  const byKey = new Map<string, Listed<Item>>();
  const begunAtMs = performance.now();
  let size = pageSize;
  let idlePages = 0;
  let asked = askPage(kind, connect, options, '', size);
  for (let place = ''; ;) {
    const json = await asked;
    if (json === undefined) {
      if (size === 1) refuse(`one object has more than ${listLimits.pageBytesMax} bytes`);
      size = Math.max(1, Math.floor(size / pageShrinksBy));
      asked = askPage(kind, connect, options, place, size);
      continue;
    }
    // The server works on the next page while this one is read.
    const nextSize = Math.min(pageSize, size * 2);
    const soon = continuationOf(json);
    if (soon !== undefined) asked = askPage(kind, connect, options, soon, nextSize);
    const { metadata, items } = JSON.parse((readsManagedFields ? json : withoutManagedFields(json)).toString('utf8')) as Page;
    const known = byKey.size;
    for (const object of items) byKey.set(keyOf(object), listed(kind, object, options.known?.get(keyOf(object))));
    const next = metadata.continue ?? '';
    if (next === '') return { byKey, resourceVersion: metadata.resourceVersion ?? '', tookMs: performance.now() - begunAtMs };
    if (byKey.size > objectsMax) refuse(`more than ${objectsMax} objects`);
    idlePages = byKey.size === known ? idlePages + 1 : 0;
    if (idlePages >= idlePagesMax) refuse(`${idlePagesMax} pages in a row with nothing new, and still no end`);
    if (soon !== next) asked = askPage(kind, connect, options, next, nextSize);
    [place, size] = [next, nextSize];
  }
}

/** Asks for a page; undefined where that has more bytes than are read. */
function askPage<Item>(
  { path }: Kind<Item>,
  connect: () => Promise<KubernetesApis>,
  { labelSelector, fieldSelector, signal }: ReadListOptions<Item> & { signal: AbortSignal },
  place: string,
  size: number,
): Promise<Buffer | undefined> {
  const selectors = { ...(labelSelector !== undefined && { labelSelector }), ...(fieldSelector !== undefined && { fieldSelector }) };
  const query = { limit: String(size), ...selectors, ...(place !== '' && { continue: place }) };
  const asked = readPatiently(async () => readWhole(await (await connect()).open(path, query, signal)));
  // Where something else fails first, nobody waits for it.
  asked.catch(() => undefined);
  return asked;
}

/** What is kept of an object: the same as before where it is of the same version. */
export function listed<Item>({ view }: Kind<Item>, object: ListedObject, before?: Listed<Item>): Listed<Item> {
  const { resourceVersion: version = '' } = object.metadata;
  return version !== '' && before?.version === version ? before : { item: view(object), version };
}

/** The whole of an answer; undefined where it has more bytes than are read. What comes too slowly is given up. */
export async function readWhole(response: Readable): Promise<Buffer | undefined> {
  const { pageBytesMax, pageTimeoutMs } = listLimits;
  const late = connectionLost(`its answer was not complete within ${pageTimeoutMs / 1000} s`);
  const timer = setTimeout(() => response.destroy(late), pageTimeoutMs);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > pageBytesMax) return undefined;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } finally {
    clearTimeout(timer);
  }
}

/** Where the list goes on, as far as what stands before its items says that: the API server writes them last. */
function continuationOf(json: Buffer): string | undefined {
  const end = json.indexOf(itemsKey);
  if (end < 0) return undefined;
  try {
    const { metadata } = JSON.parse(`${json.toString('utf8', 0, end)}${itemsKey}]}`) as Partial<Page>;
    return metadata?.continue || undefined;
  } catch {
    return undefined;
  }
}

/** Reads anew after an error that may pass by itself. */
export async function readPatiently<Answer>(read: () => Promise<Answer>): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await read();
    } catch (error) {
      if (attempt >= readAttemptsMax || kubernetesError(error, 'read', '').consequence !== 'retry') throw error;
      await wait(readPauseMs * attempt);
    }
  }
}

/** What is kept of the objects of a list. */
export function itemsOf<Item>({ byKey }: Pick<WholeList<Item>, 'byKey'>): Item[] {
  return [...byKey.values()].map(({ item }) => item);
}

/** Under what an object is found in a list: `namespace/name`. */
export function keyOf({ metadata: { namespace = '', name } }: ListedObject): string {
  return `${namespace}/${name}`;
}

/** Whether the server has forgotten the place from which a list or a watch was to go on. */
export function isGone(error: unknown): boolean {
  const cause = error instanceof HoldpointError ? error.cause : error;
  return cause instanceof ApiException && cause.code === goneCode;
}

/**
 * Whether one resource version comes before another. They are numbers that grow
 * (https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/5504-comparable-resource-version);
 * of what is none, nothing is concluded.
 */
export function isOlder(version: string, than: string): boolean {
  const areNumbers = [version, than].every((text) => /^\d+$/.test(text));
  return areNumbers && BigInt(version) < BigInt(than);
}

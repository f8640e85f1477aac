import { setTimeout as wait } from 'node:timers/promises';
import { ApiException } from '@kubernetes/client-node';
import { HoldpointError } from '../../../domain/errors.ts';
import { kubernetesError } from '../../failure.ts';
import type { KubernetesApis } from './connect.ts';
import { withoutManagedFields } from './managed-fields.ts';

const pageSize = 500;
const pagesMax = 400;
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
  const stale = { call, cluster, cause: 'it has answered with an older state than before' };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const list = await readPages(kind, cluster, connect, options);
      // What a watch has shown must not be forgotten: a pod that goes would be evicted a second time.
      if (!isOlder(list.resourceVersion, options.notBefore ?? '')) return list;
      if (attempt >= listAttemptsMax) throw new HoldpointError('kubernetes-unreachable', stale);
    } catch (error) {
      if (!isGone(error) || attempt >= listAttemptsMax) throw kubernetesError(error, call, cluster);
    }
  }
}

async function readPages<Item>(
  kind: Kind<Item>,
  cluster: string,
  connect: () => Promise<KubernetesApis>,
  { labelSelector, fieldSelector, known, signal = new AbortController().signal }: ReadListOptions<Item>,
): Promise<WholeList<Item>> {
  const { title, path, readsManagedFields = false } = kind;
  const byKey = new Map<string, Listed<Item>>();
  const begunAtMs = performance.now();
  const selectors = { ...(labelSelector !== undefined && { labelSelector }), ...(fieldSelector !== undefined && { fieldSelector }) };
  const ask = (next: string): Promise<Buffer> => {
    const query = { limit: String(pageSize), ...selectors, ...(next !== '' && { continue: next }) };
    const asked = readPatiently(async () => readWhole(await (await connect()).open(path, query, signal)));
    // Where something else fails first, nobody waits for it.
    asked.catch(() => undefined);
    return asked;
  };
  let asked = ask('');
  for (let page = 1; page <= pagesMax; page += 1) {
    const json = await asked;
    // The server works on the next page while this one is read.
    const soon = page < pagesMax ? continuationOf(json) : undefined;
    if (soon !== undefined) asked = ask(soon);
    const { metadata, items } = JSON.parse((readsManagedFields ? json : withoutManagedFields(json)).toString('utf8')) as Page;
    for (const object of items) byKey.set(keyOf(object), listed(kind, object, known?.get(keyOf(object))));
    const next = metadata.continue ?? '';
    if (next === '') return { byKey, resourceVersion: metadata.resourceVersion ?? '', tookMs: performance.now() - begunAtMs };
    if (soon !== next && page < pagesMax) asked = ask(next);
  }
  const cause = `more than ${pagesMax * pageSize} objects`;
  throw new HoldpointError('kubernetes-refused', { call: `list ${title}`, cluster, cause });
}

/** What is kept of an object: the same as before where it is of the same version. */
export function listed<Item>({ view }: Kind<Item>, object: ListedObject, before?: Listed<Item>): Listed<Item> {
  const { resourceVersion: version = '' } = object.metadata;
  return version !== '' && before?.version === version ? before : { item: view(object), version };
}

async function readWhole(response: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks);
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

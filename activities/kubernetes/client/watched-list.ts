import { setMaxListeners } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { ApiException } from '@kubernetes/client-node';
import { connectionLost, kubernetesError } from '../../failure.ts';
import type { KubernetesApis } from './connect.ts';
import { inParallel } from './read.ts';
import {
  isGone,
  isOlder,
  itemsOf,
  keyOf,
  listed,
  objectsMax,
  readList,
  type Kind,
  type Listed,
  type ListedObject,
  type WholeList,
} from './list.ts';

/** How long a list is trusted to be kept whole by its watch; a new list heals whatever a watch may have missed. */
const listAgeMinMs = 60_000;
/** A list that takes long is read anew less often, so that no more than a twentieth of the time goes into it. */
const listAgePerDuration = 20;
const pauseMinMs = 50;
const pauseMaxMs = 5_000;
/** An object has a few MB at most, as etcd takes no more. */
const eventCharactersMax = 16 * 1024 * 1024;
/** Failures in a row after which those who wait are told. */
const failuresInARowMax = 5;

interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: ListedObject & { code?: number; message?: string };
}

/** Whoever is told of what happens in a list. */
export interface ListFollower<Item> {
  /** An object has come (nothing before), changed or gone (nothing after). */
  onChange: (before: Item | undefined, after: Item | undefined) => void;
  /** The server has not answered for a while, so that `items()` throws. */
  onFailure: () => void;
}

/**
 * All objects of a kind, kept as they are by a watch. A watch that is cut goes on where it was; where the server has forgotten that
 * place (410), or a list has become old, everything is listed anew. That goes on beside the watch, as a long list takes seconds in
 * which nothing must be missed. Several may follow the same list; the last one that leaves ends it.
 */
export class WatchedList<Item> {
  private readonly kind: Kind<Item>;
  private readonly cluster: string;
  private readonly connect: () => Promise<KubernetesApis>;
  private readonly onEnd: () => void;
  private readonly ending = new AbortController();
  private readonly followers = new Set<ListFollower<Item>>();
  private byKey = new Map<string, Listed<Item>>();
  /** Up to where the watch has come. */
  private resourceVersion = '';
  /** What the watch shows while a list is being read: what the list says of the same objects may be older. */
  private seenSinceList = new Map<string, { version: string; now: Listed<Item> | undefined }>();
  private listVersion = '';
  private listedAtMs = 0;
  private listAgeMaxMs = listAgeMinMs;
  private failures = 0;
  private lastError: unknown;
  private running: Promise<void> | undefined;
  private listing: Promise<void> | undefined;
  private current: IncomingMessage | undefined;
  /** How many lists have been asked for, and up to which of them has been answered. */
  private listsWanted = 1;
  private listsServed = 0;
  private wakers: (() => void)[] = [];

  /** @param onEnd told when the last follower has left: from then on it is of no use any more */
  constructor(kind: Kind<Item>, cluster: string, connect: () => Promise<KubernetesApis>, onEnd: () => void = () => undefined) {
    this.kind = kind;
    this.cluster = cluster;
    this.connect = connect;
    this.onEnd = onEnd;
    // Many requests at once listen to it, which Node takes for a leak.
    setMaxListeners(0, this.ending.signal);
  }

  /** From now on this one is told what changes, and keeps the list from ending. */
  join(follower: ListFollower<Item>): void {
    this.followers.add(follower);
  }

  /** Resolves, where this was the last follower, when everything has ended. */
  async leave(follower: ListFollower<Item>): Promise<void> {
    this.followers.delete(follower);
    if (this.followers.size > 0) return;
    this.onEnd();
    this.ending.abort();
    this.current?.destroy();
    this.wake();
    await Promise.allSettled([this.running, this.listing]);
  }

  /** Begins with what has just been read, in place of a list: what has come since, the watch tells. */
  begin(list: WholeList<Item>): void {
    this.byKey = new Map(list.byKey);
    this.resourceVersion = list.resourceVersion;
    this.noteList(list, this.listsWanted);
  }

  /**
   * Resolves when everything has been listed by a list that was begun after this call, whoever else follows it already; at once, where
   * it has begun with what was read. Throws `kubernetes-…` errors: of the first list at once.
   */
  async load(): Promise<void> {
    if (!this.running && this.listsServed > 0) return;
    // One that somebody else has begun before may show an older state.
    while (!this.running && this.listing) await this.listing.catch(() => undefined);
    if (this.running) return this.refresh();
    this.listing = this.list().finally(() => (this.listing = undefined));
    await this.listing;
  }

  /** Keeps what has been loaded as it is, from now on. */
  follow(): void {
    this.running ??= this.keep();
  }

  /** The objects as far as they are known. Throws the last error where the server has not answered for a while. */
  items(): Item[] {
    this.check();
    return itemsOf({ byKey: this.byKey });
  }

  /** Throws the last error where the server has not answered for a while. */
  check(): void {
    if (this.failures >= failuresInARowMax) throw kubernetesError(this.lastError, `watch ${this.kind.title}`, this.cluster);
  }

  /** The object of a key, `namespace/name`. */
  get(key: string): Item | undefined {
    return this.byKey.get(key)?.item;
  }

  /** Resolves when everything has been listed once more, by a list that was begun after this call. Throws where none comes about. */
  async refresh(): Promise<void> {
    const wanted = (this.listsWanted += 1);
    void this.relist();
    while (this.listsServed < wanted) {
      this.check();
      this.ending.signal.throwIfAborted();
      await new Promise<void>((resolve) => this.wakers.push(resolve));
    }
  }

  /**
   * Reads a part anew, by the field selectors that make it up, and takes what is newer than what is known: of a large cluster a few nodes
   * are read in milliseconds, while a whole list takes many seconds. Throws `kubernetes-…` errors.
   * @param isPart whether an object that is known belongs to the part: where it was not found, it is gone
   */
  async refreshPart(fieldSelectors: readonly string[], isPart: (item: Item) => boolean): Promise<void> {
    const options = { signal: this.ending.signal, notBefore: this.resourceVersion, known: this.byKey };
    const read = await inParallel(fieldSelectors, (fieldSelector) =>
      readList(this.kind, this.cluster, this.connect, { ...options, fieldSelector }),
    );
    const found = new Map(read.flatMap(({ byKey }) => [...byKey]));
    for (const [key, now] of found) if (isOlder(this.byKey.get(key)?.version ?? '0', now.version)) this.take(key, now.version, now);
    // The oldest of the lists: what has changed since is told by the watch.
    const [resourceVersion = ''] = read.map((list) => list.resourceVersion).sort((one, other) => (isOlder(one, other) ? -1 : 1));
    const gone = [...this.byKey].filter(([key, { item, version }]) => {
      return !found.has(key) && isPart(item) && !isOlder(resourceVersion, version);
    });
    for (const [key] of gone) this.take(key, resourceVersion, undefined);
  }

  private async keep(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      try {
        if (this.isListDue()) void this.relist();
        await this.watch();
        this.failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!isGone(error)) await this.bear(error);
        // A list shows that the server answers again; a watch of what rarely changes may say nothing for a long time.
        if (isGone(error) || this.failures >= failuresInARowMax) {
          this.listsWanted += 1;
          await this.relist();
        }
      }
    }
  }

  private isListDue(): boolean {
    return this.listsServed < this.listsWanted || performance.now() - this.listedAtMs > this.listAgeMaxMs;
  }

  /** Lists until every list that has been asked for is there; one at a time, whoever asks. */
  private relist(): Promise<void> {
    this.listing ??= this.listUntilServed().finally(() => (this.listing = undefined));
    return this.listing;
  }

  private async listUntilServed(): Promise<void> {
    const { signal } = this.ending;
    while (this.isListDue() && !signal.aborted) {
      try {
        await this.list();
        this.failures = 0;
      } catch (error) {
        if (!signal.aborted) await this.bear(error);
      }
    }
  }

  /** A failure is waited out; those who wait hear of it where it has happened too often in a row. */
  private async bear(error: unknown): Promise<void> {
    this.failures += 1;
    this.lastError = error;
    this.wake();
    if (this.failures >= failuresInARowMax) for (const follower of this.followers) follower.onFailure();
    const pauseMs = Math.min(pauseMaxMs, pauseMinMs * 2 ** this.failures);
    await wait(pauseMs, undefined, { signal: this.ending.signal }).catch(() => undefined);
  }

  private async list(): Promise<void> {
    const wanted = this.listsWanted;
    this.seenSinceList = new Map();
    const options = { signal: this.ending.signal, notBefore: this.resourceVersion, known: this.byKey };
    const read = await readList(this.kind, this.cluster, this.connect, options);
    const { byKey, resourceVersion } = read;
    for (const [key, { version, now }] of this.seenSinceList) if (!isOlder(version, resourceVersion)) put(byKey, key, now);
    const before = this.byKey;
    this.byKey = byKey;
    if (!isOlder(resourceVersion, this.resourceVersion)) this.resourceVersion = resourceVersion;
    this.noteList(read, wanted);
    for (const [key, now] of byKey) if (before.get(key) !== now) this.tell(before.get(key)?.item, now.item);
    for (const [key, { item }] of before) if (!byKey.has(key)) this.tell(item, undefined);
    this.wake();
  }

  private noteList({ resourceVersion, tookMs }: WholeList<Item>, served: number): void {
    this.listVersion = resourceVersion;
    this.listedAtMs = performance.now();
    this.listAgeMaxMs = Math.max(listAgeMinMs, listAgePerDuration * tookMs);
    this.listsServed = served;
  }

  /** Follows the changes until the watch ends, whoever ends it. */
  private async watch(): Promise<void> {
    const apis = await this.connect();
    const leftMs = this.listing ? listAgeMinMs : this.listAgeMaxMs - (performance.now() - this.listedAtMs);
    const timeoutSeconds = String(Math.ceil(Math.max(1_000, leftMs) / 1000));
    const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion: this.resourceVersion, timeoutSeconds };
    const response = await apis.open(this.kind.path, query, this.ending.signal);
    this.current = response;
    try {
      let rest = '';
      for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
        const lines = chunk.split('\n');
        lines[0] = rest + (lines[0] ?? '');
        rest = lines.pop() ?? '';
        if (rest.length > eventCharactersMax)
          throw connectionLost(`an event over the watch has more than ${eventCharactersMax} characters`);
        for (const line of lines) if (line !== '') this.see(JSON.parse(line) as WatchEvent);
      }
    } finally {
      response.destroy();
      this.current = undefined;
    }
    // A server that ends every watch at once must not be asked without end.
    await wait(pauseMinMs, undefined, { signal: this.ending.signal }).catch(() => undefined);
  }

  private see({ type, object }: WatchEvent): void {
    if (type === 'ERROR') throw new ApiException(object.code ?? 0, 'watch', JSON.stringify(object), {});
    this.failures = 0;
    const version = object.metadata.resourceVersion ?? '';
    // A list that has been read meanwhile may be ahead of the watch.
    if (isOlder(version, this.listVersion)) return;
    this.resourceVersion = version || this.resourceVersion;
    if (type === 'BOOKMARK') return;
    const key = keyOf(object);
    const before = this.byKey.get(key);
    // A part that has been read meanwhile may be, too.
    if (before && isOlder(version, before.version)) return;
    this.take(key, version, type === 'DELETED' ? undefined : listed(this.kind, object, before));
  }

  private take(key: string, version: string, now: Listed<Item> | undefined): void {
    const before = this.byKey.get(key);
    if (now && !before && this.byKey.size >= objectsMax) throw connectionLost(`it tells of more than ${objectsMax} objects over the watch`);
    put(this.byKey, key, now);
    if (this.listing) this.seenSinceList.set(key, { version, now });
    if (now !== before) this.tell(before?.item, now?.item);
  }

  private tell(before: Item | undefined, after: Item | undefined): void {
    for (const follower of this.followers) follower.onChange(before, after);
  }

  private wake(): void {
    for (const waker of this.wakers.splice(0)) waker();
  }
}

function put<Item>(byKey: Map<string, Listed<Item>>, key: string, now: Listed<Item> | undefined): void {
  if (now) byKey.set(key, now);
  else byKey.delete(key);
}

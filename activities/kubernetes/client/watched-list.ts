import type { IncomingMessage } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { ApiException } from '@kubernetes/client-node';
import { kubernetesError } from '../../failure.ts';
import type { KubernetesApis } from './connect.ts';
import { isGone, keyOf, readList, type Kind, type ListedObject } from './list.ts';

/** How long a list is trusted to be kept whole by its watch; a new list heals whatever a watch may have missed. */
const listAgeMaxMs = 60_000;
const pauseMinMs = 50;
const pauseMaxMs = 5_000;
/** Failures in a row after which those who wait are told. */
const failuresInARowMax = 5;

interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: ListedObject & { code?: number; message?: string };
}

/**
 * All objects of a kind, kept as they are by a watch. A watch that is cut goes on where it was; where the server has forgotten that
 * place (410), or a list has become old, everything is listed anew. Events wake whoever waits.
 */
export class WatchedList<Item> {
  private readonly kind: Kind<Item>;
  private readonly cluster: string;
  private readonly connect: () => Promise<KubernetesApis>;
  private readonly onChange: () => void;
  private readonly ending = new AbortController();
  private byKey = new Map<string, Item>();
  private resourceVersion = '';
  private listedAtMs = 0;
  private failures = 0;
  private lastError: unknown;
  private running: Promise<void> | undefined;
  private current: IncomingMessage | undefined;
  /** How many lists have been asked for, and up to which of them has been answered. */
  private listsWanted = 1;
  private listsServed = 0;
  private wakers: (() => void)[] = [];

  constructor(kind: Kind<Item>, cluster: string, connect: () => Promise<KubernetesApis>, onChange: () => void) {
    this.kind = kind;
    this.cluster = cluster;
    this.connect = connect;
    this.onChange = onChange;
  }

  /** Lists everything once. Throws `kubernetes-…` errors. */
  async load(): Promise<void> {
    await this.list();
  }

  /** Keeps what has been loaded as it is, from now on. */
  follow(): void {
    this.running ??= this.keep();
  }

  /** The objects as far as they are known. Throws the last error where the server has not answered for a while. */
  items(): Item[] {
    if (this.failures >= failuresInARowMax) throw kubernetesError(this.lastError, `watch ${this.kind.title}`, this.cluster);
    return [...this.byKey.values()];
  }

  /** Resolves when everything has been listed once more, by a list that was begun after this call. Throws where none comes about. */
  async refresh(): Promise<void> {
    const wanted = (this.listsWanted += 1);
    this.current?.destroy();
    while (this.listsServed < wanted) {
      this.items();
      this.ending.signal.throwIfAborted();
      await new Promise<void>((resolve) => this.wakers.push(resolve));
    }
  }

  async stop(): Promise<void> {
    this.ending.abort();
    this.current?.destroy();
    this.wake();
    await this.running;
  }

  private async keep(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      try {
        // A list shows that the server answers again; a watch of what rarely changes may say nothing for a long time.
        if (this.isListDue() || this.failures >= failuresInARowMax) await this.list();
        else await this.watch();
        this.failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (isGone(error)) this.listsWanted += 1;
        else await this.bear(error);
      }
    }
  }

  private isListDue(): boolean {
    return this.listsServed < this.listsWanted || performance.now() - this.listedAtMs > listAgeMaxMs;
  }

  /** A failure is waited out; those who wait hear of it where it has happened too often in a row. */
  private async bear(error: unknown): Promise<void> {
    this.failures += 1;
    this.lastError = error;
    this.wake();
    if (this.failures >= failuresInARowMax) this.onChange();
    const pauseMs = Math.min(pauseMaxMs, pauseMinMs * 2 ** this.failures);
    await wait(pauseMs, undefined, { signal: this.ending.signal }).catch(() => undefined);
  }

  private async list(): Promise<void> {
    const wanted = this.listsWanted;
    const options = { signal: this.ending.signal, notBefore: this.resourceVersion };
    const { byKey, resourceVersion } = await readList(this.kind, this.cluster, this.connect, options);
    this.byKey = byKey;
    this.resourceVersion = resourceVersion;
    this.listedAtMs = performance.now();
    this.listsServed = wanted;
    this.onChange();
    this.wake();
  }

  /** Follows the changes until the watch ends, whoever ends it. */
  private async watch(): Promise<void> {
    const apis = await this.connect();
    const leftMs = Math.max(1_000, listAgeMaxMs - (performance.now() - this.listedAtMs));
    const timeoutSeconds = String(Math.ceil(leftMs / 1000));
    const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion: this.resourceVersion, timeoutSeconds };
    const response = await apis.open(this.kind.path, query, this.ending.signal);
    this.current = response;
    // A refresh that came while the watch was being opened must not wait for its end.
    if (this.isListDue()) response.destroy();
    try {
      let rest = '';
      for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line !== '') this.see(JSON.parse(line) as WatchEvent);
      }
    } catch (error) {
      // It is ended by a refresh, too.
      if (!this.isListDue()) throw error;
    } finally {
      response.destroy();
      this.current = undefined;
    }
    // A server that ends every watch at once must not be asked without end.
    if (!this.isListDue()) await wait(pauseMinMs, undefined, { signal: this.ending.signal }).catch(() => undefined);
  }

  private see({ type, object }: WatchEvent): void {
    if (type === 'ERROR') throw new ApiException(object.code ?? 0, 'watch', JSON.stringify(object), {});
    this.failures = 0;
    this.resourceVersion = object.metadata.resourceVersion ?? this.resourceVersion;
    if (type === 'BOOKMARK') return;
    if (type === 'DELETED') this.byKey.delete(keyOf(object));
    else this.byKey.set(keyOf(object), this.kind.view(object));
    this.onChange();
  }

  private wake(): void {
    for (const waker of this.wakers.splice(0)) waker();
  }
}

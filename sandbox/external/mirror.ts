import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import { messageOf, sendTo, type ExternalAccess } from './access.ts';

/** How long to wait before a watch that broke is begun anew. */
const restartPauseMs = 500;

/** An object as far as the sandbox looks at it. */
export interface MirroredObject {
  metadata: {
    name: string;
    namespace?: string;
    uid: string;
    resourceVersion: string;
    deletionTimestamp?: string;
    labels?: Record<string, string>;
    ownerReferences?: { kind: string; controller?: boolean }[];
  };
  spec: { nodeName?: string; taints?: { key: string; value?: string; effect: string }[] };
  status: { phase?: string; conditions?: { type: string; status: string }[] };
}

/** All objects of one resource of a real cluster, kept up to date by a watch, so that they can be looked at without waiting. */
export class Mirror {
  private readonly access: ExternalAccess;
  private readonly path: string;
  private readonly objects = new Map<string, MirroredObject>();
  private readonly report: (trouble: string) => void;
  private stream: IncomingMessage | undefined;
  private stopped = false;

  private constructor(access: ExternalAccess, path: string, report: (trouble: string) => void) {
    this.access = access;
    this.path = path;
    this.report = report;
  }

  /** Lists the resource and goes on watching it. Throws where the first list fails. */
  static async start(access: ExternalAccess, path: string, report: (trouble: string) => void): Promise<Mirror> {
    const mirror = new Mirror(access, path, report);
    const version = await mirror.list();
    void mirror.follow(version);
    return mirror;
  }

  get(name: string, namespace = ''): MirroredObject | undefined {
    return this.objects.get(`${namespace}/${name}`);
  }

  all(): MirroredObject[] {
    return [...this.objects.values()];
  }

  stop(): void {
    this.stopped = true;
    this.stream?.destroy();
  }

  private async list(): Promise<string> {
    const answer = await sendTo(this.access, 'GET', this.path);
    if (answer.status !== 200) throw new Error(`${this.path} cannot be listed: ${messageOf(answer)}`);
    const { items, metadata } = answer.body as { items: MirroredObject[]; metadata: { resourceVersion: string } };
    this.objects.clear();
    for (const item of items) this.objects.set(keyOf(item), item);
    return metadata.resourceVersion;
  }

  private async follow(from: string): Promise<void> {
    let version: string | undefined = from;
    while (!this.stopped) {
      try {
        version ??= await this.list();
        version = await this.watch(version);
      } catch (error) {
        if (this.stopped) return;
        this.report(`the watch of ${this.path} broke: ${error instanceof Error ? error.message : String(error)}`);
        version = undefined;
        await wait(restartPauseMs);
      }
    }
  }

  /** Takes in changes until the watch ends; returns the version to go on from, undefined where all must be listed anew. */
  private async watch(from: string): Promise<string | undefined> {
    const stream = await this.open(`${this.path}?watch=true&allowWatchBookmarks=true&resourceVersion=${from}`);
    this.stream = stream;
    let version: string | undefined = from;
    let rest = '';
    stream.setEncoding('utf8');
    for await (const chunk of stream) {
      const lines = (rest + (chunk as string)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) version = this.take(JSON.parse(line) as { type: string; object: MirroredObject });
    }
    return version;
  }

  private take({ type, object }: { type: string; object: MirroredObject }): string | undefined {
    if (type === 'ERROR') return undefined;
    if (type === 'DELETED') this.objects.delete(keyOf(object));
    else if (type !== 'BOOKMARK') this.objects.set(keyOf(object), object);
    return object.metadata.resourceVersion;
  }

  private open(path: string): Promise<IncomingMessage> {
    const { server, agent, headers } = this.access;
    return new Promise((resolve, reject) => {
      const sent = request(`${server}${path}`, { agent, headers }, resolve);
      sent.on('error', reject);
      sent.end();
    });
  }
}

function keyOf({ metadata: { namespace = '', name } }: MirroredObject): string {
  return `${namespace}/${name}`;
}

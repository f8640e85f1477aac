import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import { keyOf, timestamp } from './objects.ts';
import type { Event, KubernetesObject } from './objects.ts';
import type { Actor, NewObject, Store } from './store.ts';

/** How many Event objects a cluster keeps; the oldest go first. */
const eventsMax = 2000;

const actor: Actor = { part: 'controller', name: 'events', verb: 'create' };

/** What an event says, and which component says it. */
type Saying = Pick<Event, 'type' | 'reason' | 'message'> & { component: string };

/** Writes the Event objects of a cluster; the same event again raises the count of the first. */
export class EventLog {
  private readonly store: Store;
  private readonly clock: Clock;
  private readonly random: Random;
  /** Keys of the events by what they say, oldest first. */
  private readonly written = new Map<string, string>();

  constructor(store: Store, clock: Clock, random: Random) {
    this.store = store;
    this.clock = clock;
    this.random = random;
  }

  record(regarding: KubernetesObject, event: Saying): void {
    const now = timestamp(this.clock.now());
    const saying = `${regarding.metadata.uid} ${event.reason} ${event.message}`;
    const key = this.written.get(saying);
    if (key !== undefined && this.store.getByKey('events', key)) {
      this.store.update('events', key, actor, (draft) => {
        draft.count++;
        draft.lastTimestamp = now;
      });
      return;
    }
    const created = this.store.create('events', this.compose(regarding, event, now), actor);
    this.written.set(saying, keyOf(created));
    this.forgetOldest();
  }

  private compose(regarding: KubernetesObject, { type, reason, message, component }: Saying, now: string): NewObject<Event> {
    const { name, namespace, uid } = regarding.metadata;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${this.random.text(16)}`, namespace: namespace ?? 'default' },
      involvedObject: { apiVersion: regarding.apiVersion, kind: regarding.kind, namespace, name, uid },
      type,
      reason,
      message,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component },
    };
  }

  private forgetOldest(): void {
    for (const [saying, key] of this.written) {
      if (this.written.size <= eventsMax) return;
      this.written.delete(saying);
      this.store.remove('events', key, { ...actor, verb: 'delete' });
    }
  }
}

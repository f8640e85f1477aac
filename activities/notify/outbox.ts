import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { HoldpointError } from '../../domain/errors.ts';
import type { EvidenceEntry } from '../../domain/evidence/evidence.ts';
import {
  channelsFor,
  eventOf,
  messageOf,
  problemsOfTemplate,
  testMessage,
  type Message,
  type MessageMark,
  type NotificationEvent,
} from '../../domain/notification.ts';
import { ownValue } from '../../domain/map.ts';
import type { Notifications } from '../../runbooks/configuration/notifications.ts';
import type { Caller } from '../caller.ts';
import type { EvidenceStore } from '../evidence/store.ts';
import type { Delivery } from './channel.ts';
import { send } from './send.ts';

/** An entry of the record of a run, which people are told of. */
export interface Told {
  run: string;
  sequence: number;
}

/** What the outbox works with. */
export interface OutboxParts {
  evidence: EvidenceStore;
  /** As they are now, with absolute paths; undefined where nobody is told of anything. */
  readNotifications(): Promise<Notifications | undefined>;
}

/**
 * Tells people of what is in a record, and of nothing else: whoever reaches Temporal can have an entry told once more, but not make up
 * what is told. Who is told, and how, is as holdpoint.yaml says at that moment.
 */
export class Outbox {
  private readonly parts: OutboxParts;

  constructor(parts: OutboxParts) {
    this.parts = parts;
  }

  /** The channels that are told of an entry, and of what. */
  async route(caller: Caller, told: Told): Promise<{ event: NotificationEvent | undefined; channels: string[] }> {
    const { entry } = await this.entriesOf(caller, told);
    const notifications = await this.parts.readNotifications();
    return { event: eventOf(entry), channels: channelsFor(notifications?.routes ?? [], entry) };
  }

  /** Sends the message of an entry over a channel, once. */
  async send(caller: Caller, told: Told, name: string, mark: MessageMark | undefined): Promise<Delivery> {
    const { started, entry } = await this.entriesOf(caller, told);
    const notifications = await this.parts.readNotifications();
    const event = eventOf(entry);
    const path = event && notifications?.templates[event];
    const template = path === undefined ? undefined : await readTemplate(path);
    const message = messageOf(started, entry, { ...(mark && { mark }), templateOf: () => template, pagesUrl: notifications?.pagesUrl });
    return message ? this.sendOver(notifications, name, message) : { state: 'refused', reason: 'nobody is told of such an entry' };
  }

  /** Sends a message that is marked as a test, over a channel. */
  async test(name: string): Promise<Delivery> {
    return this.sendOver(await this.parts.readNotifications(), name, testMessage(`test/${randomUUID()}`, new Date().toISOString()));
  }

  private async sendOver(notifications: Notifications | undefined, name: string, message: Message): Promise<Delivery> {
    const channel = ownValue(notifications?.channels ?? {}, name);
    return channel ? send(channel, message) : { state: 'refused', reason: `the configuration of the worker has no channel ${name}` };
  }

  /** An entry is told by the outbox that the execution has started which has written it. */
  private async entriesOf({ parent }: Caller, { run, sequence }: Told): Promise<{ started: EvidenceEntry; entry: EvidenceEntry }> {
    const { evidence } = this.parts;
    const [started, entry] = [await evidence.readEntry(run, 1), await evidence.readEntry(run, sequence)];
    if (started && entry && parent && entry.execution === parent.execution) return { started, entry };
    const cause = `the execution that has started it has not written entry ${sequence} of ${run}`;
    throw new HoldpointError('caller-refused', { activity: 'notify', cause });
  }
}

/** A template that cannot be used gives way to the text that is built in: that people are told matters more. */
async function readTemplate(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text === undefined || problemsOfTemplate(text).length > 0 ? undefined : text;
}

import type { Connect, DatabaseSession } from './session.ts';
import { DatabaseTrouble } from './session.ts';

/** With more heartbeats than this under way, new ones are begun at the pace at which those time out. */
const underWayAtOnce = 2;
/** A heartbeat that is begun this much too late tells that this process did not run. */
const lateMinMs = 250;
const lateIntervals = 3;

/** How often heartbeats are sent, and how long each may take. */
export interface HeartbeatSettings {
  intervalMs: number;
  /** For connecting, and for the statement. */
  timeoutMs: number;
  /** Connections that are open at once, while none of them answers. */
  connectionsMax: number;
}

/** What a sender of heartbeats tells; times are milliseconds since 1970. */
export interface HeartbeatEvents {
  accepted(number: number, startedMs: number, endedMs: number, server: string): void;
  failed(number: number, startedMs: number, endedMs: number, trouble: DatabaseTrouble): void;
  /** This process did not run. */
  unseen(fromMs: number, toMs: number): void;
}

/** Milliseconds since 1970, by a clock that is never set while a process runs. */
export function nowMs(): number {
  return Math.round(performance.timeOrigin + performance.now());
}

/**
 * Sends heartbeats at a rate, as a client does that connects anew whenever something is wrong. A heartbeat that gets no answer holds up
 * none of those after it: they are sent over connections of their own.
 */
export class HeartbeatSender {
  private readonly connect: Connect;
  private readonly send: (session: DatabaseSession, number: number) => Promise<void>;
  private readonly settings: HeartbeatSettings;
  private readonly events: HeartbeatEvents;
  private readonly open = new Set<DatabaseSession>();
  private readonly underWay = new Set<Promise<void>>();
  private idle: DatabaseSession | undefined;
  private timer: NodeJS.Timeout | undefined;
  private nextNumber: number;
  private dueMs = 0;
  private lastBegunMs = 0;
  private isStopped = false;

  /** @param firstNumber of the first heartbeat; each has a number of its own. */
  constructor(
    connect: Connect,
    send: (session: DatabaseSession, number: number) => Promise<void>,
    settings: HeartbeatSettings,
    events: HeartbeatEvents,
    firstNumber = 1,
  ) {
    this.connect = connect;
    this.send = send;
    this.settings = settings;
    this.events = events;
    this.nextNumber = firstNumber;
  }

  /** The number of the next heartbeat. */
  get next(): number {
    return this.nextNumber;
  }

  start(): void {
    this.dueMs = nowMs();
    this.schedule();
  }

  /** Begins no further heartbeat, and resolves when those under way have ended, each within its time. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await Promise.all(this.underWay);
    for (const session of this.open) session.close();
  }

  private schedule(): void {
    if (this.isStopped) return;
    this.timer = setTimeout(() => this.tick(), Math.max(0, this.dueMs - nowMs()));
  }

  private tick(): void {
    const now = nowMs();
    const { intervalMs } = this.settings;
    if (now - this.dueMs > Math.max(lateMinMs, lateIntervals * intervalMs)) this.events.unseen(this.dueMs, now);
    // What was missed is not made up for: that would be a rate that nobody has asked for.
    this.dueMs = Math.max(this.dueMs + intervalMs, now);
    if (this.mayBegin(now)) {
      const sending = this.begin(now).finally(() => this.underWay.delete(sending));
      this.underWay.add(sending);
    }
    this.schedule();
  }

  private mayBegin(now: number): boolean {
    const { timeoutMs, connectionsMax } = this.settings;
    if (this.underWay.size < underWayAtOnce) return true;
    return this.underWay.size < connectionsMax && now - this.lastBegunMs >= timeoutMs / connectionsMax;
  }

  private async begin(startedMs: number): Promise<void> {
    const number = this.nextNumber++;
    this.lastBegunMs = startedMs;
    let session = this.idle;
    this.idle = undefined;
    try {
      session ??= await this.connected();
      await this.send(session, number);
      this.events.accepted(number, startedMs, nowMs(), session.server);
      this.keep(session);
    } catch (error) {
      const trouble = error instanceof DatabaseTrouble ? error : new DatabaseTrouble('unknown trouble', true);
      this.events.failed(number, startedMs, nowMs(), trouble);
      // Whatever else is open leads to the same place.
      for (const one of [session, this.idle]) if (one) this.end(one);
      this.idle = undefined;
    }
  }

  private async connected(): Promise<DatabaseSession> {
    const session = await this.connect(this.settings.timeoutMs);
    this.open.add(session);
    return session;
  }

  private keep(session: DatabaseSession): void {
    if (this.idle === undefined && !this.isStopped) this.idle = session;
    else this.end(session);
  }

  private end(session: DatabaseSession): void {
    this.open.delete(session);
    session.close();
  }
}

import type { Json } from '../../domain/json.ts';
import { checkRows, acknowledge, noneAcknowledged, type RowsCheck, type Acknowledged } from '../../domain/database/heartbeats.ts';
import { meterAfter, meterFrom, newMeter, type OutageMeter, type Seen } from '../../domain/database/outage.ts';
import type { AddressChange, HeldConnection, ProbeReport } from '../../domain/database/probe-report.ts';
import type { DatabaseAddress } from './address.ts';
import { connectorFor } from './connect.ts';
import { holdConnection } from './held-connection.ts';
import { watchHost, type LookUp } from './host-addresses.ts';
import { nowMs, HeartbeatSender, type HeartbeatSettings } from './heartbeat-sender.ts';
import { rowsPageSize, type Connect, type DatabaseSession } from './session.ts';

const stallMinMs = 1_000;
const connectionsMax = 20;
const timeoutMs = 2_000;
/** A probe that was killed may have sent this many heartbeats after what it has left was written. */
const numbersPassedOver = 100_000;
const addressChangesMax = 20;
/** Heartbeats that one probe writes; then it has to be begun anew. */
export const heartbeatsMax = 1_000_000;
/** Attempts to read the rows at the end, each with a connection of its own. */
const rowsAttemptsMax = 3;

/** What a probe works on. */
export interface ProbeOptions {
  /** Its rows have it in them: of one probe, with all attempts at it. */
  id: string;
  writer: DatabaseAddress;
  /** Reads are tried as well where it is given. */
  reader?: DatabaseAddress;
  writesPerSecond: number;
  /** What an earlier attempt has left (`state`). */
  earlier?: Json;
  /** For tests; both have a default. */
  connector?: (address: DatabaseAddress) => Connect;
  lookUp?: LookUp;
}

/** Writes heartbeats through one address and reads through another, and measures how long they are refused. */
export class OutageProbe {
  private readonly options: ProbeOptions;
  private readonly writerConnect: Connect;
  private readonly writes: HeartbeatSender;
  private readonly reads: HeartbeatSender | undefined;
  private readonly stopping = new AbortController();
  private readonly besides: Promise<void>[] = [];
  private writeMeter: OutageMeter;
  private readMeter: OutageMeter;
  private acknowledged: Acknowledged;
  private held: HeldConnection | undefined;
  private readonly addressChanges: AddressChange[] = [];
  private rowsCheck: RowsCheck | undefined;

  private constructor(options: ProbeOptions) {
    const { writer, reader, writesPerSecond, connector = connectorFor, earlier } = options;
    this.options = options;
    this.writerConnect = connector(writer);
    const left = stateFrom(earlier);
    const now = nowMs();
    const resumed = (meter: OutageMeter | undefined): OutageMeter => {
      if (!meter || !left) return newMeter(now);
      return meterAfter(meter, { kind: 'unseen', fromMs: left.atMs, toMs: now }, this.stallMs);
    };
    this.writeMeter = resumed(left?.writes);
    this.readMeter = resumed(left?.reads);
    this.acknowledged = left?.acknowledged ?? noneAcknowledged;
    const settings: HeartbeatSettings = { intervalMs: 1_000 / writesPerSecond, timeoutMs, connectionsMax };
    const { id } = options;
    const firstNumber = left ? left.nextNumber + numbersPassedOver : 1;
    const see = (seen: Seen): void => void (this.writeMeter = meterAfter(this.writeMeter, seen, this.stallMs));
    const onAcknowledged = (number: number): void => void (this.acknowledged = acknowledge(this.acknowledged, number));
    this.writes = new HeartbeatSender(
      this.writerConnect,
      (session, number) => session.write(id, number),
      settings,
      eventsOf(see, onAcknowledged),
      firstNumber,
    );
    if (!reader) return;
    const seeRead = (seen: Seen): void => void (this.readMeter = meterAfter(this.readMeter, seen, this.stallMs));
    this.reads = new HeartbeatSender(connector(reader), (session) => session.read(), settings, eventsOf(seeRead));
  }

  /**
   * Begins to send heartbeats, after the table for them was made where there was none. Throws DatabaseTrouble where the database cannot
   * be written to now; an attempt that goes on from an earlier one begins all the same.
   */
  static async start(options: ProbeOptions): Promise<OutageProbe> {
    const probe = new OutageProbe(options);
    if (options.earlier === undefined) await probe.prepare();
    probe.begin();
    return probe;
  }

  private get stallMs(): number {
    return stallMinMs + 1_000 / this.options.writesPerSecond;
  }

  private async prepare(): Promise<void> {
    await this.over(async (session) => session.prepare());
  }

  private begin(): void {
    const { writer, reader, id, lookUp } = this.options;
    const { signal } = this.stopping;
    this.writes.start();
    this.reads?.start();
    for (const host of new Set([writer.host, ...(reader ? [reader.host] : [])])) {
      this.besides.push(watchHost(host, (change) => this.noteAddress(change), signal, lookUp));
    }
    // Its rows are of a probe of its own, so that those of the heartbeats can be counted.
    const write = (session: DatabaseSession): Promise<void> => session.write(heldId(id), 1);
    this.besides.push(holdConnection(this.writerConnect, write, timeoutMs, (held) => void (this.held = held), signal));
  }

  private noteAddress(change: AddressChange): void {
    if (this.addressChanges.length < addressChangesMax) this.addressChanges.push(change);
  }

  /** Whether it has written as many heartbeats as it may. */
  get isFull(): boolean {
    return this.writeMeter.accepted >= heartbeatsMax;
  }

  /** What was measured so far. */
  report(): ProbeReport {
    const reads = this.reads ? this.readMeter : null;
    const { held = null, rowsCheck = null, addressChanges } = this;
    return { atMs: nowMs(), writes: this.writeMeter, reads, held, addressChanges: [...addressChanges], rowsCheck };
  }

  /** What another attempt goes on from: plain data of a few KiB at most. */
  state(): Json {
    const state: ProbeState = {
      atMs: nowMs(),
      writes: this.writeMeter,
      reads: this.readMeter,
      acknowledged: this.acknowledged,
      nextNumber: this.writes.next,
    };
    return state;
  }

  /**
   * Ends it, and compares the rows with what was acknowledged. Where they cannot be read, the report has no check of them. `keepRows`
   * is for a probe that another attempt goes on with.
   */
  async stop({ keepRows = false } = {}): Promise<ProbeReport> {
    this.stopping.abort();
    await Promise.all([this.writes.stop(), this.reads?.stop(), ...this.besides]);
    if (!keepRows) {
      for (let attempt = 0; attempt < rowsAttemptsMax && !this.rowsCheck; attempt += 1) {
        await this.over((session) => this.takeRows(session)).catch(() => undefined);
      }
    }
    return this.report();
  }

  /** Removes what it has written; what cannot be removed is by the probe that comes after some days. */
  async removeRows(): Promise<void> {
    const { id } = this.options;
    await this.over(async (session) => {
      for (const probe of [id, heldId(id)]) await session.removeRows(probe);
    }).catch(() => undefined);
  }

  private async takeRows(session: DatabaseSession): Promise<void> {
    const { id } = this.options;
    const rows: { number: number; count: number }[] = [];
    for (;;) {
      const page = await session.rows(id, rows.at(-1)?.number ?? 0);
      rows.push(...page);
      if (page.length < rowsPageSize || rows.length > heartbeatsMax * 2) break;
    }
    this.rowsCheck = checkRows(this.acknowledged, rows);
  }

  private async over<Result>(work: (session: DatabaseSession) => Promise<Result>): Promise<Result> {
    const session = await this.writerConnect(timeoutMs);
    try {
      return await work(session);
    } finally {
      session.close();
    }
  }
}

type ProbeState = {
  atMs: number;
  writes: OutageMeter;
  reads: OutageMeter;
  acknowledged: Acknowledged;
  nextNumber: number;
};

function stateFrom(value: Json | undefined): ProbeState | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return meterFrom(value.writes) && meterFrom(value.reads) ? (value as unknown as ProbeState) : undefined;
}

function heldId(id: string): string {
  return `${id}:held`;
}

function eventsOf(see: (seen: Seen) => void, onAcknowledged: (number: number) => void = () => undefined) {
  return {
    accepted: (number: number, startedMs: number, endedMs: number, server: string) => {
      onAcknowledged(number);
      see({ kind: 'accepted', startedMs, endedMs, server });
    },
    failed: (
      _number: number,
      startedMs: number,
      endedMs: number,
      { message: reason, isUnanswered }: { message: string; isUnanswered: boolean },
    ) => see({ kind: 'failed', startedMs, endedMs, reason, isUnanswered }),
    unseen: (fromMs: number, toMs: number) => see({ kind: 'unseen', fromMs, toMs }),
  };
}

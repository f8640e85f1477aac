import { createHash } from 'node:crypto';
import type { ActionContext, Checkpoint, Observation } from '../../domain/action.ts';
import { ToldError } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { measuredDuration, momentOf, refusedFor, summaryOf, type ProbeReport } from '../../domain/database/probe-report.ts';
import { formatTarget } from '../../domain/target.ts';
import type { Following } from '../action.ts';
import type { Clients } from '../clients.ts';
import { readAddress } from '../database/address.ts';
import { OutageProbe } from '../database/probe.ts';
import { DatabaseTrouble, heartbeatTable } from '../database/session.ts';
import { readSecret, SecretError } from '../secret.ts';

/** Before a change is asked for, this many writes must have been accepted, within this time. */
const baselineWrites = 10;
const baselineMaxMs = 3_000;
const baselineLookMs = 50;
/** Writes must have been accepted for this long before an outage counts as over. */
const settleMs = 1_000;
/** How long writes may be refused after RDS has said that all is done. */
const refusedAfterMaxMs = 60_000;
const checkpointMs = 1_000;
const sentencesMax = 20;
const idCharacters = 32;

/** What the checkpoint of a step has of a measurement. */
type Kept = { probe: Json } | { result: JsonObject };

/**
 * Measures the outage of one step, where the configuration of the worker says how. It is never a reason to stop before the change: where it
 * cannot measure, it says why.
 */
export class OutageMeasurement {
  private readonly context: ActionContext;
  private probe: OutageProbe | undefined;
  private result: JsonObject | undefined;
  private doneSinceMs: number | undefined;

  private constructor(context: ActionContext) {
    this.context = context;
  }

  /** Begins, or goes on from what an earlier attempt has left in the checkpoint. Throws nothing. */
  static async begin(clients: Pick<Clients, 'probe'>, context: ActionContext, earlier: Json | undefined): Promise<OutageMeasurement> {
    const measurement = new OutageMeasurement(context);
    const kept = keptFrom(earlier);
    if (kept && 'result' in kept) measurement.result = kept.result;
    else await measurement.startProbe(clients, kept?.probe);
    return measurement;
  }

  /** What the next attempt goes on from. */
  state(): Json | undefined {
    if (this.result) return { result: this.result };
    return this.probe && { probe: this.probe.state() };
  }

  /** Resolves when the writes before the change are known, or it is known that they cannot be measured. */
  async baseline(expectedServer: string): Promise<void> {
    const { probe, context } = this;
    if (!probe) return;
    const endsAtMs = performance.now() + baselineMaxMs;
    while (probe.report().writes.accepted < baselineWrites && performance.now() < endsAtMs && !context.signal.aborted) {
      await context.wait(baselineLookMs);
    }
    const { lastAccepted, open } = probe.report().writes;
    if (lastAccepted === null) {
      const [reason = 'no answer in time'] = Object.keys(open?.reasons ?? {});
      await this.giveUp(`no write was accepted before the change (${reason})`);
    } else if (lastAccepted.server !== expectedServer) {
      await this.giveUp(`the URL leads to ${lastAccepted.server}, which is not the writer ${expectedServer}`);
    }
  }

  /** What is seen of a step with what was measured: it is done when writes are accepted again, too. */
  async with(seen: Observation): Promise<Observation> {
    if (seen.state === 'stuck') return seen;
    const told = this.result ? undefined : this.probe && momentOf(this.probe.report());
    if (seen.state !== 'done') {
      if (told === undefined || !seen.progress) return seen;
      return { ...seen, progress: { ...seen.progress, summary: `${seen.progress.summary}; ${told}` } };
    }
    if (this.probe && !this.result) {
      const open = this.whileRefused(this.probe.report(), seen);
      if (open) return open;
      await this.finish(this.probe);
    }
    const result = this.result ?? { measured: false, reason: 'no probe is configured' };
    const summary = [seen.progress?.summary, outageText(result)].filter((text) => text !== undefined).join('; ');
    return { ...seen, outputs: { ...seen.outputs, outage: result }, ...(seen.progress && { progress: { ...seen.progress, summary } }) };
  }

  /** Ends it; another attempt may go on with it. */
  async stop(): Promise<void> {
    await this.probe?.stop({ keepRows: true });
    this.probe = undefined;
  }

  private async startProbe(clients: Pick<Clients, 'probe'>, earlier: Json | undefined): Promise<void> {
    const { target, run, step } = this.context;
    try {
      const access = await clients.probe(target);
      if (!access) return;
      const writer = readAddress(await readSecret(access.writer));
      const reader = access.reader && readAddress(await readSecret(access.reader));
      const id = createHash('sha256').update(`${run}/${step}`).digest('hex').slice(0, idCharacters);
      this.probe = await OutageProbe.start({ id, writer, reader, writesPerSecond: access.writesPerSecond, earlier });
    } catch (error) {
      const isKnown = error instanceof DatabaseTrouble || error instanceof SecretError || error instanceof ToldError;
      this.result = { measured: false, reason: isKnown ? error.message : `the probe of ${formatTarget(target)} cannot be begun` };
    }
  }

  private async giveUp(reason: string): Promise<void> {
    await this.probe?.stop();
    await this.probe?.removeRows();
    this.probe = undefined;
    this.result = { measured: false, reason };
  }

  private whileRefused(report: ProbeReport, seen: Observation & { state: 'done' }): Observation | undefined {
    const { writes, atMs } = report;
    this.doneSinceMs ??= atMs;
    const over = writes.open === null && writes.lastAccepted !== null;
    const lastOver = writes.outages.at(-1)?.firstAcceptedMs ?? this.doneSinceMs;
    if (over && atMs - lastOver >= settleMs) return undefined;
    const summary = `${seen.progress?.summary ?? 'it is done'}; ${momentOf(report)}`;
    const progress = { done: 0, total: 1, unit: 'changes', items: [], ...seen.progress, summary };
    if (atMs - this.doneSinceMs < refusedAfterMaxMs) return { state: 'moving', progress };
    const reasons = Object.keys(writes.open?.reasons ?? {}).join(', ');
    return {
      state: 'stuck',
      reason: `RDS says that it is over, but writes through the cluster endpoint are still refused: ${reasons || 'no answer in time'}.`,
      remedy:
        'Find out whether clients reach the new writer (its DNS name, security groups, the user of the probe); then try again ' +
        '(`holdpoint retry`), or say that it is done (`holdpoint done`).',
      progress,
    };
  }

  /** What was measured is safe before its rows are removed: without them it could not be told again. */
  private async finish(probe: OutageProbe): Promise<void> {
    const report = await probe.stop();
    this.result = resultOf(report);
    this.context.checkpoint.write(withOutage(this.context.checkpoint.read(), this.state()));
    await this.context.wait(checkpointMs);
    await probe.removeRows();
  }
}

/** A step that refuses writes for a time, as it is carried out over a measurement. */
export interface MeasuredStep {
  /** The instance that takes the writes at first; undefined where there is nothing to do. */
  writer: string | undefined;
  observe: (context: ActionContext) => Promise<Observation>;
  /** `ready` resolves when the writes before the change are known: the request goes out after that. */
  act: (context: ActionContext, ready: () => Promise<void>) => Promise<void>;
}

/** The same looks and pushes of a step, while its outage is measured. */
export async function followMeasured(
  clients: Pick<Clients, 'probe'>,
  given: ActionContext,
  { writer, observe, act }: MeasuredStep,
): Promise<Following> {
  const nowhere = { probe: async () => undefined };
  const measurement = await OutageMeasurement.begin(writer === undefined ? nowhere : clients, given, outageIn(given.checkpoint.read()));
  const checkpoint: Checkpoint = {
    read: () => given.checkpoint.read(),
    write: (memory) => given.checkpoint.write(withOutage(memory, measurement.state())),
  };
  const context = { ...given, checkpoint };
  return {
    observe: async () => measurement.with(await observe(context)),
    act: () => act(context, () => measurement.baseline(writer ?? '')),
    changed: (timeoutMs) => given.wait(timeoutMs),
    stop: () => measurement.stop(),
  };
}

/** What a plan says of the measurement. */
export function measurementNote(probe: { writesPerSecond: number } | undefined): string {
  if (!probe) return 'The outage is not measured: `probes` of holdpoint.yaml has no entry for this target.';
  return `The outage is measured by ${probe.writesPerSecond} rows a second that are written to the table ${heartbeatTable} meanwhile.`;
}

/** A checkpoint with what another attempt at the measurement goes on from. */
function withOutage(memory: Json | undefined, outage: Json | undefined): Json {
  const own = typeof memory === 'object' && memory !== null && !Array.isArray(memory) ? memory : {};
  return outage === undefined ? own : { ...own, outage };
}

/** What a checkpoint has of a measurement. */
function outageIn(memory: Json | undefined): Json | undefined {
  return typeof memory === 'object' && memory !== null && !Array.isArray(memory) ? memory.outage : undefined;
}

function keptFrom(value: Json | undefined): Kept | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return 'result' in value || 'probe' in value ? (value as unknown as Kept) : undefined;
}

function resultOf(report: ProbeReport): JsonObject {
  const { writes, reads, rowsCheck, atMs } = report;
  const sentences = summaryOf(report, (ms) => new Date(ms).toISOString()).slice(0, sentencesMax);
  return {
    measured: true,
    writesRefusedMs: refusedFor(writes, atMs),
    readsRefusedMs: reads && refusedFor(reads, atMs),
    lostWrites: rowsCheck?.lost ?? null,
    doubledWrites: rowsCheck?.doubled ?? null,
    sentences,
  };
}

function outageText(result: JsonObject): string {
  if (result.measured !== true) return `outage not measured: ${typeof result.reason === 'string' ? result.reason : 'unknown reason'}`;
  const refused = result.writesRefusedMs as { atLeastMs: number; atMostMs: number };
  const lost = typeof result.lostWrites === 'number' && result.lostWrites > 0 ? `, ${result.lostWrites} accepted writes are lost` : '';
  return `writes were refused for ${measuredDuration(refused)}${lost}`;
}

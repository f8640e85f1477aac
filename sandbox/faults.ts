import type { ServerResponse } from 'node:http';
import * as z from 'zod';
import { Random } from './random.ts';

/** What can go wrong with a request, whichever face of the world it is for. */
export const faultKinds = ['throttle', 'error', 'timeout', 'replyLost', 'watchCut', 'staleRead', 'delay'] as const;

export type FaultKind = (typeof faultKinds)[number];

/** How many single faults may wait for their request. */
const armedMax = 100;

/** How many requests are held without an answer at a time; beyond that they are dropped at once. */
const heldMax = 1000;

const settingsSchema = z.strictObject({
  rate: z.number().min(0).max(1),
  kinds: z.array(z.enum(faultKinds)).min(1).max(faultKinds.length).optional(),
  seed: z.int().optional(),
  only: z.enum(['reads', 'writes']).optional(),
  operations: z.array(z.string().min(1)).min(1).max(100).optional(),
  timeoutMs: z.int().min(0).max(600_000).optional(),
  delayMs: z.int().min(0).max(60_000).optional(),
  staleMs: z.int().min(0).max(600_000).optional(),
});

const armingSchema = z.strictObject({
  operation: z.string().min(1).optional(),
  kind: z.enum(faultKinds),
  times: z.int().min(1).max(1000).default(1),
});

/** How often requests go wrong, and how. */
export interface FaultSettings {
  /** The share of requests that go wrong, 0 to 1. */
  rate: number;
  /** Which faults there are; all unless given. */
  kinds?: FaultKind[];
  /** The same seed and the same requests give the same faults; that of the world unless given. */
  seed?: number;
  only?: 'reads' | 'writes';
  /** Only these: `UpdateNodegroupVersion`, `DescribeSubnets`, `PATCH nodes`, `POST pods/eviction`, `WATCH pods`. */
  operations?: string[];
  /** How long a `timeout` holds the connection if the client does not leave before (wall clock). */
  timeoutMs?: number;
  /** The longest `delay` (wall clock). */
  delayMs?: number;
  /** How old a `staleRead` may be (simulated time). */
  staleMs?: number;
}

/** A fault that hits the next requests it fits, whatever the rate. */
export interface ArmedFault {
  /** e.g. `POST pods/eviction`; any request unless given. */
  operation?: string;
  kind: FaultKind;
  /** How many requests it hits; one unless given. */
  times?: number;
}

/** A request as faults see it. */
export interface FaultSubject {
  operation: string;
  reads: boolean;
  /** Faults that can befall this request. */
  possible: readonly FaultKind[];
}

/** A fault that has been drawn for a request. */
export interface Fault {
  kind: FaultKind;
  /** More than 0, at most 1: the share of the longest delay or of the oldest age; 1 for one that was armed. */
  severity: number;
}

/** Faults of any request, and those that writes and reads can have on top. */
const always = ['throttle', 'error', 'timeout', 'replyLost', 'delay'] as const;

/** The faults of a request that is answered once. `stale` says whether the face can answer it out of the past. */
export function faultsOfRequest({ stale }: { stale: boolean }): readonly FaultKind[] {
  return stale ? [...always, 'staleRead'] : always;
}

/** The faults of a watch, whose answer has no end. */
export const faultsOfWatch: readonly FaultKind[] = ['throttle', 'error', 'timeout', 'watchCut', 'delay'];

const defaults = { timeoutMs: 10_000, delayMs: 300, staleMs: 10_000 };

/** Decides which requests go wrong. Each operation has chance of its own, so that how requests interleave does not matter. */
export class Faults {
  private readonly worldSeed: number;
  private readonly count: (kind: FaultKind) => void;
  private readonly chances = new Map<string, Random>();
  private readonly armed: { operation: string | undefined; kind: FaultKind; times: number }[] = [];
  private current: FaultSettings = { rate: 0 };
  private held = 0;

  /** `count` hears of every fault that is drawn. Throws as `set` does. */
  constructor(worldSeed: number, count: (kind: FaultKind) => void, settings?: FaultSettings) {
    this.worldSeed = worldSeed;
    this.count = count;
    if (settings) this.set(settings);
  }

  get settings(): FaultSettings {
    return this.current;
  }

  /** How old, in simulated milliseconds, a stale read of this severity is. */
  ageMs({ severity }: Fault): number {
    return severity * (this.current.staleMs ?? defaults.staleMs);
  }

  /** Sets what goes wrong from here on, and begins anew with its seed. Throws a RangeError that names the wrong setting. */
  set(settings: unknown): void {
    this.current = checked(settingsSchema, settings);
    this.chances.clear();
  }

  /** Arms a fault for the next requests that it fits. Throws a RangeError for what cannot be armed. */
  next(fault: ArmedFault): void {
    const { operation, kind, times } = checked(armingSchema, fault);
    if (this.armed.length >= armedMax) throw new RangeError(`${armedMax} faults are armed, which is the limit; none of them was met yet`);
    this.armed.push({ operation, kind, times });
  }

  /** The fault that befalls a request, if any. */
  draw(subject: FaultSubject): Fault | undefined {
    const fault = this.takeArmed(subject) ?? this.drawByChance(subject);
    if (fault) this.count(fault.kind);
    return fault;
  }

  /**
   * Lets a fault act on the connection, before the request is carried out. Returns whether the request goes on: after a
   * delay, or with its reply lost. A fault that is an answer (throttle, error …) is left to the face.
   */
  async strike(fault: Fault | undefined, response: ServerResponse): Promise<boolean> {
    if (fault?.kind === 'replyLost') loseReply(response);
    if (fault?.kind === 'delay') await this.hold(response, Math.ceil(fault.severity * (this.current.delayMs ?? defaults.delayMs)));
    if (fault?.kind === 'timeout') {
      await this.hold(response, this.current.timeoutMs ?? defaults.timeoutMs);
      response.destroy();
    }
    return !response.destroyed;
  }

  private takeArmed({ operation, possible }: FaultSubject): Fault | undefined {
    const index = this.armed.findIndex((fault) => (fault.operation ?? operation) === operation && possible.includes(fault.kind));
    const fault = this.armed[index];
    if (!fault) return undefined;
    fault.times--;
    if (fault.times === 0) this.armed.splice(index, 1);
    return { kind: fault.kind, severity: 1 };
  }

  private drawByChance({ operation, reads, possible }: FaultSubject): Fault | undefined {
    const { rate, kinds = faultKinds, only, operations } = this.current;
    if (rate === 0 || operations?.includes(operation) === false || only === (reads ? 'writes' : 'reads')) return undefined;
    const fitting = kinds.filter((kind) => possible.includes(kind));
    const chance = this.chanceOf(operation);
    // Always as many draws, so that what one request meets does not depend on what the one before could meet.
    const [hit, choice, severity] = [chance.next(), chance.next(), 1 - chance.next()];
    const kind = fitting[Math.floor(choice * fitting.length)];
    return hit < rate && kind ? { kind, severity } : undefined;
  }

  private chanceOf(operation: string): Random {
    const known = this.chances.get(operation);
    if (known) return known;
    const chance = new Random(this.current.seed ?? this.worldSeed).stream(`faults of ${operation}`);
    this.chances.set(operation, chance);
    return chance;
  }

  /** Waits until the time has passed or the client has left. */
  private async hold(response: ServerResponse, limitMs: number): Promise<void> {
    if (this.held >= heldMax || response.destroyed) return;
    this.held++;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      response.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.held--;
  }
}

/** From here on the first byte of an answer cuts the connection instead. */
function loseReply(response: ServerResponse): void {
  const cut = (): ServerResponse => response.destroy();
  Object.assign(response, { writeHead: () => response, write: () => false, end: cut });
}

function checked<Value>(schema: z.ZodType<Value>, given: unknown): Value {
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new RangeError(`faults cannot be set so: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}

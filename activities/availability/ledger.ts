import { setTimeout as wait } from 'node:timers/promises';
import { interruptionsIn, isOver, type Interruption } from '../../domain/availability/availability.ts';
import { inParallel } from '../kubernetes/client/read.ts';
import type { EvidenceStore } from '../evidence/store.ts';

/** Runs of one target that have refused writes, and are read for one answer. */
export const interruptingRunsMax = 1_000;
/** Records that are over and remembered, the longest unused one given up first. */
const recordsRememberedMax = 5_000;
/** How long a plan waits for the records; what has been read by then is remembered for the next one. */
const patienceMs = 30_000;
/** Whatever lies before the time of a goal does not count; a run may take days. */
const longestRunMs = 31 * 86_400_000;

/** The outages of targets, as the records of all runs say that have changed them in a way that refuses writes. */
export class AvailabilityLedger {
  private readonly over = new Map<string, Interruption[]>();
  private readonly evidence: Pick<EvidenceStore, 'read' | 'addToIndex' | 'runsInIndex'>;
  private readonly interrupts: (action: string) => boolean;

  /** `interrupts` says of an action whether it refuses writes. */
  constructor(evidence: AvailabilityLedger['evidence'], interrupts: (action: string) => boolean) {
    this.evidence = evidence;
    this.interrupts = interrupts;
  }

  /**
   * Writes down that the record of a run has such a change, before the record says so itself: a run that is killed in between is looked at
   * in vain. Throws EvidenceError.
   */
  async enter(target: string, run: string): Promise<void> {
    await this.evidence.addToIndex(indexOf(target), run);
  }

  /**
   * Every such change on a target since a time, the oldest first. Throws EvidenceError, and Error where there are too many or the records
   * do not come in time.
   */
  async read(target: string, sinceMs: number): Promise<Interruption[]> {
    const late = wait(patienceMs, undefined, { ref: false }).then(() => {
      throw new Error(`the records of its runs could not be read within ${patienceMs / 1_000} s`);
    });
    return Promise.race([this.readAll(target, sinceMs), late]);
  }

  private async readAll(target: string, sinceMs: number): Promise<Interruption[]> {
    const all = await this.evidence.runsInIndex(indexOf(target));
    const runs = all.filter((run) => (dayOf(run) ?? Infinity) >= sinceMs - longestRunMs);
    if (runs.length > interruptingRunsMax) throw new Error(`${runs.length} runs have changed it; ${interruptingRunsMax} can be read`);
    const found = (await inParallel(runs, (run) => this.ofRun(run, target))).flat();
    return found.sort((one, other) => (one.at < other.at ? -1 : 1));
  }

  private async ofRun(run: string, target: string): Promise<Interruption[]> {
    const known = this.over.get(run);
    if (known) {
      this.over.delete(run);
      this.over.set(run, known);
      return known;
    }
    const entries = await this.evidence.read(run);
    // Whoever reaches Temporal can start a workflow that names any run.
    const found = entries[0]?.body.target === target ? interruptionsIn(entries, this.interrupts) : [];
    if (isOver(entries)) this.over.set(run, found);
    const [oldest] = this.over.keys();
    if (this.over.size > recordsRememberedMax && oldest !== undefined) this.over.delete(oldest);
    return found;
  }
}

function indexOf(target: string): string {
  return `interruptions of ${target}`;
}

/** The day in the id of a run, as the end of that day; undefined where it has none. */
function dayOf(run: string): number | undefined {
  const [, year, month, day] = /^r-(\d{4})(\d\d)(\d\d)-/.exec(run) ?? [];
  const atMs = Date.parse(`${year ?? ''}-${month ?? ''}-${day ?? ''}T23:59:59Z`);
  return Number.isNaN(atMs) ? undefined : atMs;
}

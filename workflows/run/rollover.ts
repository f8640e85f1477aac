import { allHandlersFinished, condition, workflowInfo } from '@temporalio/workflow';

/** A history of this many events is left for a new one at the next place where nothing is under way. */
const historyEventsMax = 2_000;
/** The same by size. */
const historyBytesMax = 4 * 1024 * 1024;

/** The same by updates that were let in: Temporal takes 2,000 of one execution, and refuses an abort after that. */
const updatesMax = 500;
/** So many times these limits are taken in the middle of a step, before the step is stopped for them. */
const pressingFactor = 2;

/** Continues a run as new where its history has become long. */
export class Rollover {
  private updates = 0;
  private readonly settle: () => Promise<unknown>;
  private readonly continueAsNew: () => Promise<never>;

  /** `settle` ends what is left to be written; `continueAsNew` hands over what the next history needs, and never returns. */
  constructor(settle: () => Promise<unknown>, continueAsNew: () => Promise<never>) {
    this.settle = settle;
    this.continueAsNew = continueAsNew;
  }

  /** Whether the history has become so long that a new one should be begun where that is possible. */
  isDue(): boolean {
    return workflowInfo().continueAsNewSuggested || this.isBeyond(1);
  }

  /** Whether it has become so long that not even the end of a step can be waited for: the server ends a run whose history is full. */
  isPressing(): boolean {
    return this.isBeyond(pressingFactor);
  }

  /** Notes an update that was let in. */
  countUpdate(): void {
    this.updates += 1;
  }

  private isBeyond(factor: number): boolean {
    const { historyLength, historySize } = workflowInfo();
    return historyLength > factor * historyEventsMax || historySize > factor * historyBytesMax || this.updates > factor * updatesMax;
  }

  /** Continues as new if that is due. To be called only where nothing is under way; returns where `passes` becomes true first. */
  async leave(passes: () => boolean = () => false): Promise<void> {
    if (!this.isDue()) return;
    await this.settle();
    // Whoever has been let in is answered first; that may be what the run has waited for, or wait for the run itself.
    await condition(() => allHandlersFinished() || passes());
    if (!passes()) await this.continueAsNew();
  }
}

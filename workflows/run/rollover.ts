import { allHandlersFinished, condition, workflowInfo } from '@temporalio/workflow';

/** A history of this many events is left for a new one at the next place where nothing is under way. */
const historyEventsMax = 2_000;
/** The same by size. */
const historyBytesMax = 4 * 1024 * 1024;

/** Continues a run as new where its history has become long. */
export class Rollover {
  private readonly settle: () => Promise<unknown>;
  private readonly continueAsNew: () => Promise<never>;

  /** `settle` ends what is left to be written; `continueAsNew` hands over what the next history needs, and never returns. */
  constructor(settle: () => Promise<unknown>, continueAsNew: () => Promise<never>) {
    this.settle = settle;
    this.continueAsNew = continueAsNew;
  }

  /** Whether the history has become so long that a new one should be begun where that is possible. */
  isDue(): boolean {
    const { historyLength, historySize, continueAsNewSuggested } = workflowInfo();
    return continueAsNewSuggested || historyLength > historyEventsMax || historySize > historyBytesMax;
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

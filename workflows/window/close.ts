import { condition } from '@temporalio/workflow';
import type { AtClose } from '../../domain/runbook.ts';
import type { OpenStep } from '../../domain/run/steps.ts';
import type { WindowLook } from '../../domain/run/window.ts';
import { failureOf } from '../run/failure.ts';
import type { Run } from '../run/run.ts';

/** What is to be known of the steps that are being carried out. */
interface UnderWay {
  running: () => OpenStep[];
  /** Stops what goes on, so that it is undone as the step says; left out where people have signed that the window does not matter. */
  stopToUndo?: (step: OpenStep) => void;
}

/**
 * Writes down, when the opening at hand closes, which steps go on past that: they are finished, or stopped to be undone, and where they say
 * so people are told. `look` is how the window stood when they began.
 */
export function watchClose(run: Run, calendar: string, look: WindowLook, { running, stopToUndo }: UnderWay): { stop(): void } {
  let isOver = false;
  void tellAtCloseOf(look).catch(() => undefined);
  return { stop: () => void (isOver = true) };

  async function tellAtCloseOf({ opening, closesAt }: WindowLook): Promise<void> {
    const atMs = opening?.closesMs;
    if (atMs === undefined) return;
    if (await condition(() => isOver, Math.max(atMs - run.nowMs, 1))) return;
    run.learnTime(atMs);
    const isUndone = stopToUndo !== undefined && running().some(({ planned }) => planned?.atClose === 'undo');
    const now = isUndone ? await lookAgain() : undefined;
    if (isOver) return;
    // Somebody has put the close off meanwhile.
    if (now?.state === 'open') return tellAtCloseOf(now);
    for (const step of running()) {
      const { atClose = 'finish-step' } = step.planned;
      // Where nobody can see that it has closed, or people have signed to go past that, nothing is stopped.
      const follows: AtClose = atClose === 'undo' && now === undefined ? 'page' : atClose;
      await run.record('window.closed', { calendar, step: step.shown.id, closesAt: closesAt ?? null, atClose: follows });
      if (follows === 'undo') stopToUndo?.(step);
    }
  }

  async function lookAgain(): Promise<WindowLook | undefined> {
    try {
      const seen = await run.read(({ lookAtWindow }) => lookAtWindow({ calendar, needMs: 0 }));
      run.learnTime(seen.nowMs);
      return seen;
    } catch (error) {
      if (!failureOf(error)) throw error;
      return undefined;
    }
  }
}

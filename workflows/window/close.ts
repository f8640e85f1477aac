import { condition } from '@temporalio/workflow';
import type { OpenStep } from '../../domain/run/steps.ts';
import type { WindowLook } from '../../domain/run/window.ts';
import type { Run } from '../run/run.ts';

/** Writes down, when the opening at hand closes, which steps go on past that: they are finished, and where they say so people are told. */
export function tellOfClose(run: Run, calendar: string, { opening, closesAt }: WindowLook, running: () => OpenStep[]): { stop(): void } {
  let isOver = false;
  const closesMs = opening?.closesMs;
  if (closesMs !== undefined) void tellAt(closesMs).catch(() => undefined);
  return { stop: () => void (isOver = true) };

  async function tellAt(atMs: number): Promise<void> {
    if (await condition(() => isOver, Math.max(atMs - run.nowMs, 1))) return;
    run.learnTime(atMs);
    for (const { shown, planned } of running()) {
      await run.record('window.closed', {
        calendar,
        step: shown.id,
        closesAt: closesAt ?? null,
        atClose: planned?.atClose ?? 'finish-step',
      });
    }
  }
}

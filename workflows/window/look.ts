import { needOf, type WindowLook } from '../../domain/run/window.ts';
import type { SignedSpan } from '../../domain/run/span.ts';
import type { OpenStep } from '../../domain/run/steps.ts';
import type { RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';

/** The calendar that a run keeps to now; a rollback keeps to none, as what is half changed must not wait. */
export function windowOf(run: Run, { base }: RunProgress): string | undefined {
  return run.rollingBack ? undefined : base.runbook.window;
}

/** Looks how the window stands for a step that comes next. */
export async function lookForStep(
  run: Run,
  progress: RunProgress,
  calendar: string,
  { plan }: SignedSpan,
  step: OpenStep,
): Promise<WindowLook> {
  const planned = plan.steps.find(({ id }) => id === step.shown.id);
  const [hold] = progress.queue;
  // The first span is signed with the start, for whenever it may begin.
  const signedAt = hold?.step.kind === 'hold' ? run.step(hold.id).endedAt : undefined;
  const needMs = planned ? needOf(planned.plan) : 0;
  const look = await run.read(({ lookAtWindow }) => lookAtWindow({ calendar, needMs, ...(signedAt !== undefined && { signedAt }) }));
  run.learnTime(look.nowMs);
  return look;
}

/** Whether a step may begin without a second look at the plan: in the opening in which that was seen to hold. */
export function mayBegin(signed: SignedSpan, look: WindowLook): boolean {
  if (signed.mayBeginAnyTime) return true;
  if (look.state !== 'open') return false;
  const opening = openingIn(look);
  // A span that is released in an opening has just been planned.
  if (signed.opening === undefined && !isOver(look)) signed.opening = opening;
  return signed.opening === opening;
}

/** An opening is told from another one by its close. */
export function openingIn({ opening }: WindowLook): number | null {
  return opening?.closesMs ?? null;
}

/** Whether the opening is over that the signatures were for. */
export function isOver({ signedUntilMs, nowMs }: WindowLook): boolean {
  return signedUntilMs !== undefined && nowMs >= signedUntilMs;
}

import type { JsonObject } from '../../domain/json.ts';
import type { SignedSpan } from '../../domain/run/span.ts';
import type { OperatorCommand } from '../../domain/run/intent.ts';
import type { OpenStep } from '../../domain/run/steps.ts';
import type { WindowLook } from '../../domain/run/window.ts';
import { signedException } from '../hold/exception.ts';
import type { RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';
import { exceptionOf } from '../steps/stuck.ts';

/**
 * Has people sign that the steps of the span begin although the window is shut, as many as its policy asks for. The request closes when the
 * window opens: the run must not wait for people then. Says whether it was signed.
 */
export async function askToProceed(
  run: Run,
  progress: RunProgress,
  command: OperatorCommand,
  { signed, step, look }: { signed: SignedSpan; step: OpenStep; look: WindowLook },
): Promise<boolean> {
  const { person, reason } = command;
  const { window } = run.state;
  if (!window) return false;
  const { calendar, state, reason: why, opensAt = null } = window;
  const facts: JsonObject = { askedBy: person, reason, window: calendar, state, why, plan: signed.plan.hash };
  const stands = state === 'short' ? 'not open for long enough' : state;
  const change = `begin the steps that are left of the plan ${signed.plan.hash}, although it is ${stands}`;
  const plan = exceptionOf(progress, step, [{ object: `window ${calendar}`, change }], facts);
  const text = `Go on outside of the window ${calendar}? ${person} asks for it: ${reason}`;
  const signers = await signedException(run, progress, command, {
    hold: 'proceed',
    text,
    plan: async () => plan,
    signers: 'policy',
    ...(look.opensAt !== undefined && { closesAt: look.opensAt }),
  });
  if (!signers) return false;
  signed.mayBeginAnyTime = true;
  const about = { calendar, planHash: signed.plan.hash, opensAt };
  await run.record('window.exception', { ...about, askedBy: person, reason, signedBy: signers });
  return true;
}

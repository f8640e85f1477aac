import { isGate, type Observation } from '../../domain/action.ts';
import type { JsonObject } from '../../domain/json.ts';
import { sealSpan, type ActionPlan, type Effect, type SpanPlan } from '../../domain/plan/plan.ts';
import type { OperatorCommand } from '../../domain/run/intent.ts';
import type { OpenStep } from '../../domain/run/steps.ts';
import { signedException } from '../hold/exception.ts';
import { observer } from '../proxies.ts';
import { rollBackAutomatically } from '../rollback/plan.ts';
import { failureOf, type Failure } from '../run/failure.ts';
import type { RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';
import { finished, recordStepDone } from './record-step-done.ts';

/**
 * Stops at a step that cannot go on by itself until an operator, and where it must be a second person, has said what to do.
 * Where the runbook says so, the run rolls back automatically instead, but for what fails before the step begins.
 * Throws RunEnded and RollingBack.
 */
export async function settleStuck(
  run: Run,
  progress: RunProgress,
  step: OpenStep,
  plan: ActionPlan,
  failure: Failure,
  mayUndo = true,
): Promise<void> {
  let reason = failure;
  const { id, onFailure } = step.planned;
  if (step.performed) step.performed.foreign = failure.code === 'change-in-flight';
  const isNew = run.state.stuck?.step !== id;
  if (isNew && mayUndo && onFailure === 'undo' && !run.rollingBack) reason = await rollBackAutomatically(run, progress, id, failure);
  for (;;) {
    const command = await run.stuck(id, reason);
    if (await isSettled(run, progress, step, plan, command)) break;
    run.enter('stuck');
  }
  await run.unstick();
}

async function isSettled(run: Run, progress: RunProgress, step: OpenStep, plan: ActionPlan, command: OperatorCommand): Promise<boolean> {
  switch (command.command) {
    case 'retry':
    case 'adopt':
      step.planned.retry += 1;
      step.planned.adopt = command.command === 'adopt';
      // From here on it may be this run's own.
      if (step.performed) step.performed.foreign = false;
      return true;
    case 'skip':
      return skip(run, progress, step, plan, command);
    case 'done':
      return takeAsDone(run, progress, step, plan, command);
    default:
      return false;
  }
}

/**
 * Leaves a step out. Somebody else signs that: what the step would have done is part of what was signed before. To go past a gate, as many
 * sign as the policy asks for.
 */
async function skip(run: Run, progress: RunProgress, step: OpenStep, plan: ActionPlan, command: OperatorCommand): Promise<boolean> {
  const { id, uses } = step.planned;
  const { person, reason } = command;
  const change = isGate(uses)
    ? 'go on although this gate is shut; nothing is looked at any more'
    : 'leave this step out; what it has not done by now stays undone';
  const facts: JsonObject = { askedBy: person, reason, leavesOut: plan.effects.map(({ object, change }) => `${object}: ${change}`) };
  if (isGate(uses)) facts.gate = plan.facts;
  const exceptional = exceptionOf(progress, step, [{ object: `step ${id}`, change }], facts);
  const text = `Leave out step ${id}? ${person} asks for it: ${reason}`;
  const exception = { hold: `skip:${id}`, text, plan: async () => exceptional, signers: signersFor(uses) };
  const signers = await signedException(run, progress, command, exception);
  if (!signers) return false;
  const { at } = await run.record('step.skipped', { step: id, askedBy: person, reason, signedBy: signers });
  finished(step);
  run.unstickAs(id, 'skipped', `left out by ${person}, signed by ${signers.join(', ')}: ${reason}`, at);
  return true;
}

/** Takes a step for done that was done by hand: if a look agrees, at once; else somebody else signs that it cannot be seen. */
async function takeAsDone(run: Run, progress: RunProgress, step: OpenStep, plan: ActionPlan, command: OperatorCommand): Promise<boolean> {
  const { id, uses, retry, runsOn } = step.planned;
  const { person, reason } = command;
  const context = { run: run.state.run, step: id, target: progress.base.target, retry };
  const look = () => observer({ runsOn }).observe({ action: uses, plan, context });
  run.state.notice = undefined;
  try {
    const seen = await look();
    if (seen.state === 'done') return await takeDone(run, progress, step, command, { outputs: seen.outputs, signers: [] });
  } catch (error) {
    // What cannot even be looked at can only be vouched for by people.
    if (!failureOf(error)) throw error;
  }
  const effects = doneByHand(id, plan);
  const exception = {
    hold: `done:${id}`,
    text: `Take step ${id} for done? ${person} says it was done by hand: ${reason}`,
    plan: async (): Promise<SpanPlan> => {
      const facts = { askedBy: person, reason, seen: await seenNow(look) };
      return exceptionOf(progress, step, effects, facts);
    },
    signers: signersFor(uses),
  };
  const signers = await signedException(run, progress, command, exception);
  return signers ? takeDone(run, progress, step, command, { outputs: plan.outputs, signers }) : false;
}

/** What is signed where a look does not show that a step was done; of a checklist each item. */
function doneByHand(id: string, { facts: { items } }: ActionPlan): Effect[] {
  const object = `step ${id}`;
  if (Array.isArray(items))
    return items.map((item) => ({ object, change: `checked by hand: ${typeof item === 'string' ? item : JSON.stringify(item)}` }));
  return [{ object, change: 'take it for done by hand, although a look does not show it' }];
}

function signersFor(uses: string): 'policy' | 'second-person' {
  return isGate(uses) ? 'policy' : 'second-person';
}

async function seenNow(look: () => Promise<Observation>): Promise<string> {
  try {
    const seen = await look();
    return seen.state === 'stuck' ? `stuck: ${seen.reason}` : seen.state;
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return `nothing: ${failure.reason}`;
  }
}

async function takeDone(
  run: Run,
  progress: RunProgress,
  step: OpenStep,
  { person, reason }: OperatorCommand,
  { outputs, signers }: { outputs: JsonObject; signers: string[] },
): Promise<boolean> {
  const { id } = step.planned;
  const who = signers.length === 0 ? 'and a look agrees' : `signed by ${signers.join(', ')}`;
  const summary = `done by hand, says ${person}, ${who}: ${reason}`;
  const body = { byHand: true, saidBy: person, reason, signedBy: signers, outputs };
  await recordStepDone(run, progress, step, { outputs, summary, body });
  run.unstickAs(id, 'done', summary);
  return true;
}

/** What is signed where an operator departs from what was signed before. */
export function exceptionOf({ base }: RunProgress, { planned: { id, uses } }: OpenStep, effects: Effect[], facts: JsonObject): SpanPlan {
  const plan = { effects, facts, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
  const { digest, title } = base.runbook;
  const steps = [{ id, uses, input: {}, plan }];
  return sealSpan({ target: base.targetName, runbook: digest, title, inputs: base.inputs, steps });
}

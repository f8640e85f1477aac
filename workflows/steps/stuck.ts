import type { Activities } from '../../activities/index.ts';
import type { JsonObject } from '../../domain/json.ts';
import { sealSpan, type ActionPlan, type Effect, type SpanPlan } from '../../domain/plan/plan.ts';
import type { Course } from '../run/progress.ts';
import { failureOf, type Failure } from '../failure.ts';
import { finish } from './record-step-done.ts';
import { readsOf } from '../proxies.ts';
import type { Run, Word } from '../run/run.ts';
import { signedException } from '../hold/second-person.ts';
import type { Task } from './span.ts';
import { goBackByItself } from '../rollback/plan.ts';

/**
 * Stops at a step that cannot go on by itself until an operator, and where it must be a second person, has said what to do.
 * Where the runbook says so, the run goes back by itself instead. Throws RunEnded and GoingBack.
 */
export async function settleStuck(run: Run, course: Course, task: Task, plan: ActionPlan, failure: Failure): Promise<void> {
  let reason = failure;
  const performed = course.performed.find(({ id }) => id === task.id);
  if (performed) performed.foreign = failure.code === 'change-in-flight';
  const isNew = run.state.stuck?.step !== task.id;
  if (isNew && task.onFailure === 'undo' && !run.goingBack) reason = await goBackByItself(run, course, task, failure);
  for (;;) {
    const word = await run.stuck(task.id, reason);
    if (await settled(run, course, task, plan, word)) break;
    run.enter('stuck');
  }
  await run.unstick();
}

async function settled(run: Run, course: Course, task: Task, plan: ActionPlan, word: Word): Promise<boolean> {
  switch (word.command) {
    case 'retry':
    case 'adopt':
      task.retry += 1;
      task.adopt = word.command === 'adopt';
      // From here on it may be this run's own.
      for (const performed of course.performed) if (performed.id === task.id) performed.foreign = false;
      return true;
    case 'skip':
      return skip(run, course, task, plan, word);
    case 'done':
      return takeAsDone(run, course, task, plan, word);
    default:
      return false;
  }
}

/** Leaves a step out. Somebody else signs that: what the step would have done is part of what was signed before. */
async function skip(run: Run, course: Course, task: Task, plan: ActionPlan, word: Word): Promise<boolean> {
  const change = 'leave this step out; what it has not done by now stays undone';
  const facts = { askedBy: word.person, reason: word.reason, leavesOut: plan.effects.map(({ object, change }) => `${object}: ${change}`) };
  const signed = exceptionOf(course, task, { object: `step ${task.id}`, change }, facts);
  const text = `Leave out step ${task.id}? ${word.person} asks for it: ${word.reason}`;
  const exception = { hold: `skip:${task.id}`, text, plan: async () => signed, signers: 'second-person' } as const;
  const signers = await signedException(run, course, word, exception);
  if (!signers) return false;
  const body = { step: task.id, askedBy: word.person, reason: word.reason, signedBy: signers };
  const { at } = await run.record('step.skipped', body);
  task.state = 'finished';
  run.unstickAs(task.id, 'skipped', `left out by ${word.person}, signed by ${signers.join(', ')}: ${word.reason}`, at);
  return true;
}

/** Takes a step for done that was done by hand: if a look agrees, at once; else somebody else signs that it cannot be seen. */
async function takeAsDone(run: Run, course: Course, task: Task, plan: ActionPlan, word: Word): Promise<boolean> {
  const context = { run: run.state.run, step: task.id, target: course.base.target, retry: task.retry };
  const look = () => readsOf(task).observe({ action: task.uses, plan, context });
  run.state.notice = undefined;
  try {
    const seen = await run.asked(look);
    if (seen.state === 'done') return await takeDone(run, course, task, word, seen.outputs, []);
  } catch (error) {
    // What cannot even be looked at can only be vouched for by people.
    if (!failureOf(error)) throw error;
  }
  const putUp = async (): Promise<SpanPlan> => {
    const facts = { askedBy: word.person, reason: word.reason, seen: await seenNow(look) };
    return exceptionOf(
      course,
      task,
      { object: `step ${task.id}`, change: 'take it for done by hand, although a look does not show it' },
      facts,
    );
  };
  const text = `Take step ${task.id} for done? ${word.person} says it was done by hand: ${word.reason}`;
  const exception = { hold: `done:${task.id}`, text, plan: putUp, signers: 'second-person' } as const;
  const signers = await signedException(run, course, word, exception);
  return signers ? takeDone(run, course, task, word, plan.outputs, signers) : false;
}

async function seenNow(look: () => ReturnType<Activities['observe']>): Promise<string> {
  try {
    const seen = await look();
    return seen.state === 'stuck' ? `stuck: ${seen.reason}` : seen.state;
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return `nothing: ${failure.reason}`;
  }
}

async function takeDone(run: Run, course: Course, task: Task, word: Word, outputs: JsonObject, signers: string[]): Promise<boolean> {
  const who = signers.length === 0 ? 'and a look agrees' : `signed by ${signers.join(', ')}`;
  const summary = `done by hand, says ${word.person}, ${who}: ${word.reason}`;
  const body = { byHand: true, saidBy: word.person, reason: word.reason, signedBy: signers, outputs };
  await finish(run, course, task, outputs, summary, body);
  run.unstickAs(task.id, 'done', summary);
  return true;
}

function exceptionOf({ base }: Course, { id, uses }: Task, effect: Effect, facts: JsonObject): SpanPlan {
  const plan = { effects: [effect], facts, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
  return sealSpan({ target: base.targetName, runbook: base.runbook.digest, inputs: base.inputs, steps: [{ id, uses, input: {}, plan }] });
}

import type { PlannedCall } from '../../activities/index.ts';
import type { ExpectedChange } from '../../domain/plan/expected.ts';
import { sealSpan, type StepPlan } from '../../domain/plan/plan.ts';
import { idOfUndo, type Course, type Performed, type WayBack } from '../run/progress.ts';
import { failureOf, type Failure } from '../failure.ts';
import { toJson } from '../json.ts';
import { readsOf } from '../proxies.ts';
import type { Run, Word } from '../run/run.ts';
import { signedException } from '../hold/second-person.ts';
import { blockersOf, type Task } from '../steps/span.ts';

/** How many objects of a step that stays are named. */
const objectsShownMax = 5;

/** The run leaves its way forward; `course.back` says what follows. */
export class GoingBack extends Error {}

/**
 * Plans the way back: the last step first. What cannot be undone stays, and so does everything before it, as the world has moved
 * on from there. Reads only.
 */
export async function planWayBack(run: Run, { base, performed }: Course): Promise<WayBack> {
  const steps: StepPlan[] = [];
  const tasks: Task[] = [];
  const left: WayBack['left'] = [];
  // What the steps of the way back that come before will have done.
  const expected: ExpectedChange[] = [];
  let barrier: string | undefined;
  const leave = (step: Performed, stays: boolean, reason: string): void => {
    left.push({ id: step.id, stays, reason });
    const notes = [stays ? `It stays as it is: ${reason}` : `There is nothing to undo: ${reason}`];
    const plan = { effects: [], facts: { stays }, risks: [], blockers: [], notes, details: {}, outputs: {}, estimateMs: 0 };
    steps.push({ id: idOfUndo(step.id), uses: step.uses, input: {}, plan });
  };
  for (const step of [...performed].reverse()) {
    if (step.undone) continue;
    if (barrier !== undefined) {
      leave(step, true, `it came before ${barrier}, which cannot be undone. It has changed ${objectsOf(step)}.`);
      continue;
    }
    if (step.foreign) {
      leave(step, false, 'somebody else has begun the change, not this run.');
      continue;
    }
    const { id, uses, plan, finished } = step;
    const context = { run: run.state.run, step: id, target: base.target, retry: 0, expected };
    const found = await readsOf(step).planUndo({ action: uses, plan, finished, context, undoStep: idOfUndo(id) });
    if ('noUndo' in found) {
      barrier = id;
      leave(step, true, found.noUndo);
    } else if ('nothing' in found) leave(step, false, found.nothing);
    else {
      steps.push(...found.calls.map(({ id: call, uses: used, with: input, plan }) => ({ id: call, uses: used, input, plan })));
      expected.push(...found.calls.flatMap(({ plan: { expects = [] } }) => expects));
      const changing = found.calls.filter(({ plan: { effects } }) => effects.length > 0);
      if (changing.length === 0) left.push({ id, stays: false, reason: 'the world is as it was before.' });
      tasks.push(...changing.map((call) => taskOf(call, id)));
    }
  }
  const plan = sealSpan({ target: base.targetName, runbook: base.runbook.digest, inputs: base.inputs, steps });
  return { plan, tasks, left };
}

function taskOf({ id, uses, change, limits, runsOn }: PlannedCall, undoes: string): Task {
  return { id, uses, change, onFailure: 'stuck', limits, runsOn, undoes, state: 'todo', retry: 0 };
}

/** What a step that stays has changed, for whoever has to deal with it. */
function objectsOf({ plan: { effects } }: Performed): string {
  const objects = [...new Set(effects.map(({ object }) => object))];
  return objects.slice(0, objectsShownMax).join(', ') + (objects.length > objectsShownMax ? ', …' : '');
}

/** Why a way back cannot be taken; undefined where it can. */
export function obstacleTo({ plan, tasks, left }: WayBack): Failure | undefined {
  const [blocker] = blockersOf(plan);
  if (blocker) {
    const reason = `The way back is blocked at ${blocker.step}: ${blocker.object}: ${blocker.reason}`;
    return { code: 'undo-blocked', reason, remedy: blocker.remedy };
  }
  const stays = left.filter(({ stays }) => stays);
  if (tasks.length > 0 || stays.length === 0) return undefined;
  const reason = `Nothing can be undone: ${stays.map(({ id, reason }) => `${id}: ${reason}`).join('; ')}`;
  return { code: 'undo-impossible', reason, remedy: 'Go on with the run (`retry`, `skip`, `done`), or abort it; what is done stays.' };
}

/** Has the way back signed that an operator has asked for. Throws GoingBack once it is; returns where it came to nothing. */
export async function askToGoBack(run: Run, course: Course, word: Word): Promise<void> {
  let way: WayBack | undefined;
  const text = `Undo what the run has done? ${word.person} asks for it: ${word.reason || 'no reason given'}`;
  const signers = await signedException(run, course, word, {
    hold: 'undo',
    text,
    plan: async () => (way = await planWayBack(run, course)).plan,
    signers: 'policy',
  });
  if (!signers || !way) return;
  const obstacle = obstacleTo(way);
  if (obstacle) {
    run.state.notice = obstacle.reason;
    return;
  }
  const reason = `undone as ${word.person} asked and ${signers.join(', ')} signed: ${word.reason || 'no reason given'}`;
  await leaveFor(run, course, way, reason);
}

/** Goes back because the runbook says so of a step that has failed. Throws GoingBack; returns why that is not possible. */
export async function goBackByItself(run: Run, course: Course, task: Task, failure: Failure): Promise<Failure> {
  const { code, reason, remedy } = failure;
  await run.record('step.failed', { step: task.id, code, reason, remedy });
  run.step(task.id).summary = reason;
  let obstacle: Failure | undefined;
  try {
    const way = await planWayBack(run, course);
    obstacle = obstacleTo(way);
    if (!obstacle) await leaveFor(run, course, way, `undone by itself, as step ${task.id} failed: ${reason}`);
  } catch (error) {
    obstacle = failureOf(error);
    if (!obstacle) throw error;
  }
  return {
    code,
    reason: `${reason} It could not be undone by itself: ${obstacle?.reason ?? ''}`,
    remedy: `${remedy} ${obstacle?.remedy ?? ''}`,
  };
}

async function leaveFor(run: Run, course: Course, way: WayBack, reason: string): Promise<never> {
  await run.record('undo.started', { plan: toJson(way.plan), reason });
  course.back = { ...way, reason };
  throw new GoingBack(reason);
}

import { CancellationScope, condition, isCancellation, makeContinueAsNewFunc, setHandler } from '@temporalio/workflow';
import { admit } from './run/admission.ts';
import type { Course, End } from './run/progress.ts';
import { close } from './run/ending.ts';
import { holdUntilSigned, refuseDecision, takeDecision } from './hold/hold.ts';
import {
  admissionUpdate,
  attemptRefusedSignal,
  decideUpdate,
  stateQuery,
  commandUpdate,
  type Admission,
  type DecisionRequest,
  type RunInput,
  type RunResult,
  type CommandRequest,
} from './messages.ts';
import { withoutPlans } from './steps/step-tree.ts';
import { Run, RunEnded, type Kept } from './run/run.ts';
import type { Span } from './steps/span.ts';
import { carryOutSteps } from './steps/carry-out.ts';
import { goBack } from './rollback/rollback.ts';
import { refuseCommand, takeCommand } from './run/commands.ts';
import { askToGoBack, GoingBack } from './rollback/plan.ts';

/** What a history hands to the one that goes on after it. */
export interface Continued {
  kept: Kept;
  course: Course;
}

/**
 * Carries out any runbook on one target: admits the start if the first span is still what the requester has signed, then
 * goes from hold to hold, and lifts whatever it has marked when it ends. The workflow id is the target, so there is at most
 * one open run of it. It never just fails: it is done, was ended or undone by people, or waits for them.
 *
 * @param continued where the run comes from a history that has become long.
 */
export async function runbook(input: RunInput, continued?: Continued): Promise<RunResult> {
  const run = new Run(input, continued?.kept);
  const course = continued?.course ?? emptyCourse(input);
  let admission: Admission | undefined = continued && { admitted: true };
  listen(run, course, () => admission);
  run.onUndo = (word) => askToGoBack(run, course, word);
  run.canGoBack = () => course.performed.some(({ undone }) => !undone);
  const end = await endingOf(async () => {
    if (!continued) {
      const admitted = await admit(run, input, course);
      admission = admitted.admission;
      if (!('span' in admitted)) return { phase: 'refused', reason: admitted.admission.reason };
      begin(course, admitted.span);
    }
    run.renew = () => renew(run, course, input);
    return course.back ? goBack(run, course, course.back) : carryOut(run, course);
  });
  run.renew = undefined;
  admission ??= { admitted: false, code: 'aborted', reason: end.reason, remedy: 'Start it again if it is still wanted.' };
  return CancellationScope.nonCancellable(() => close(run, course, end));
}

function emptyCourse(input: RunInput): Course {
  const runbook = { name: '', title: '', digest: '', target: '', worksOn: [], inputs: {}, steps: [] };
  const target = { kind: 'eks' as const, region: '', name: '' };
  const base = { runbook, inputs: input.inputs, target, targetName: input.target, run: input.run };
  return { base, results: {}, queue: [], performed: [] };
}

function listen(run: Run, course: Course, admission: () => Admission | undefined): void {
  setHandler(stateQuery, () => run.shown());
  setHandler(admissionUpdate, async () => {
    await CancellationScope.nonCancellable(() => condition(() => admission() !== undefined));
    return admission() as Admission;
  });
  setHandler(attemptRefusedSignal, (attempt) => run.recordRefusal(attempt));
  setHandler(decideUpdate, (request) => takeDecision(run, request), {
    validator: (request: DecisionRequest) => refuseDecision(run, request),
  });
  setHandler(commandUpdate, (request) => takeCommand(run, course, request), {
    validator: (request: CommandRequest) => refuseCommand(run, request),
  });
}

/** Runs the whole and says how it ended; a cancellation from outside counts as an abort. */
async function endingOf(whole: () => Promise<End>): Promise<End> {
  try {
    return await whole();
  } catch (error) {
    if (error instanceof RunEnded) return { phase: error.phase, reason: error.message };
    if (isCancellation(error)) return { phase: 'aborted', reason: 'cancelled through Temporal' };
    throw error;
  }
}

async function carryOut(run: Run, course: Course): Promise<End> {
  try {
    await goForward(run, course);
    return { phase: 'done', reason: 'every step is done' };
  } catch (error) {
    if (!(error instanceof GoingBack) || !course.back) throw error;
    return goBack(run, course, course.back);
  }
}

async function goForward(run: Run, course: Course): Promise<void> {
  for (;;) {
    if (course.span) {
      await carryOutSteps(run, course, course.span);
      course.queue = course.span.rest;
      course.span = undefined;
    }
    const [next] = course.queue;
    if (next?.step.kind !== 'hold') return;
    begin(course, await holdUntilSigned(run, next, course));
    course.policy = next.step.policy;
  }
}

/** From here on the span is what people have signed. */
function begin(course: Course, { plan, tasks, rest, expected }: Span): void {
  course.span = { plan, tasks, rest };
  course.results = withoutPlans(expected);
}

async function renew(run: Run, course: Course, input: RunInput): Promise<never> {
  // The document has been read; only what was read of it goes on.
  const lean = { ...input, document: { file: input.document.file, text: '' } };
  return makeContinueAsNewFunc<typeof runbook>()(lean, { kept: run.keep(), course });
}

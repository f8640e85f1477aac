import { standingOf, type Policy } from '../../domain/approval/approval.ts';
import { differenceOf } from '../../domain/plan/difference.ts';
import type { SpanPlan } from '../../domain/plan/plan.ts';
import type { CompiledStep } from '../../domain/runbook.ts';
import type { Course } from '../run/progress.ts';
import { failureOf } from '../failure.ts';
import { openHold, verdictOf, type Question } from './hold.ts';
import { toJson } from '../json.ts';
import type { HoldState } from '../messages.ts';
import { reads } from '../proxies.ts';
import type { Run, Word } from '../run/run.ts';

/** How often what an operator has asked for is put up again because it keeps changing. */
const openingsMax = 5;

/** What an operator has asked for and others have to sign. */
export interface Exception {
  /** `skip:drain`, `done:drain`, `undo`. */
  hold: string;
  text: string;
  /** What is signed, as things stand. */
  plan: () => Promise<SpanPlan>;
  /** How many must sign: one other person, or as many as the policy asks for. */
  signers: 'second-person' | 'policy';
}

/**
 * Has something signed that is no step of the runbook, by people other than the one who has asked for it.
 * Returns who has signed, or undefined where it came to nothing; `state.notice` says why then.
 * Throws RunEnded where the run is aborted.
 */
export async function signedException(run: Run, course: Course, word: Word, exception: Exception): Promise<string[] | undefined> {
  const { hold } = exception;
  run.state.notice = undefined;
  try {
    return await run.asked(() => openUntilSigned(run, course, word, exception));
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    run.state.notice = `${hold} was not put up for signature: ${failure.reason}`;
    await run.record('hold.withdrawn', { hold, reason: failure.reason });
    return undefined;
  }
}

async function openUntilSigned(run: Run, course: Course, word: Word, exception: Exception): Promise<string[] | undefined> {
  const { hold, text, signers } = exception;
  let drift: HoldState['drift'];
  let plan = await exception.plan();
  for (let request = 1; request <= openingsMax; request += 1) {
    const current = await policyOf(run, course, word, signers);
    if (current === undefined) return undefined;
    const held = await openHold(run, { hold, text, plan, drift, current, askedBy: word.person });
    const verdict = await verdictOf(run, held);
    if (verdict !== 'approved') return refused(run, held, verdict);
    run.enter('planning');
    const again = await exception.plan();
    if (again.hash === plan.hash) {
      await run.record('hold.approved', { hold, request: held.request.number, planHash: plan.hash });
      return held.decisions.map(({ person }) => person);
    }
    drift = differenceOf(plan, again);
    const drifted = { hold, request: held.request.number, planHash: plan.hash, presentHash: again.hash, difference: toJson(drift) };
    const { at } = await run.record('hold.drifted', drifted);
    held.request.closed = { because: 'drift', at };
    plan = again;
  }
  run.state.notice = `${hold} was given up: what is to be signed has changed after each of ${openingsMax} requests.`;
  return undefined;
}

async function refused(run: Run, { request, decisions }: HoldState, verdict: string): Promise<undefined> {
  const { hold, number } = request;
  const standing = standingOf(request, decisions);
  if (standing.state === 'rejected') {
    const { by, reason } = standing;
    await run.record('hold.rejected', { hold, request: number, by });
    run.state.notice = `${hold} was rejected by ${by}${reason === '' ? '' : `: ${reason}`}.`;
  } else {
    run.state.notice = `${hold} was ${verdict === 'expired' ? 'not signed in time' : 'taken back'}.`;
  }
}

/**
 * The policy of the hold that stands for the step, else of the next one, else everybody who is known. Undefined, with a notice,
 * where too few others may sign.
 */
async function policyOf(run: Run, course: Course, word: Word, signers: Exception['signers']): Promise<Question['current'] | undefined> {
  const comingSteps = [...(course.span?.rest ?? []), ...course.queue].map(({ step }) => step);
  const current = await reads.openHold({ policy: course.policy ?? firstPolicy(comingSteps) });
  const policy: Policy = signers === 'policy' ? current.policy : { ...current.policy, atLeast: 1 };
  const { requester } = run.state;
  const others = current.members.filter((person) => person !== word.person);
  const entitled = others.filter((person) => !policy.exclude.includes('requester') || person !== requester);
  if (entitled.length >= policy.atLeast) return { ...current, policy };
  run.state.notice =
    `Nobody can sign it: policy ${policy.name} asks for ${policy.atLeast} of ${policy.of}, ` +
    `and only ${entitled.length} of its people are neither ${word.person}, who asked, nor excluded.`;
  return undefined;
}

function firstPolicy(steps: readonly CompiledStep[]): string | undefined {
  for (const step of steps) {
    const policy = policyIn(step);
    if (policy !== undefined) return policy;
  }
  return undefined;
}

function policyIn(step: CompiledStep): string | undefined {
  if (step.kind === 'hold') return step.policy;
  return step.kind === 'runbook' ? firstPolicy(step.runbook.steps) : undefined;
}

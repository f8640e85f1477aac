import { groupsNamedBy, requirementInWords, shortfallOf } from '../../domain/approval/policy.ts';
import type { PlanDifference } from '../../domain/plan/difference.ts';
import { blockedBy, type Span } from '../../domain/run/span.ts';
import type { StepInstance } from '../../domain/run/step-tree.ts';
import type { RunProgress } from '../run/progress.ts';
import { RunEnded, type Run } from '../run/run.ts';
import { planNextSpan } from '../steps/span.ts';
import { windowOf } from '../window/look.ts';
import { requestSignatures, type CurrentPolicy, type Question } from './request.ts';
import { differenceOf } from '../../domain/plan/difference.ts';
import { shortHash } from '../../domain/plan/plan.ts';

/** How often signatures are requested anew because the plan keeps changing, before an operator has to look. */
const requestsMax = 20;

/**
 * Stops until the people named by the policy have signed the plan of the span, and a second look shows that it still holds.
 * `difference` is what has changed of it since it was signed before, in a span that is signed anew.
 * Returns the span that was released. Throws RunEnded where the hold is rejected or the run aborted.
 */
export async function holdUntilReleased(
  run: Run,
  instance: StepInstance,
  progress: RunProgress,
  difference?: PlanDifference,
): Promise<Span> {
  const { id } = instance;
  const question = questionOf(run, instance, progress);
  let held = run.state.hold;
  // A run that was stuck here in a history before this one still is.
  if (run.state.stuck?.step === id) {
    await run.stuckUntilRetried(id, run.state.stuck);
    held = undefined;
  }
  for (;;) {
    const shown = run.step(id);
    shown.status = 'holding';
    const result = await requestSignatures(run, question, held, difference);
    held = undefined;
    switch (result.outcome) {
      case 'released':
        Object.assign(shown, { status: 'done', summary: releaseInWords(run, id, result.signers) });
        progress.approvers = [...new Set([...(progress.approvers ?? []), ...result.by])];
        void run.note('hold.released', result.entry, (at) => (shown.endedAt = at));
        return result.subject;
      case 'rejected': {
        shown.summary = `rejected by ${result.by}`;
        throw new RunEnded('rejected', `hold ${id} was rejected by ${result.by}${result.reason === '' ? '' : `: ${result.reason}`}`);
      }
      case 'undo':
      case 'withdrawn':
        run.state.hold = undefined;
        shown.summary = `request ${result.number} was closed, as somebody has asked to undo the run`;
        await run.undo();
        break;
      case 'expired': {
        const reason = `Hold ${id} expired at ${result.expiresAt} without the signatures it needs; nothing was approved by that.`;
        const remedy = 'Have the signatures requested anew with `holdpoint retry`, or abort the run.';
        await run.stuckUntilRetried(id, { code: 'hold-expired', reason, remedy });
        break;
      }
      case 'unsteady': {
        const reason = `The plan has changed after each of ${result.requests} requests.`;
        await run.stuckUntilRetried(id, { code: 'plan-drifted', reason, remedy: 'Find out what keeps changing it, then try again.' });
        break;
      }
    }
  }
}

function releaseInWords({ broken }: Run, id: string, signers: readonly string[]): string {
  const glass = broken.find(({ hold }) => hold === id);
  return glass ? `BREAK GLASS by ${glass.person}: ${glass.reason}` : `signed by ${signers.join(', ')}`;
}

function questionOf(run: Run, instance: StepInstance, progress: RunProgress): Question<Span> {
  const { id, step } = instance;
  let before = run.state.hold?.plan;
  return {
    hold: id,
    plan: async () => {
      run.enter('planning');
      const span = await unblockedSpan(run, instance, progress);
      return { plan: span.plan, text: span.question ?? '', subject: span };
    },
    policy: () => reachablePolicy(run, id, step.kind === 'hold' ? step.policy : '', progress),
    earlierApprovers: progress.approvers,
    requestsMax,
    attempt: (work) => run.untilItWorks(id, work),
    onRequest: (held) => {
      const { request, plan, drift } = held;
      const changed = before && !drift ? differenceOf(before, plan) : [];
      if (changed.length > 0) held.changed = changed;
      before = plan;
      const shown = run.step(id);
      shown.startedAt ??= request.requestedAt;
      shown.summary = `${requirementInWords(request.policy)} must sign ${shortHash(plan.hash)}`;
    },
  };
}

/** A plan that can be carried out as things are now; where it is blocked, an operator is told what blocks it. */
async function unblockedSpan(run: Run, instance: StepInstance, progress: RunProgress): Promise<Span> {
  const { id } = instance;
  for (;;) {
    const span = await run.untilItWorks(id, () => planNextSpan(run, progress, instance));
    const blocked = blockedBy(span.plan);
    if (!blocked) return span;
    run.state.hold = undefined;
    await run.stuckUntilRetried(id, { code: 'plan-blocked', ...blocked });
  }
}

/** The policy as it is now. A hold that nobody could release by signing would only expire: an operator hears of it at once. */
async function reachablePolicy(run: Run, id: string, name: string, progress: RunProgress): Promise<CurrentPolicy> {
  const { approvers: earlierApprovers = [] } = progress;
  const window = windowOf(run, progress);
  for (;;) {
    const current = await run.untilItWorks(id, () => run.read(({ readPolicy }) => readPolicy({ policy: name, window })));
    const reason = shortfallOf({ ...current, requester: run.state.requester, earlierApprovers });
    if (reason === undefined) return current;
    const groups = groupsNamedBy(current.policy);
    const which = groups.length === 1 ? `the group ${groups[0]}` : `one of the groups ${groups.join(', ')}`;
    const remedy = `Add people to ${which} in holdpoint.yaml, then try again; or abort the run.`;
    await run.stuckUntilRetried(id, { code: 'policy-unreachable', reason, remedy });
  }
}

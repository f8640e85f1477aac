import { secondPersonOf, shortfallOf, type Policy } from '../../domain/approval/policy.ts';
import type { SpanPlan } from '../../domain/plan/plan.ts';
import type { OperatorCommand } from '../../domain/run/intent.ts';
import type { CompiledStep } from '../../domain/runbook.ts';
import { failureOf } from '../run/failure.ts';
import type { RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';
import { windowOf } from '../window/look.ts';
import { requestSignatures, type CurrentPolicy, type Outcome } from './request.ts';

/** How often what an operator has asked for is put up again because it keeps changing. */
const requestsMax = 5;

/** What an operator has asked for and others have to sign. */
export interface Exception {
  /** `skip:drain`, `done:drain`, `undo`, `proceed`. */
  hold: string;
  text: string;
  /** What is signed, as things are now. */
  plan: () => Promise<SpanPlan>;
  /** How many must sign: one other person, or as many as the policy asks for. */
  signers: 'second-person' | 'policy';
  /** When the request closes at the latest; ISO 8601, UTC. */
  closesAt?: string;
}

/** Too few people may sign; the message says so. */
class NobodySigns extends Error {}

/**
 * Has something signed that is no step of the runbook, by people other than the one who has asked for it.
 * Returns who has signed, or undefined where it came to nothing; `state.notice` says why then.
 * Throws RunEnded where the run is aborted.
 */
export async function signedException(
  run: Run,
  progress: RunProgress,
  { person }: OperatorCommand,
  { hold, text, plan, signers, closesAt }: Exception,
): Promise<string[] | undefined> {
  run.state.notice = undefined;
  try {
    const result = await requestSignatures(run, {
      hold,
      plan: async () => ({ plan: await plan(), text, subject: undefined }),
      policy: async () => {
        const current = await policyOf(run, progress, person, signers);
        return closesAt !== undefined && closesAt < current.expiresAt ? { ...current, expiresAt: closesAt } : current;
      },
      askedBy: person,
      earlierApprovers: progress.approvers,
      requestsMax,
      attempt: (work) => work(),
    });
    if (result.outcome === 'released') {
      await run.record('hold.released', result.entry);
      return result.by;
    }
    run.state.notice = `${hold} ${noticeOf(result)}`;
  } catch (error) {
    const failure = failureOf(error);
    if (!failure && !(error instanceof NobodySigns)) throw error;
    run.state.notice = failure ? `${hold} was not put up for signature: ${failure.reason}` : (error as Error).message;
    if (failure) await run.record('hold.withdrawn', { hold, reason: failure.reason });
  } finally {
    run.state.hold = undefined;
  }
  return undefined;
}

function noticeOf(result: Exclude<Outcome<unknown>, { outcome: 'released' }>): string {
  switch (result.outcome) {
    case 'rejected':
      return `was rejected by ${result.by}${result.reason === '' ? '' : `: ${result.reason}`}.`;
    case 'expired':
      return 'was not signed in time.';
    case 'unsteady':
      return `was given up: what is to be signed has changed after each of ${result.requests} requests.`;
    case 'withdrawn':
    case 'undo':
      return 'was taken back.';
  }
}

/**
 * The policy of the hold that was released last, else of the next one, else everybody who is known. Throws NobodySigns where too few
 * others may sign.
 */
async function policyOf(run: Run, progress: RunProgress, askedBy: string, signers: Exception['signers']): Promise<CurrentPolicy> {
  const comingSteps = [...(progress.span?.rest ?? []), ...progress.queue].map(({ step }) => step);
  const current = await run.read(({ readPolicy }) =>
    readPolicy({ policy: progress.policy ?? firstPolicy(comingSteps), window: windowOf(run, progress) }),
  );
  const policy: Policy = signers === 'policy' ? current.policy : secondPersonOf(current.policy);
  const { approvers: earlierApprovers } = progress;
  const reason = shortfallOf({ ...current, policy, requester: run.state.requester, askedBy, earlierApprovers });
  if (reason !== undefined) throw new NobodySigns(`Nobody can sign it. ${reason}`);
  return { ...current, policy };
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

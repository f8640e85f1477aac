import { isCancellation } from '@temporalio/workflow';
import { reviewMs, reviewPolicyOf, reviewPrefix } from '../../domain/approval/break-glass.ts';
import { cancelledReason } from '../../domain/run/state.ts';
import { releaseTarget } from '../run/ending.ts';
import { failureOf } from '../run/failure.ts';
import type { End, RunProgress } from '../run/progress.ts';
import { RunEnded, type BrokenHold, type Run } from '../run/run.ts';
import { requestSignatures, type Outcome, type Question } from './request.ts';

/** Too few people are left who could sign. */
class NobodySigns extends Error {}

/**
 * Has others sign what was released by breaking the glass, when the work is over and the target was let go of. What they say is recorded
 * and shown, and changes nothing else. Where nobody says anything in time, or an operator ends it, the run ends and says so.
 */
export async function reviewBrokenGlass(run: Run, progress: RunProgress, end: End): Promise<End> {
  const due = run.broken.filter(({ verdict }) => verdict === undefined);
  // Who has aborted a run wants it to end.
  if (end.phase !== 'aborted' && due.length > 0) {
    if (!progress.ended) await releaseTarget(run, progress);
    progress.ended = end;
    for (const broken of due) broken.verdict = await verdictOn(run, progress, broken);
  }
  const told = run.broken.map(({ hold, person, verdict = 'not reviewed, as the run was aborted' }) => {
    return `BREAK GLASS by ${person} at hold ${hold}: ${verdict}`;
  });
  return { phase: end.phase, reason: [end.reason, ...told].join('; ') };
}

async function verdictOn(run: Run, progress: RunProgress, broken: BrokenHold): Promise<string> {
  const question = questionAbout(run, progress, broken);
  const held = run.state.hold?.request.hold === question.hold ? run.state.hold : undefined;
  try {
    const result = await requestSignatures(run, question, held);
    if (result.outcome === 'released') await run.record('hold.released', result.entry);
    return inWords(result);
  } catch (error) {
    if (error instanceof NobodySigns) return `not reviewed: ${error.message}`;
    if (error instanceof RunEnded || isCancellation(error)) {
      const open = run.state.hold?.request;
      if (open) await run.record('hold.withdrawn', { hold: open.hold, request: open.number });
      return `not reviewed: ${error instanceof RunEnded ? error.message : cancelledReason}`;
    }
    const failure = failureOf(error);
    if (!failure) throw error;
    return `not reviewed: ${failure.reason}`;
  }
}

function questionAbout(run: Run, progress: RunProgress, { hold, person, reason, at, plan, policy: name }: BrokenHold): Question<undefined> {
  const { requester } = run.state;
  const { approvers: earlierApprovers } = progress;
  const text = `${person} released hold ${hold} alone, signed at ${at}, for this reason: ${reason}. Was that right?`;
  return {
    hold: `${reviewPrefix}${hold}`,
    plan: async () => ({ plan, text, subject: undefined }),
    policy: async () => {
      const current = await run.read(({ readPolicy }) => readPolicy({ policy: name, expiresMs: reviewMs }));
      const policy = reviewPolicyOf({ ...current, requester, askedBy: person, earlierApprovers });
      if (!policy) throw new NobodySigns(`of policy ${name} nobody else may sign`);
      return { ...current, policy };
    },
    askedBy: person,
    earlierApprovers,
    requestsMax: 1,
    attempt: (work) => work(),
  };
}

function inWords(result: Outcome<unknown>): string {
  switch (result.outcome) {
    case 'released':
      return `signed afterwards by ${result.signers.join(', ')}`;
    case 'rejected':
      return `REJECTED afterwards by ${result.by}${result.reason === '' ? '' : `: ${result.reason}`}`;
    case 'expired':
      return 'not reviewed: nobody has signed in time';
    case 'withdrawn':
    case 'undo':
    case 'unsteady':
      return 'not reviewed: an operator has asked for something else';
  }
}

import { workflowInfo } from '@temporalio/workflow';
import { isRunId, signedEvidence } from '../../domain/evidence/evidence.ts';
import type { ExpectedStatement } from '../../domain/approval/statement.ts';
import { toJson } from '../json.ts';
import type { Admission, RunInput } from '../messages.ts';
import { reads, verifier } from '../proxies.ts';
import type { Telling } from './refusal.ts';
import type { Course } from './progress.ts';
import { failureOf } from '../failure.ts';
import { itemsOf } from '../steps/step-tree.ts';
import { rowsOf, showGroups } from './step-view.ts';
import type { Run } from './run.ts';
import { blockersOf, planSpan, type Span } from '../steps/span.ts';

type Admitted = { admission: Admission & { admitted: false } } | { admission: { admitted: true }; span: Span };

/** Checks the document, the requester's signature and the plan of the first span. Nothing is touched. */
export async function admit(run: Run, input: RunInput, course: Course): Promise<Admitted> {
  try {
    const misfit = misfitOf(input);
    if (misfit) return { admission: { admitted: false, ...misfit } };
    const { base } = course;
    Object.assign(base, await reads.prepare({ document: input.document, inputs: input.inputs, target: input.target }));
    course.queue = itemsOf(base.runbook, base.inputs);
    const { name, title, digest } = base.runbook;
    Object.assign(run.state, { runbook: { name, title, digest }, inputs: base.inputs, steps: rowsOf(course.queue) });
    const expected: ExpectedStatement = {
      kind: 'start',
      person: input.requester,
      run: input.run,
      target: input.target,
      runbook: base.runbook.digest,
      planHash: input.planHash,
    };
    const verified = await verifier.verifySignature({ expected, signature: input.signature });
    if (!verified.ok) return { admission: { admitted: false, ...withoutOk(verified) } };
    const { kind, body } = signedEvidence(expected, input.signature, verified.publicKey);
    await run.record(kind, { ...body, inputs: base.inputs, runbookName: base.runbook.name });
    return await admitPlan(run, input, course);
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return { admission: { admitted: false, ...failure } };
  }
}

/** What only a client other than ours can have got wrong; undefined where nothing is. */
function misfitOf({ run, target }: RunInput): Telling | undefined {
  const remedy = 'Start runs with `holdpoint start`.';
  const { workflowId } = workflowInfo();
  if (!isRunId(run)) return { code: 'run-id-malformed', reason: `${JSON.stringify(run)} cannot be the id of a run.`, remedy };
  // The workflow id is the lock of the target.
  if (workflowId === target) return undefined;
  return { code: 'target-differs', reason: `The workflow is called ${workflowId}, but a run on ${target} must be called like it.`, remedy };
}

async function admitPlan(run: Run, input: RunInput, course: Course): Promise<Admitted> {
  const span = await planSpan(course.queue, course.results, course.base);
  const { plan } = span;
  showGroups(run.state, span.groups);
  await run.record('plan.made', { plan: toJson(plan) });
  const [blocker] = blockersOf(plan);
  if (blocker) {
    const reason = `Step ${blocker.step} cannot be carried out: ${blocker.object}: ${blocker.reason}`;
    return { admission: { admitted: false, code: 'plan-blocked', reason, remedy: blocker.remedy, plan } };
  }
  if (plan.hash !== input.planHash) {
    const reason = `The plan is no longer the one that was shown: it is ${plan.hash} now, and ${input.planHash} was signed.`;
    return { admission: { admitted: false, code: 'plan-changed', reason, remedy: 'Look at the new plan and start again.', plan } };
  }
  return { admission: { admitted: true }, span };
}

function withoutOk({ code, reason, remedy }: Telling): Telling {
  return { code, reason, remedy };
}

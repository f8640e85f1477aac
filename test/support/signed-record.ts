import { questionDigest } from '../../domain/approval/request.ts';
import type { Signer } from '../../client/signing.ts';
import { expectedOf, type DecisionStatement, type StartStatement } from '../../domain/approval/statement.ts';
import { chain, signedEvidence, type EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { sealSpan, type SpanPlan } from '../../domain/plan/plan.ts';

/** What is written into a record, without what seals it. */
export interface Written {
  kind: string;
  body: JsonObject;
}

const target = 'eks/eu-central-1/demo';
const runbook = `sha256:${'2'.repeat(64)}`;
const inputs = { cluster: 'demo' };
const question = 'Drain?';
const freshness = { at: new Date().toISOString(), nonce: 'n-1' };

/** A plan of one step; without a change it only looks. */
export function planOfStep(id: string, change?: string): SpanPlan {
  const effects = change === undefined ? [] : [{ object: 'Node/a', change }];
  const plan = { effects, facts: {}, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
  return sealSpan({ target, runbook, title: 'Maintenance', inputs, steps: [{ id, uses: `kubernetes.${id}`, input: {}, plan }] });
}

/** The start of a run with that first plan, as its requester signs it. */
export function startOf(run: string, person: string, { hash: planHash }: SpanPlan): StartStatement {
  return { kind: 'start', person, run, target, runbook, planHash, ...freshness };
}

/** An approval of the first request of the hold `sign-drain`. */
export function approvalOf(run: string, person: string, { hash: planHash }: SpanPlan): DecisionStatement {
  const reason = 'Grüße: gelesen';
  const request = { hold: 'sign-drain', request: 1, planHash, question: questionDigest({ question }) };
  return { kind: 'decision', person, run, ...request, decision: 'approve', reason, ...freshness };
}

/** What somebody signs, as a worker writes it down. */
export async function signed(statement: StartStatement | DecisionStatement, key: Signer): Promise<Written> {
  return signedEvidence(expectedOf(statement), await key.sign(statement), key.publicKey);
}

/** Everything that is written down of a run that looks, is signed by one other person, drains and ends. */
export async function writtenOfRun(run: string, requester: Signer, approver: Signer): Promise<Written[]> {
  const first = planOfStep('look');
  const second = planOfStep('drain', 'drain');
  const start = await signed(startOf(run, requester.person, first), requester);
  const policy = { name: 'production', atLeast: 1, of: 'sre', exclude: ['requester'], reason: 'optional', expiresMs: 60_000 };
  const people = { policy, members: [requester.person, approver.person], requester: requester.person };
  const times = { requestedAt: freshness.at, expiresAt: freshness.at };
  const hold = 'sign-drain';
  const began = ({ steps }: SpanPlan): Written[] =>
    steps.flatMap(({ id, uses, plan }): Written[] => [
      { kind: 'step.started', body: { step: id, uses, effects: plan.effects as unknown as Json } },
      { kind: 'step.done', body: { step: id, outputs: {} } },
    ]);
  return [
    { ...start, body: { ...start.body, inputs, runbookName: 'node-maintenance' } },
    { kind: 'plan.made', body: { plan: first as unknown as Json } },
    ...began(first),
    {
      kind: 'hold.requested',
      body: {
        hold,
        number: 1,
        question,
        planHash: second.hash,
        ...people,
        ...times,
        plan: second as unknown as Json,
        drift: null,
      },
    },
    await signed(approvalOf(run, approver.person, second), approver),
    { kind: 'hold.released', body: { hold, request: 1, planHash: second.hash } },
    ...began(second),
    { kind: 'run.ended', body: { phase: 'done', reason: 'every step is done', leftovers: [] } },
  ];
}

/** Seals everything anew from the first entry on, as somebody can who owns the disk. */
export function sealed(run: string, written: readonly (Written & { at?: string })[]): EvidenceEntry[] {
  const entries: EvidenceEntry[] = [];
  for (const { kind, body, at = new Date().toISOString() } of written) entries.push(chain(entries.at(-1), { run, at, kind, body }));
  return entries;
}

import * as z from 'zod';
import type { Admission, CommandResult, DecisionAnswer } from '../../workflows/messages.ts';
import { phases } from '../../domain/run/state.ts';
import { blocker, forecast, planDifference, spanPlan } from './plan.ts';
import { approvalRequest, awaitedOpening, brokenGlass, decision, holdSummary, inboxItem, runSummary } from './run.ts';
import { jsonObject, objectOf } from './shape.ts';

const time = z.string().describe('ISO 8601, UTC.');

/** What a session may do besides signing, which no role gives: whose signature counts, policies say. */
export const roles = ['viewer', 'operator', 'auditor'] as const;
export type Role = (typeof roles)[number];

/** Who asks. */
export const me = z.object({
  person: z.string().nullable().describe('Id in holdpoint.yaml; null for somebody who is not in it, and can sign nothing.'),
  name: z.string(),
  kind: z.enum(['person', 'token']),
  roles: z.array(z.enum(roles)),
  session: z.object({ endsAt: time, idleEndsAt: time }).nullable().describe('Null for a token.'),
  keys: z.array(z.object({ type: z.string(), key: z.string() })).describe('The public keys of the person, as holdpoint.yaml has them.'),
});

export const inbox = z.object({
  items: z.array(inboxItem),
  unread: z.array(z.object({ target: z.string(), reason: z.string() })),
  more: z.boolean(),
  command: z.string().describe('The command that shows the same.'),
});

export const runs = z.object({
  runs: z.array(runSummary),
  next: z.string().nullable().describe('Cursor of the next page; null on the last one.'),
  command: z.string(),
});

const refusal = z.object({ code: z.string(), reason: z.string(), remedy: z.string() });

/** Everything that an approver must see of one request for signatures, for ever under one address. */
export const holdPage = z.object({
  run: z.string(),
  target: z.string(),
  runbook: z.object({ name: z.string(), title: z.string(), digest: z.string() }),
  requester: z.string(),
  ticket: z.object({ id: z.string(), link: z.string().optional() }).optional(),
  phase: z.enum(phases),
  brokenGlass: z.array(brokenGlass).optional(),
  hold: z.string(),
  number: z.number(),
  status: z.enum(['waiting', 'approved', 'rejected', 'expired', 'drifted', 'aborted', 'withdrawn', 'over']),
  replacedBy: z
    .object({ hold: z.string(), number: z.number() })
    .optional()
    .describe('The request that the run waits at now, where it is another one.'),
  request: approvalRequest,
  plan: spanPlan.optional().describe('What would be signed, whole; left out where only the evidence store has it.'),
  decisions: z.array(decision),
  withdrawn: z.array(decision).optional(),
  drift: planDifference.optional(),
  changed: planDifference.optional(),
  notInAdvance: z.array(z.object({ person: z.string(), reason: z.string() })).optional(),
  opening: awaitedOpening.optional(),
  summary: holdSummary.optional(),
  asks: z.string().describe('Who must sign, in words.'),
  nextHold: z
    .object({ id: z.string(), title: z.string().optional() })
    .nullable()
    .describe('Where the run stops next, if this is approved; null where it goes on to its end.'),
  questionDigest: z.string().describe('The claim `question` of a statement.'),
  you: z.object({
    person: z.string().nullable(),
    decided: decision.optional(),
    mayApprove: z.boolean(),
    whyNotApprove: refusal.optional().describe('What a worker would answer to an approval now.'),
    mayReject: z.boolean(),
    whyNotReject: refusal.optional(),
    mayBreakGlass: z.boolean(),
  }),
  commands: z.object({ show: z.string(), approve: z.string(), reject: z.string() }),
});

export type HoldPage = z.output<typeof holdPage>;
export const runbooks = z.object({
  runbooks: z.array(z.object({ name: z.string(), title: z.string(), worksOn: z.array(z.string()) })),
});

export const runbook = z.object({
  name: z.string(),
  title: z.string(),
  digest: z.string(),
  target: z.string(),
  worksOn: z.array(z.string()),
  window: z.string().optional(),
  inputs: jsonObject.describe('JSON Schema of the inputs.'),
  steps: z.array(jsonObject),
  text: z.string().describe('The document as it is written.'),
  command: z.string(),
});

export const forecastAnswer = z.object({
  forecast,
  run: z.string().describe('An id that no run has, for the statement of a start.'),
  command: z.string(),
});

export const decisionAnswer = objectOf<DecisionAnswer>()({
  state: z.enum(['waiting', 'approved', 'rejected']),
  missing: z.number(),
});

export const commandAnswer = objectOf<CommandResult>()({
  phase: z.enum(phases),
  hold: z.string().optional().describe('Where others have to sign before it counts.'),
  notice: z.string().optional(),
});

type Refused = Extract<Admission, { admitted: false }>;

export const startAnswer = z.object({
  run: z.string(),
  target: z.string(),
  admission: z.discriminatedUnion('admitted', [
    z.object({ admitted: z.literal(true) }),
    objectOf<Refused>()({
      admitted: z.literal(false),
      code: z.string(),
      reason: z.string(),
      remedy: z.string(),
      plan: spanPlan.optional(),
      blockers: z.array(blocker).optional(),
    }),
  ]),
});

/** The record of a run; the whole report is that of `holdpoint evidence verify --json`. */
export const evidence = z.object({
  report: z.looseObject({ ok: z.boolean(), entries: z.number() }),
  entries: z.array(jsonObject).describe('The entries, with what is kept beside them in its place.'),
  text: z.string().describe('The record as it is kept, as JSON lines: what `holdpoint evidence verify` checks offline.'),
  command: z.string(),
});
export type Evidence = z.output<typeof evidence>;

export type RunbooksAnswer = z.output<typeof runbooks>;
export type RunbookAnswer = z.output<typeof runbook>;
export type ForecastAnswer = z.output<typeof forecastAnswer>;
export type StartAnswer = z.output<typeof startAnswer>;

export const health = z.object({ ok: z.boolean() });

/** An error (RFC 9457), with the codes of docs/errors.md. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number(),
  detail: z.string(),
  code: z.string(),
  remedy: z.string(),
  run: z.string().optional(),
  recorded: z.boolean().optional().describe('Whether the record of the run has this refused attempt.'),
});

export type Me = z.output<typeof me>;
export type Problem = z.output<typeof problem>;

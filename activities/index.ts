import { setTimeout as wait } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { ActionContext, Progress, Target, Undo } from '../domain/action.ts';
import type { Policy } from '../domain/approval.ts';
import { HoldpointError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ActionPlan } from '../domain/plan.ts';
import type { ExpectedStatement } from '../domain/statement.ts';
import type { Configuration } from '../runbooks/configuration.ts';
import type { AnyAction } from './action.ts';
import type { Clients } from './clients.ts';
import { EvidenceError, type EvidenceStore, type NewEntry } from './evidence/store.ts';
import { toFailure } from './failure.ts';
import { liftCordonsOf } from './kubernetes/cordon-mark.ts';
import { perform, type Performance } from './perform.ts';
import { prepareRunbook, type Prepared } from './prepare.ts';
import { verifyStatement } from './people/verify.ts';

/** Heartbeats come this many times within the time after which an attempt counts as dead. */
const heartbeatsPerTimeout = 4;

/** What activities work with; the worker puts it together. */
export interface ActivityParts {
  clients: Clients;
  actions: ReadonlyMap<string, AnyAction>;
  evidence: EvidenceStore;
  /** Reads holdpoint.yaml as it is now: people who have left must not be able to sign. */
  readConfiguration(): Promise<Configuration>;
}

type RunContext = Omit<ActionContext, 'acted'>;

export type VerifiedSignature =
  { ok: true; publicKey: string; at: string; nonce: string } | { ok: false; code: string; reason: string; remedy: string };

/** Everything that workflows can ask of the world. */
export interface Activities {
  prepare(request: { document: { file: string; text: string }; inputs: JsonObject; target?: string }): Promise<Prepared>;
  planStep(request: { action: string; input: JsonObject; context: RunContext }): Promise<ActionPlan>;
  openHold(request: { policy: string }): Promise<{ policy: Policy; members: string[]; openedAt: string; expiresAt: string }>;
  perform(request: { action: string; plan: ActionPlan; context: RunContext }): Promise<Performance & { undo: Undo }>;
  release(request: { target: Target; run: string }): Promise<{ lifted: string[] }>;
  record(entry: NewEntry & { run: string }): Promise<{ at: string; path: string }>;
  /** With a group, its signer must belong to it at this moment. */
  verifySignature(request: { expected: ExpectedStatement; signature: string; group?: string }): Promise<VerifiedSignature>;
}

/** Makes the activities of a worker. Whatever they throw crosses into the workflow as a failure that a person can act upon. */
export function createActivities(parts: ActivityParts): Activities {
  const activities: Activities = {
    prepare: async (request) => prepareRunbook(request, await parts.readConfiguration()),
    planStep: ({ action, input, context }) =>
      withHeartbeats(async () => findAction(parts, action).plan(input, { ...context, acted: false })),
    openHold: async ({ policy }) => openHold(await parts.readConfiguration(), policy),
    perform: async ({ action, plan, context }) => performWithHeartbeats(findAction(parts, action), plan, context),
    release: ({ target, run }) =>
      withHeartbeats(async () => ({ lifted: await liftCordonsOf(await parts.clients.kubernetes(target), target.name, run) })),
    record: async ({ run, ...entry }) => {
      try {
        const { at } = await parts.evidence.append(run, entry);
        return { at, path: parts.evidence.pathOf(run) };
      } catch (error) {
        throw recordFailure(error, entry);
      }
    },
    verifySignature: async ({ expected, signature, group }) => {
      const { people, groups } = await parts.readConfiguration();
      const { person } = expected;
      const publicKey = people[person]?.key;
      const result = await verifyStatement(signature, expected, publicKey, new Date());
      if (!result.ok) return result;
      if (group !== undefined && !groups[group]?.includes(person)) {
        const reason = `${person} has left the group ${group} since the hold was opened.`;
        return { ok: false, code: 'not-in-group', reason, remedy: `Have somebody sign who belongs to ${group}.` };
      }
      const { at, nonce } = result.statement;
      return { ok: true, publicKey: publicKey ?? '', at, nonce };
    },
  };
  return withFailures(activities);
}

function findAction({ actions }: ActivityParts, name: string): AnyAction {
  const action = actions.get(name);
  if (!action) throw new HoldpointError('action-unknown', { action: name });
  return action;
}

function openHold(configuration: Configuration, name: string): Awaited<ReturnType<Activities['openHold']>> {
  const policy = configuration.policies[name];
  if (!policy) throw new HoldpointError('policy-unknown', { policy: name });
  const now = Date.now();
  return {
    policy,
    members: configuration.groups[policy.of] ?? [],
    openedAt: new Date(now).toISOString(),
    expiresAt: new Date(now + policy.expiresMs).toISOString(),
  };
}

/** An entry that no record can take, or the first one of a run whose id is taken, is not tried again: a person hears of it. */
function recordFailure(error: unknown, { sequence }: NewEntry): unknown {
  if (!(error instanceof EvidenceError)) return error;
  const { code, consequence, message, remedy } = error;
  const nonRetryable = consequence === 'refuse' || (code === 'evidence-conflict' && sequence === 1);
  return ApplicationFailure.create({ type: code, message, nonRetryable, details: [{ remedy }] });
}

/** Heartbeats tell the last progress; they come with each progress as well as by the clock. */
async function performWithHeartbeats(action: AnyAction, plan: ActionPlan, context: RunContext): Promise<Performance & { undo: Undo }> {
  const { cancellationSignal } = Context.current();
  try {
    return await withHeartbeats(async (beat) => {
      const performed = await perform(action, plan, context, {
        onProgress: beat,
        signal: cancellationSignal,
        // An abort only ends the wait; the loop itself looks at the signal.
        wait: (ms) => wait(ms, undefined, { signal: cancellationSignal }).catch(() => undefined),
      });
      return { ...performed, undo: action.undo(plan, { ...context, acted: true }) };
    });
  } catch (error) {
    // An aborted request is the cancellation, whatever it was made of on the way here.
    if (cancellationSignal.aborted) throw cancellationSignal.reason;
    throw error;
  }
}

/** Heartbeats by the clock: a long call to AWS must not look like a dead worker, and a dead worker not like a long call. */
async function withHeartbeats<Result>(work: (beat: (progress: Progress | undefined) => void) => Promise<Result>): Promise<Result> {
  const activity = Context.current();
  let latest: Progress | undefined;
  const ticker = setInterval(() => activity.heartbeat(latest), (activity.info.heartbeatTimeoutMs ?? 10_000) / heartbeatsPerTimeout);
  try {
    return await work((progress) => {
      latest = progress;
      activity.heartbeat(latest);
    });
  } finally {
    clearInterval(ticker);
  }
}

function withFailures(activities: Activities): Activities {
  const wrapped = Object.entries(activities).map(([name, activity]: [string, (request: never) => Promise<unknown>]) => [
    name,
    async (request: never) => {
      try {
        return await activity(request);
      } catch (error) {
        throw isCancellation(error) ? error : toFailure(error);
      }
    },
  ]);
  return Object.fromEntries(wrapped) as Activities;
}

function isCancellation(error: unknown): boolean {
  return error instanceof Error && (error.name === 'CancelledFailure' || error.name === 'CompleteAsyncError');
}

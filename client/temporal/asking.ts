import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import {
  isGrpcServiceError,
  QueryNotRegisteredError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type ConnectionLike,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { earlyEventWords } from '../../workflows/messages.ts';

/**
 * When an unanswered question is asked again: beside many updates, the server can keep one back for a task that does not come. Each
 * has its own time, so that a process that has stood still for a while still asks as often. Left alone, the client asks for half a
 * minute, and says only that it has failed.
 */
const askTimesMs = [3_000, 3_000, 4_000];
const pauseMs = 250;
/** How often a word is sent, or a result waited for, where the server has not answered. */
const sendsMax = 5;
/** What the Temporal server calls an update that a worker has taken and not answered. */
const unprocessedUpdate = 'UnprocessedUpdate';
/** How far down the causes of an error its gRPC code may be. */
const causesMax = 5;
/** Codes of gRPC: CANCELLED, which comes where the server gives up at the same moment; DEADLINE_EXCEEDED. */
const lateCodes = [1, 4];
/** FAILED_PRECONDITION: a run cannot be asked just now, as one of its tasks is not scheduled yet or has failed. */
const notReadyCode = 9;

/**
 * The words that Temporal's core puts before an error of a worker whose replay of a history comes to something else than the history. It
 * is tried again, as there may be other workers.
 */
const replayFailedWords = '[TMPRL1100]';

/**
 * Asks Temporal something that changes nothing, and again where no answer comes, or where a worker could not replay the run. Throws what
 * the last question has thrown: `isUnanswered` tells whether that means that nobody has answered, `saysThatReplayFailed` the other.
 */
export async function askAgain<Answer>(connection: ConnectionLike, question: () => Promise<Answer>): Promise<Answer> {
  let unanswered: unknown;
  for (const timeMs of askTimesMs) {
    const endMs = Date.now() + timeMs;
    try {
      return await connection.withDeadline(endMs, () => whenReady(question, endMs));
    } catch (error) {
      const mayBeAsked = (isUnanswered(error) && !saysThatNobodyPolls(error)) || saysThatReplayFailed(error);
      if (!mayBeAsked) throw error;
      unanswered = error;
    }
  }
  throw unanswered;
}

async function whenReady<Answer>(question: () => Promise<Answer>, endMs: number): Promise<Answer> {
  for (;;) {
    try {
      return await question();
    } catch (error) {
      const isNotReady = (codeOf(error) === notReadyCode && !saysThatNobodyPolls(error)) || cameEarly(error);
      const canWait = isNotReady && Date.now() + pauseMs < endMs;
      if (!canWait) throw error;
      await wait(pauseMs);
    }
  }
}

/** Whether an error of a question means that nobody has answered it. */
export function isUnanswered(error: unknown): boolean {
  const code = codeOf(error);
  return cameEarly(error) || (code !== undefined && [...lateCodes, notReadyCode].includes(code));
}

/** Whether a worker has refused a question that reached it with events of a workflow task that is still to come. */
function cameEarly(error: unknown): boolean {
  return error instanceof QueryNotRegisteredError && error.message.includes(earlyEventWords);
}

/** Whether an error of a question means that a worker could not replay the history of the run with its code. */
export function saysThatReplayFailed(error: unknown): boolean {
  return error instanceof QueryNotRegisteredError && error.message.includes(replayFailedWords);
}

/**
 * Waits for what a workflow returns, and again where the server gives up in between. Throws what the workflow does, and what the last
 * wait has thrown.
 */
export async function resultOf(handle: { result: () => Promise<unknown> }): Promise<unknown> {
  for (let waits = 1; ; waits += 1) {
    try {
      return await handle.result();
    } catch (error) {
      if (!isUnanswered(error) || waits >= sendsMax) throw error;
    }
  }
}

/**
 * Sends an update, and again where its answer is lost. It goes out under the same id then, by which Temporal knows it again: it is done
 * once, and whoever sends it again is told what has come of it. Where a worker has left it unanswered, as it may where many come at once
 * or where it has just loaded the run anew, nothing has come of it, and another one is sent. A run whose workflow task has failed takes
 * none just now, so it waits for a moment. Throws what `send` does:
 * `isLost` tells whether that means that nobody knows what has come of it.
 *
 * @param firstId made of what is sent, where somebody else may send the very same again; a new one where it is left out.
 */
export async function sendAgain<Answer>(send: (updateId: string) => Promise<Answer>, firstId: string = randomUUID()): Promise<Answer> {
  let updateId = firstId;
  for (let sends = 1; ; sends += 1) {
    try {
      return await send(updateId);
    } catch (error) {
      const isNotReady = codeOf(error) === notReadyCode;
      if (!(isNotReady || isLost(error) || isUnprocessed(error)) || sends >= sendsMax) throw error;
      if (isUnprocessed(error)) updateId = randomUUID();
      // Its last workflow task has failed, as where a worker was too busy: the next attempt of that comes soon.
      if (isNotReady) await wait(pauseMs * 2 ** sends);
    }
  }
}

/** Whether an error of an update means that its answer was lost. */
export function isLost(error: unknown): boolean {
  return error instanceof WorkflowUpdateRPCTimeoutOrCancelledError;
}

function isUnprocessed(error: unknown): boolean {
  return error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure && error.cause.type === unprocessedUpdate;
}

/** Whether the Temporal server has seen no worker on the queue for a while: it refuses a query at once then (FAILED_PRECONDITION). */
function saysThatNobodyPolls(error: unknown): boolean {
  return error instanceof Error && /no poller seen/i.test(`${error.message} ${String((error.cause as Error | undefined)?.message)}`);
}

function codeOf(error: unknown): number | undefined {
  let current = error;
  for (let depth = 0; depth < causesMax && current instanceof Error; depth += 1, current = current.cause) {
    if (isGrpcServiceError(current)) return Number(current.code);
  }
  return undefined;
}

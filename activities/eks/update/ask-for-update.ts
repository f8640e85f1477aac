import type { Update } from '@aws-sdk/client-eks';
import type { ActionContext, Stuck } from '../../../domain/action.ts';
import type { HoldpointError } from '../../../domain/errors.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { stuckError } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { requestToken } from '../request-token.ts';
import { readUpdates, updateInProgress, type UpdateOwner } from './read-updates.ts';

/** Earlier tries whose request tokens are tried before an update in progress is called somebody else's. */
const earlierTriesMax = 10;

/** An update that EKS is asked for, of a cluster or of one of its node groups or add-ons. */
export interface WantedUpdate {
  /** The call as errors name it. */
  call: string;
  /** Left out for the cluster itself. */
  owner?: UpdateOwner;
  /** What the request is about: with the step and its try it makes the request token. */
  request: JsonObject;
  /** Whether an update in progress is waited for, whosever it is. */
  waitForUpdate: boolean;
  send: (clientRequestToken: string) => Promise<Update | undefined>;
  /** What to say of an update in progress that is somebody else's. */
  foreign(update: Update): Stuck;
}

type Answer = { update: Update | undefined } | { conflict: HoldpointError };

/**
 * Asks EKS for the update under the token of this try. EKS answers a token that it knows with the update that was begun under
 * it, so only what it refuses as a conflict (409) can be somebody else's: a lost or a throttled answer never is.
 * Throws `change-in-flight` where the same change is in progress already, `action-stuck` where another one is, `aws-busy` where
 * none is to be seen (any more) or the step is to wait for it, and the other `aws-…` errors.
 */
export async function askForUpdate(clients: Clients, wanted: WantedUpdate, context: ActionContext): Promise<void> {
  const answer = await ask(wanted, context);
  if (!('conflict' in answer)) return;
  const updates = await readUpdates(clients, context.target, wanted.owner);
  const inProgress = updateInProgress(updates);
  if (!inProgress || wanted.waitForUpdate) throw answer.conflict;
  if (await isOfEarlierTry(wanted, context, inProgress)) return;
  throw stuckError(wanted.foreign(inProgress));
}

async function ask({ call, request, send }: WantedUpdate, context: ActionContext): Promise<Answer> {
  try {
    return { update: await send(requestToken(context, request)) };
  } catch (error) {
    const known = awsError(error, call, context.target);
    if (error instanceof Error && error.name === 'ResourceInUseException') return { conflict: known };
    throw known;
  }
}

/** Whether an update was begun by this step before an operator had it tried again, which gives it another token. */
async function isOfEarlierTry(wanted: WantedUpdate, context: ActionContext, { id }: Update): Promise<boolean> {
  const oldest = Math.max(0, context.retry - earlierTriesMax);
  for (let retry = context.retry - 1; retry >= oldest; retry -= 1) {
    const answer = await ask(wanted, { ...context, retry });
    if ('update' in answer && answer.update?.id === id) return true;
  }
  return false;
}

import { UpdateNodegroupVersionCommand, type Update } from '@aws-sdk/client-eks';
import type { ActionContext } from '../../../domain/action.ts';
import type { HoldpointError } from '../../../domain/errors.ts';
import { stuckError } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { requestToken } from '../request-token.ts';
import { readUpdates } from './read-updates.ts';
import { foreignUpdate, type UpdateFacts } from './planned-change.ts';

/** Earlier tries whose request tokens are tried before an update in progress is called somebody else's. */
const earlierTriesMax = 10;

type Answer = { update: Update | undefined } | { conflict: HoldpointError };

/**
 * Asks EKS for the update under the token of this try. EKS answers a token that it knows with the update that was begun under
 * it, so only what it refuses as a conflict (409) can be somebody else's: a lost or a throttled answer never is.
 * Throws `change-in-flight` where the same change is in progress already, `action-stuck` where another one is, `aws-busy` where
 * none is to be seen (any more) or the step is to wait for it, and the other `aws-…` errors.
 */
export async function askForUpdate(clients: Clients, facts: UpdateFacts, context: ActionContext): Promise<void> {
  const answer = await ask(clients, facts, context);
  if (!('conflict' in answer)) return;
  const updates = await readUpdates(clients, context.target, facts.nodegroup);
  const inProgress = updates.find(({ status }) => status === 'InProgress');
  if (!inProgress || facts.waitForUpdate) throw answer.conflict;
  if (await isOfEarlierTry(clients, facts, context, inProgress)) return;
  throw stuckError(foreignUpdate(facts, inProgress));
}

async function ask(clients: Clients, { nodegroup: nodegroupName, to, force }: UpdateFacts, context: ActionContext): Promise<Answer> {
  const command = new UpdateNodegroupVersionCommand({
    clusterName: context.target.name,
    nodegroupName,
    version: to.version ?? undefined,
    releaseVersion: to.releaseVersion ?? undefined,
    force,
    clientRequestToken: requestToken(context, { nodegroupName, to, force }),
  });
  try {
    const { update } = await clients.eks(context.target.region).send(command);
    return { update };
  } catch (error) {
    const known = awsError(error, `UpdateNodegroupVersion ${nodegroupName}`, context.target);
    if (error instanceof Error && error.name === 'ResourceInUseException') return { conflict: known };
    throw known;
  }
}

/** Whether an update was begun by this step before an operator had it tried again, which gives it another token. */
async function isOfEarlierTry(clients: Clients, facts: UpdateFacts, context: ActionContext, { id }: Update): Promise<boolean> {
  const oldest = Math.max(0, context.retry - earlierTriesMax);
  for (let retry = context.retry - 1; retry >= oldest; retry -= 1) {
    const answer = await ask(clients, facts, { ...context, retry });
    if ('update' in answer && answer.update?.id === id) return true;
  }
  return false;
}

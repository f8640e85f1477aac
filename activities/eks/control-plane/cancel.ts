import { CancelUpdateCommand, type Cluster, type Update } from '@aws-sdk/client-eks';
import type { ActionContext } from '../../../domain/action.ts';
import { isObject } from '../../../domain/json.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { requestToken } from '../request-token.ts';
import { readUpdates, updateInProgress } from '../update/read-updates.ts';
import type { VersionFacts } from './facts.ts';

/** What EKS answers where it is too late. */
const refusals: readonly string[] = ['InvalidRequestException', 'InvalidStateException', 'InvalidParameterException'];

/** Whether EKS Auto Mode runs the nodes of a cluster: then they go back before the control plane does. */
export function isAutoMode({ computeConfig }: Cluster): boolean {
  return computeConfig?.enabled === true;
}

/** Whether EKS can still be asked to cancel the rollback that a plan is to cancel. */
export function canBeCancelled({ cancels }: VersionFacts, update: Update, { checkpoint }: ActionContext): boolean {
  const kept = checkpoint.read();
  return (
    cancels !== undefined && update.id === cancels && update.cancellation === undefined && !(isObject(kept) && kept.tooLate === cancels)
  );
}

/**
 * Has EKS cancel the rollback in progress that a plan is to cancel. Returns whether it is in progress: where it is too late, it is waited
 * for. https://docs.aws.amazon.com/eks/latest/userguide/rollback-automode.html. Throws `aws-…` errors.
 */
export async function cancelRollback(clients: Clients, facts: VersionFacts, context: ActionContext): Promise<boolean> {
  const { cancels: updateId } = facts;
  const { target } = context;
  if (updateId === undefined) return false;
  const inProgress = updateInProgress(await readUpdates(clients, target));
  if (inProgress?.id !== updateId) return false;
  if (!canBeCancelled(facts, inProgress, context)) return true;
  const clientRequestToken = requestToken(context, { cancels: updateId });
  try {
    await clients.eks(target.region).send(new CancelUpdateCommand({ name: target.name, updateId, clientRequestToken }));
  } catch (error) {
    if (!(error instanceof Error) || !refusals.includes(error.name)) throw awsError(error, `CancelUpdate ${updateId}`, target);
    context.checkpoint.write({ tooLate: updateId });
  }
  return true;
}

import { condition, defineQuery, defineUpdate, proxyActivities, setHandler } from '@temporalio/workflow';
import { ApplicationFailure } from '@temporalio/common';
import type { MinimalActivities } from './minimal-worker.ts';

export interface MinimalInput {
  cluster: string;
  node: string;
  approvalsNeeded: number;
}

export const approveUpdate = defineUpdate<{ missing: number }, [string]>('approve');
export const approvalsQuery = defineQuery<number>('approvals');

const { cordon } = proxyActivities<MinimalActivities>({ startToCloseTimeout: '1 minute' });

/**
 * What somebody would write by hand in an afternoon: waits until enough different people have approved, then cordons the node.
 * It takes the word of whoever sends the update (no signature, no policy), does not look again whether what was approved still
 * holds, keeps no record, and leaves the node as it is at the end.
 */
export async function minimal({ cluster, node, approvalsNeeded }: MinimalInput): Promise<string> {
  const approvedBy = new Set<string>();
  setHandler(approvalsQuery, () => approvedBy.size);
  setHandler(approveUpdate, (person) => ({ missing: approvalsNeeded - approvedBy.add(person).size }), {
    validator: (person: string) => {
      if (person === '') throw ApplicationFailure.nonRetryable('an approval needs a person');
      if (approvedBy.has(person)) throw ApplicationFailure.nonRetryable(`${person} has approved already`);
      if (approvedBy.size >= approvalsNeeded) throw ApplicationFailure.nonRetryable('nothing is waiting for approval');
    },
  });
  await condition(() => approvedBy.size >= approvalsNeeded);
  await cordon(cluster, node);
  return 'done';
}

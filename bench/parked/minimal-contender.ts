import { approvalToActivityMs, endsWell, type Contender } from './contender.ts';
import { approvalsQuery, approveUpdate, type minimal, type MinimalInput } from './minimal-workflow.ts';
import type { Environment } from './environment.ts';
import { nodeNames } from './world.ts';

/** What the minimal workflow does not do, for whoever reads the figures. */
export const minimalLacks = [
  'it checks no signature and no policy',
  'it plans nothing and does not look again before it acts',
  'it keeps no record',
  'it cannot be paused, and lifts no cordon at its end',
];

/** The side of the workflow written by hand. */
export function minimalContender({ client, minimal: { settings, worker } }: Environment): Contender {
  const { taskQueue } = settings;
  const idOf = (cluster: string): string => `minimal/${taskQueue}/${cluster}`;
  const approve = async (cluster: string, person: string): Promise<number> => {
    const sentAtMs = Date.now();
    await client.workflow.getHandle(idOf(cluster)).executeUpdate(approveUpdate, { args: [person] });
    return sentAtMs;
  };
  return {
    workerPid: worker.pid,
    start: async (cluster) => {
      const input: MinimalInput = { cluster, node: nodeNames().minimal, approvalsNeeded: 2 };
      const handle = await client.workflow.start<typeof minimal>('minimal', { taskQueue, workflowId: idOf(cluster), args: [input] });
      // It is at its hold as soon as it answers.
      await handle.query(approvalsQuery);
    },
    holding: async () => (await client.workflow.count(`TaskQueue = '${taskQueue}' AND ExecutionStatus = 'Running'`)).count,
    look: async (cluster) => void (await client.workflow.getHandle(idOf(cluster)).query(approvalsQuery)),
    approveFirst: async (cluster) => void (await approve(cluster, 'ada')),
    approve: async (cluster) => ({ cluster, sentAtMs: await approve(cluster, 'grace') }),
    hasEndedWell: (cluster) => endsWell(client.workflow.getHandle(idOf(cluster)), (result) => result === 'done'),
    approvalToStepMs: (approval) => approvalToActivityMs(client.workflow.getHandle(idOf(approval.cluster)), 'cordon', approval),
  };
}

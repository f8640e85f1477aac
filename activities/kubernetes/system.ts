import type { Clients } from '../clients.ts';
import { kubernetesRestoreAction } from './restore/restore.ts';
import { deletionOf } from '../etcd/delete-backups.ts';
import type { System } from '../system.ts';
import { awaitRebootAction } from './await-reboot.ts';
import { findNodesAction } from './find-nodes.ts';
import { listNodes } from './client/read.ts';
import { cordonAction } from './cordon/cordon.ts';
import { liftCordon, liftCordonsOf, runsAnnotating } from './cordon/owner-annotation.ts';
import { uncordonAction } from './cordon/uncordon.ts';
import { checkDrainAction } from './drain/check-drain.ts';
import { drainAction } from './drain/drain.ts';
import { kubernetesBackupAction, openExports } from './export/backup.ts';
import { holdKarpenterAction, releaseKarpenterAction } from './karpenter/hold.ts';
import { findHolds, isOfNodePool, releaseHold, releaseNodePoolsOf } from './karpenter/node-pool.ts';

/** Everything that has a Kubernetes API, whoever runs it: its nodes, and NodePools of Karpenter, are what runs annotate. */
export function kubernetesSystem(clients: Clients): System {
  return {
    name: 'kubernetes',
    actions: [
      cordonAction(clients),
      uncordonAction(clients),
      drainAction(clients),
      checkDrainAction(clients),
      findNodesAction(clients),
      awaitRebootAction(clients),
      holdKarpenterAction(clients),
      releaseKarpenterAction(clients),
      kubernetesBackupAction(clients),
      kubernetesRestoreAction(clients),
      deletionOf('kubernetes.deleteBackups', async (target) => (await openExports(clients, target)).store),
    ],
    annotations: {
      kinds: ['eks', 'kubernetes'],
      release: async (target, run) => {
        const apis = await clients.kubernetes(target);
        return [...(await liftCordonsOf(apis, target.name, run)), ...(await releaseNodePoolsOf(apis, target.name, run))];
      },
      find: async (target) => {
        const apis = await clients.kubernetes(target);
        const nodes = await listNodes(apis, target.name);
        const cordons = nodes.flatMap((node) => runsAnnotating(node).map((run) => ({ node: node.metadata?.name ?? '', run })));
        return [...cordons, ...(await findHolds(apis, target.name))];
      },
      lift: async (target, { node, run }) => {
        const apis = await clients.kubernetes(target);
        return isOfNodePool(node) ? releaseHold(apis, target.name, node, run) : liftCordon(apis, target.name, { name: node }, run);
      },
    },
  };
}

import type { Clients } from '../clients.ts';
import type { System } from '../system.ts';
import { backupAction } from './backup.ts';
import { checkAction } from './check.ts';
import { defragmentAction } from './defragment.ts';
import { deleteBackupsAction } from './delete-backups.ts';
import { drillAction } from './drill.ts';
import { replaceMemberAction } from './replace-member.ts';

/** Clusters of etcd, through etcdctl and etcdutl. Its actions leave no owner annotations. */
export function etcdSystem(clients: Clients): System {
  const makers = [checkAction, backupAction, deleteBackupsAction, drillAction, defragmentAction, replaceMemberAction];
  return { name: 'etcd', actions: makers.map((maker) => maker(clients)) };
}

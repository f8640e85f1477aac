import type { Clients } from '../clients.ts';
import type { System } from '../system.ts';
import { backupAction } from './backup.ts';
import { checkAction } from './check.ts';
import { deleteBackupsAction } from './delete-backups.ts';
import { drillAction } from './drill.ts';

/** Clusters of etcd, through etcdctl and etcdutl. Its actions leave no owner annotations. */
export function etcdSystem(clients: Clients): System {
  return { name: 'etcd', actions: [checkAction(clients), backupAction(clients), deleteBackupsAction(clients), drillAction(clients)] };
}

import type { Clients } from '../clients.ts';
import type { System } from '../system.ts';
import { backupAction } from './backup.ts';
import { checkAction } from './check.ts';
import { checkRestoredAction } from './check-restored.ts';
import { chooseBackupAction } from './choose-backup.ts';
import { defragmentAction } from './defragment.ts';
import { deleteBackupsAction } from './delete-backups.ts';
import { drillAction } from './drill.ts';
import { exchangeDataAction } from './exchange-data.ts';
import { prepareRestoreAction } from './prepare-restore.ts';
import { replaceMemberAction } from './replace-member.ts';
import { startMemberAction, stopMemberAction } from './start-and-stop.ts';

/** Clusters of etcd, through etcdctl and etcdutl. Its actions leave no owner annotations. */
export function etcdSystem(clients: Clients): System {
  const restoring = [
    chooseBackupAction,
    prepareRestoreAction,
    stopMemberAction,
    exchangeDataAction,
    startMemberAction,
    checkRestoredAction,
  ];
  const makers = [checkAction, backupAction, deleteBackupsAction, drillAction, defragmentAction, replaceMemberAction, ...restoring];
  return { name: 'etcd', actions: makers.map((maker) => maker(clients)) };
}

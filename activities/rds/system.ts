import type { Clients } from '../clients.ts';
import type { System } from '../system.ts';
import { cloneAction } from './clone.ts';
import { createBlueGreenAction } from './create-blue-green.ts';
import { deleteBlueGreenAction } from './delete-blue-green.ts';
import { deleteCloneAction } from './delete-clone.ts';
import { failoverAction } from './failover.ts';
import { modifyInstanceAction } from './modify-instance.ts';
import { rotateCertificateAction } from './rotate-certificate.ts';
import { switchoverBlueGreenAction } from './switchover-blue-green.ts';
import { takeSnapshotAction } from './take-snapshot.ts';
import { upgradeEngineAction } from './upgrade-engine.ts';

/** Aurora clusters through the API of RDS. Its actions leave nothing at a cluster. */
export function rdsSystem(clients: Clients): System {
  const changing = [failoverAction, modifyInstanceAction, rotateCertificateAction, upgradeEngineAction];
  const copying = [takeSnapshotAction, cloneAction, deleteCloneAction];
  const actionsOfRds = [...changing, ...copying, createBlueGreenAction, switchoverBlueGreenAction, deleteBlueGreenAction];
  return { name: 'rds', actions: actionsOfRds.map((make) => make(clients)) };
}

import type { Clients } from '../clients.ts';
import type { System } from '../system.ts';
import { failoverAction } from './failover.ts';
import { modifyInstanceAction } from './modify-instance.ts';
import { takeSnapshotAction } from './take-snapshot.ts';
import { upgradeEngineAction } from './upgrade-engine.ts';

/** Aurora clusters through the API of RDS. Its actions leave nothing at a cluster. */
export function rdsSystem(clients: Clients): System {
  const actionsOfRds = [failoverAction, modifyInstanceAction, takeSnapshotAction, upgradeEngineAction];
  return { name: 'rds', actions: actionsOfRds.map((make) => make(clients)) };
}

import type { Clients } from '../clients.ts';
import type { System } from '../system.ts';
import { failoverAction } from './failover.ts';
import { modifyInstanceAction } from './modify-instance.ts';

/** Aurora clusters through the API of RDS. Its actions leave nothing at a cluster. */
export function rdsSystem(clients: Clients): System {
  return { name: 'rds', actions: [failoverAction(clients), modifyInstanceAction(clients)] };
}

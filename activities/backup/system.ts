import type { Clients } from '../clients.ts';
import type { System } from '../system.ts';
import { requiredAction } from './required.ts';

/** What runs ask of backups, whatever those are of. It changes nothing and marks nothing. */
export function backupSystem(clients: Clients): System {
  return { name: 'backup', actions: [requiredAction(clients)] };
}

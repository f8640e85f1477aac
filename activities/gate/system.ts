import type { Clients } from '../clients.ts';
import type { System } from '../system.ts';
import { cloudwatchAlarmsGate } from './cloudwatch-alarms.ts';
import { httpGate } from './http.ts';
import { manualCheckGate } from './manual-check.ts';
import { prometheusGate } from './prometheus.ts';

/** Gates: what has to be so before a run goes on. They change nothing and mark nothing. */
export function gateSystem(clients: Clients): System {
  return {
    name: 'gate',
    actions: [prometheusGate(clients.endpoints), httpGate(clients.endpoints), cloudwatchAlarmsGate(clients), manualCheckGate()],
  };
}

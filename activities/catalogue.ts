import { systemNames, type SystemName } from '../runbooks/actions/index.ts';
import { autoscalingSystem } from './autoscaling/system.ts';
import { backupSystem } from './backup/system.ts';
import type { Clients } from './clients.ts';
import { eksSystem } from './eks/system.ts';
import { etcdSystem } from './etcd/system.ts';
import { gateSystem } from './gate/system.ts';
import { kubernetesSystem } from './kubernetes/system.ts';
import { rdsSystem } from './rds/system.ts';
import type { System } from './system.ts';

/** The code of every system of `runbooks/actions/index.ts`. A new one is added here, with one line. */
const makers: Record<SystemName, (clients: Clients) => System> = {
  eks: eksSystem,
  kubernetes: kubernetesSystem,
  autoscaling: autoscalingSystem,
  gate: gateSystem,
  rds: rdsSystem,
  etcd: etcdSystem,
  backup: backupSystem,
};

/** Makes the named systems; all of them where no names are given. */
export function createSystems(clients: Clients, names: readonly SystemName[] = systemNames()): System[] {
  return names.map((name) => makers[name](clients));
}

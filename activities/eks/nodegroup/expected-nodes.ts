import type { Nodegroup } from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import type { ExpectedChange, ExpectedNode } from '../../../domain/plan/expected.ts';
import { nodegroupLabel } from './nodegroup.ts';

const hostnameLabel = 'kubernetes.io/hostname';
const zoneLabel = 'topology.kubernetes.io/zone';
/** How EKS calls the effects of taints (EKS API, Taint). */
const taintEffects: Record<string, string> = {
  NO_SCHEDULE: 'NoSchedule',
  NO_EXECUTE: 'NoExecute',
  PREFER_NO_SCHEDULE: 'PreferNoSchedule',
};

/**
 * Nodes that will join a node group: like the present nodes of the group that it is made after, zone by zone, with the taints of
 * that group, as the taints of a node also tell of its state. Where there is no node to go by, nothing is known of those to come.
 */
export function nodesAdded(group: string, { taints = [] }: Nodegroup, models: readonly V1Node[], count: number): ExpectedChange[] {
  const byZone = new Map<string, ExpectedNode>();
  for (let index = 0; index < count; index += 1) {
    const { metadata, status } = models[index % models.length] ?? {};
    if (!metadata) return [];
    const labels: Record<string, string> = { ...metadata.labels, [nodegroupLabel]: group };
    delete labels[hostnameLabel];
    const zone = labels[zoneLabel] ?? '';
    const known = byZone.get(zone);
    if (known) known.count += 1;
    else
      byZone.set(zone, { name: `${group} in ${zone}`, count: 1, labels, taints: taintsOf(taints), allocatable: status?.allocatable ?? {} });
  }
  return byZone.size === 0 ? [] : [{ change: 'nodes-added', group, nodes: [...byZone.values()] }];
}

/** The taints of a node group as its nodes have them. */
export function taintsOf(taints: NonNullable<Nodegroup['taints']>): ExpectedNode['taints'] {
  return taints.map(({ key = '', value, effect = '' }) => ({ key, value, effect: taintEffects[effect] ?? effect }));
}

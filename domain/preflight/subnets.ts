import { defineCheck, type Check } from './finding.ts';

/** What EKS asks for during an update of the control plane. */
const controlPlaneFreeMin = 5;
const controlPlaneZonesMin = 2;
/** A node and its first pods: below that, new nodes come up without addresses for their pods. */
const nodeFreeMin = 16;

export const controlPlaneUse = 'the control plane';
export const podUse = 'pods';

const controlPlane = defineCheck({
  name: 'control-plane-addresses',
  title: 'The control plane has fewer than 2 zones with a subnet that has 5 free IP addresses',
  severity: 'error',
  source: 'https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html',
  reads: ['cluster', 'subnets'],
  find: ({ cluster, subnets }) => {
    const own = subnets.filter(({ uses }) => uses.includes(controlPlaneUse));
    const zones = new Set(own.filter(({ freeAddresses }) => freeAddresses >= controlPlaneFreeMin).map(({ zone }) => zone));
    if (zones.size >= controlPlaneZonesMin) return [];
    const list = own.map(({ id, zone, freeAddresses }) => `${id} (${zone}): ${freeAddresses} free`).join(', ');
    return [
      {
        object: `Cluster/${cluster.name}`,
        severity: 'error',
        why: `An update needs ${controlPlaneFreeMin} free addresses in ${controlPlaneZonesMin} zones. There are: ${list || 'none'}.`,
        remedy: 'Free addresses, or give the cluster other subnets (UpdateClusterConfig).',
      },
    ];
  },
});

const nodes = defineCheck({
  name: 'node-addresses',
  title: 'A subnet of a node group, or of pods, has fewer than 16 free IP addresses',
  severity: 'error where none is free, else warning',
  source: 'https://docs.aws.amazon.com/eks/latest/best-practices/ip-opt.html',
  reads: ['subnets'],
  find: ({ subnets }) =>
    subnets.flatMap(({ id, zone, freeAddresses, uses }) => {
      const users = uses.filter((use) => use !== controlPlaneUse);
      if (users.length === 0 || freeAddresses >= nodeFreeMin) return [];
      const why = `It has ${freeAddresses} free IP addresses in ${zone}, for ${users.join(', ')}.`;
      const remedy = 'Free addresses, or add a subnet: new nodes come before old ones go.';
      return [{ object: `Subnet/${id}`, severity: freeAddresses === 0 ? 'error' : 'warning', why, remedy }];
    }),
});

/** Addresses for what an upgrade makes before it takes the old away. */
export const subnetChecks: readonly Check[] = [controlPlane, nodes];

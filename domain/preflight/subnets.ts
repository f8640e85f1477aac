import type { PodView } from '../drain/pod.ts';
import { addressesOfNode } from './addressing.ts';
import { defineCheck, type Check, type Found } from './finding.ts';
import { nodegroupLabel, type Aim, type NodegroupView, type NodeView, type SubnetView } from './snapshot.ts';

/** What EKS asks for during an update of the control plane. */
const controlPlaneFreeMin = 5;
const controlPlaneZonesMin = 2;
/** New nodes that EKS starts at least, for each zone of the group. */
const surgePerZone = 2;

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

/** Nodes that come to one zone before old ones go, for one node group. */
interface Arrival {
  group: NodegroupView;
  nodes: number;
  /** Free addresses of all subnets that the group has in the zone. */
  free: number;
}

/**
 * How many nodes an update of a group brings before old ones go: as many as it has where a new group takes its place; else EKS starts twice
 * as many as there are zones, or as many as it replaces at once
 * (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html).
 */
function nodesThatCome({ name, hasSurge, updatedAtOnce, nodesWanted }: NodegroupView, zones: number, { updatedNodegroups }: Aim): number {
  const updated = updatedNodegroups?.find(({ nodegroup }) => nodegroup === name);
  if (updatedNodegroups && !updated) return 0;
  if (updated?.newNodegroup !== undefined) return nodesWanted;
  return hasSurge ? Math.max(surgePerZone * zones, updatedAtOnce) : 0;
}

/** What comes to a subnet: the node groups follow one after another, so each by itself has to find room. */
function arrivalsAt(subnet: SubnetView, nodegroups: readonly NodegroupView[], subnets: readonly SubnetView[], aim: Aim): Arrival[] {
  return nodegroups.flatMap((group): Arrival[] => {
    const own = subnets.filter(({ id }) => group.subnetIds.includes(id));
    const zones = new Set(own.map(({ zone }) => zone));
    if (!zones.has(subnet.zone)) return [];
    const nodes = Math.ceil(nodesThatCome(group, zones.size, aim) / zones.size);
    const inZone = own.filter(({ zone }) => zone === subnet.zone);
    return nodes === 0 ? [] : [{ group, nodes, free: inZone.reduce((sum, { freeAddresses }) => sum + freeAddresses, 0) }];
  });
}

const nodeAddresses = defineCheck({
  name: 'node-addresses',
  title: 'A subnet of a node group has fewer free IP addresses than the nodes that an update brings there',
  severity: 'error',
  source: 'https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html',
  reads: ['nodegroups', 'subnets'],
  find: ({ nodegroups, subnets }, aim) =>
    subnets.flatMap((subnet) => {
      const arrivals = arrivalsAt(subnet, nodegroups, subnets, aim).filter(({ group }) => group.subnetIds.includes(subnet.id));
      const [short] = arrivals.filter(({ nodes, free }) => free < nodes).sort((one, other) => other.nodes - one.nodes);
      if (!short) return [];
      const comes = `the update of node group ${short.group.name} brings ${nodesText(short.nodes)} there`;
      const why = `${shortText(short.free, subnet)}, and ${comes}.`;
      return [{ object: `Subnet/${subnet.id}`, severity: 'error', why, remedy: roomRemedy }];
    }),
});

const podAddresses = defineCheck({
  name: 'pod-addresses',
  title: 'A subnet has fewer free IP addresses than nodes that an update brings take for themselves and their pods',
  severity: 'warning',
  source: 'https://docs.aws.amazon.com/eks/latest/best-practices/ip-opt.html',
  reads: ['nodegroups', 'subnets', 'instanceTypes', 'nodes', 'pods', 'workloads'],
  find: ({ nodegroups, subnets, instanceTypes, nodes, pods, workloads }, aim) => {
    const addressing = workloads.find((one) => one.addressing !== undefined)?.addressing;
    // Pods that another network gives addresses to take none of a subnet.
    if (!addressing) return [];
    const podsMax = podsPerNode(nodes, pods);
    return subnets.flatMap((subnet): Found[] => {
      const isOfPods = addressing.inOwnSubnets && subnet.uses.includes(podUse);
      const shortages = arrivalsAt(subnet, nodegroups, subnets, aim).flatMap(({ group, nodes: count, free: ofGroup }) => {
        if (!isOfPods && !group.subnetIds.includes(subnet.id)) return [];
        const takes = instanceTypes
          .filter(({ name }) => group.instanceTypes.includes(name))
          .map((type) => addressesOfNode(type, podsMax.get(group.name) ?? 0, addressing)[isOfPods ? 'ofPods' : 'ofNode']);
        const each = Math.max(0, ...takes);
        const free = isOfPods ? freeForPods(subnet, subnets) : ofGroup;
        // Where not even the nodes find room, that is an error already.
        const isTold = !isOfPods && free < count;
        return free < count * each && !isTold ? [{ group, count, each, free }] : [];
      });
      const [short] = shortages.sort((one, other) => other.count * other.each - one.count * one.each);
      if (!short) return [];
      const { group, count, each, free } = short;
      const comes = `the update of node group ${group.name} brings ${nodesText(count)} there that take up to ${each} each`;
      const why = `${shortText(free, subnet)}, and ${comes}: pods may get none.`;
      return [{ object: `Subnet/${subnet.id}`, severity: 'warning', why, remedy: roomRemedy }];
    });
  },
});

/** Families of the quotas for standard instances; others, such as those with GPUs, have quotas of their own. */
const standardFamilies = /^[acdhimrtz]\d/;

const quota = defineCheck({
  name: 'instance-quota',
  title: 'The account may not run as many virtual processors as the nodes that an update brings have',
  severity: 'error',
  source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits',
  reads: ['nodegroups', 'subnets', 'instanceTypes', 'quotas'],
  find: ({ nodegroups, subnets, instanceTypes, quotas }, aim) =>
    quotas.flatMap(({ capacityType, name: quotaName, title, processorsMax, processorsUsed }) => {
      const needs = nodegroups.flatMap((group) => {
        const own = instanceTypes.filter(({ name }) => group.instanceTypes.includes(name) && standardFamilies.test(name));
        if (group.capacityType !== capacityType || own.length === 0) return [];
        const zones = new Set(subnets.filter(({ id }) => group.subnetIds.includes(id)).map(({ zone }) => zone)).size;
        const nodes = nodesThatCome(group, zones, aim);
        return [{ group, nodes, processors: nodes * Math.max(...own.map(({ processors }) => processors)) }];
      });
      const [largest] = needs.sort((one, other) => other.processors - one.processors);
      if (!largest || processorsUsed + largest.processors <= processorsMax) return [];
      const { group, nodes, processors } = largest;
      const comes = `the update of node group ${group.name} brings ${nodesText(nodes)} with ${processors} in all`;
      const why = `The quota "${title}" is ${processorsMax} virtual processors, of which ${processorsUsed} run, and ${comes}.`;
      const remedy = 'Ask AWS for a larger quota (Service Quotas, EC2), or end instances that nobody needs.';
      return [{ object: `Quota/${quotaName}`, severity: 'error', why, remedy }];
    }),
});

const roomRemedy = 'Free addresses, or add a subnet: new nodes come before old ones go.';

function shortText(free: number, { zone }: SubnetView): string {
  return `There are ${free} free IP addresses in ${zone}`;
}

function nodesText(count: number): string {
  return count === 1 ? '1 node' : `${count} nodes`;
}

/** Subnets of pods are chosen by the zone of the node, one for each. */
function freeForPods({ zone }: SubnetView, subnets: readonly SubnetView[]): number {
  const own = subnets.filter((one) => one.zone === zone && one.uses.includes(podUse));
  return own.reduce((sum, { freeAddresses }) => sum + freeAddresses, 0);
}

/** By node group, the most pods that a node of it has now: new nodes take these. */
function podsPerNode(nodes: readonly NodeView[], pods: readonly PodView[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { node, phase } of pods) if (phase !== 'Succeeded' && phase !== 'Failed') counts.set(node, (counts.get(node) ?? 0) + 1);
  const most = new Map<string, number>();
  for (const { name, labels } of nodes) {
    const group = labels[nodegroupLabel] ?? '';
    most.set(group, Math.max(most.get(group) ?? 0, counts.get(name) ?? 0));
  }
  return most;
}

/** Room for what an upgrade makes before it takes the old away. */
export const subnetChecks: readonly Check[] = [controlPlane, nodeAddresses, podAddresses, quota];

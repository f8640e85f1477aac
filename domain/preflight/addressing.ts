import type { AddressingView, InstanceTypeView } from './snapshot.ts';

/** A prefix of the VPC CNI is a /28. */
const prefixAddresses = 16;

/**
 * What a node takes of its own subnet and of that of its pods, by the rules of the VPC CNI
 * (https://github.com/aws/amazon-vpc-cni-k8s/blob/master/docs/eni-and-ip-target.md): interfaces, each with all of its addresses, as many
 * as the pods need, and those that are kept warm. The first address of an interface is for no pod. With a target of addresses only so
 * many are taken, with prefixes blocks of 16.
 */
export function addressesOfNode(type: InstanceTypeView, pods: number, addressing: AddressingView): { ofNode: number; ofPods: number } {
  const { inPrefixes, inOwnSubnets, warmInterfaces, warmPrefixes, warmAddresses, addressesMin } = addressing;
  const slots = type.addressesPerInterface - 1;
  // With subnets of their own, pods have none of the first interface.
  const interfacesMax = Math.max(1, inOwnSubnets ? type.interfacesMax - 1 : type.interfacesMax);
  const slotsMax = interfacesMax * slots;
  const hasTarget = warmAddresses > 0 || addressesMin > 0;
  const target = Math.max(pods + warmAddresses, addressesMin);
  const inInterfaces = (units: number, size: number): number => Math.max(1, Math.ceil(units / slots)) + units * size;
  let taken: number;
  if (inPrefixes) {
    const prefixes = hasTarget ? Math.ceil(target / prefixAddresses) : Math.ceil(pods / prefixAddresses) + warmPrefixes;
    taken = inInterfaces(Math.min(prefixes, slotsMax), prefixAddresses);
  } else if (hasTarget) taken = inInterfaces(Math.min(target, slotsMax), 1);
  else taken = Math.min(interfacesMax, Math.max(1, Math.ceil(pods / slots)) + warmInterfaces) * type.addressesPerInterface;
  return inOwnSubnets ? { ofNode: 1, ofPods: taken } : { ofNode: taken, ofPods: 0 };
}

import type { RequestListener } from 'node:http';
import { createEc2Handler, isEc2Request } from './ec2/handler.ts';
import { createEksHandler, type EksHandler } from './eks/handler.ts';
import type { SimulatedWorld } from './world.ts';

/** The AWS face of a world: EKS and what belongs to it of EC2, told apart by their protocols, on one endpoint. */
export interface Cloud extends Pick<EksHandler, 'setNodegroupIssue' | 'setFreeAddresses'> {
  handle: RequestListener;
}

/** Makes the AWS face of a world. */
export function createCloud(world: SimulatedWorld): Cloud {
  const eks = createEksHandler(world);
  const ec2 = createEc2Handler(eks.subnets, world.faults);
  return {
    handle: (request, response) => (isEc2Request(request) ? ec2(request, response) : eks.handle(request, response)),
    setNodegroupIssue: eks.setNodegroupIssue,
    setFreeAddresses: eks.setFreeAddresses,
  };
}

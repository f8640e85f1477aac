import type { RequestListener } from 'node:http';
import type { AutoScalingGroup } from './auto-scaling/group.ts';
import {
  autoScalingGroupsOf,
  createAutoScalingHandler,
  groupsBehind,
  isAutoScalingRequest,
  launchTemplatesOf,
  type AutoScalingWorld,
} from './auto-scaling/handler.ts';
import { createCloudwatchHandler, isCloudwatchRequest, type Alarm } from './cloudwatch/handler.ts';
import { createEc2Handler, isEc2Request } from './ec2/handler.ts';
import type { EksWorld } from './eks/account.ts';
import { createEksHandler, type EksHandler } from './eks/handler.ts';
import type { DatabaseCluster } from './rds/cluster.ts';
import { createRdsHandler, isRdsRequest } from './rds/handler.ts';
import { createS3Handler, isS3Request } from './s3/handler.ts';
import { createSsmHandler, isSsmRequest } from './ssm/handler.ts';

/** The AWS face of a world: EKS, what belongs to it in EC2, RDS, CloudWatch, SSM, and a bucket for evidence, on one endpoint. */
export interface Cloud extends Pick<
  EksHandler,
  | 'setNodegroupIssue'
  | 'setFreeAddresses'
  | 'subnets'
  | 'launchTemplates'
  | 'autoScalingGroups'
  | 'replaceInstance'
  | 'processors'
  | 'setProcessorsMax'
> {
  handle: RequestListener;
  /** What only EKS has, such as updates that are to fail. */
  eks: EksHandler;
  databases: () => readonly DatabaseCluster[];
  /** The Auto Scaling groups that belong to no node group of EKS. */
  selfManagedGroups: readonly AutoScalingGroup[];
}

/** What the AWS face shows of a world. */
export type CloudWorld = EksWorld &
  AutoScalingWorld & { readonly alarms?: ReadonlyMap<string, Alarm>; readonly databases?: readonly DatabaseCluster[] };

/** Makes the AWS face of a world. */
export function createCloud(world: CloudWorld): Cloud {
  const eks = createEksHandler(world);
  const selfManagedGroups = autoScalingGroupsOf(world);
  const launchTemplates: Cloud['launchTemplates'] = () => [...eks.launchTemplates(), ...launchTemplatesOf(selfManagedGroups)];
  const ec2 = createEc2Handler({ subnets: eks.subnets, launchTemplates }, world.faults);
  const autoScaling = createAutoScalingHandler(
    () => groupsBehind(selfManagedGroups, [eks]),
    () => world.faults,
  );
  const databases = (): readonly DatabaseCluster[] => world.databases ?? [];
  const cloudwatch = createCloudwatchHandler(world.alarms ?? new Map<string, Alarm>(), world.faults, databases, eks.processors);
  const rds = createRdsHandler(databases, () => world.faults);
  const ssm = createSsmHandler(world.faults);
  const s3 = createS3Handler([{ name: 'evidence', objectLock: { retention: { mode: 'GOVERNANCE', days: 1 } } }]);
  return {
    handle: (request, response) => {
      if (isS3Request(request)) s3.handle(request, response);
      else if (isCloudwatchRequest(request)) cloudwatch(request, response);
      else if (isSsmRequest(request)) ssm(request, response);
      else if (isRdsRequest(request)) rds(request, response);
      else if (isAutoScalingRequest(request)) autoScaling(request, response);
      else if (isEc2Request(request)) ec2(request, response);
      else eks.handle(request, response);
    },
    eks,
    setNodegroupIssue: eks.setNodegroupIssue,
    setFreeAddresses: eks.setFreeAddresses,
    subnets: eks.subnets,
    launchTemplates,
    autoScalingGroups: eks.autoScalingGroups,
    replaceInstance: eks.replaceInstance,
    processors: eks.processors,
    setProcessorsMax: eks.setProcessorsMax,
    databases,
    selfManagedGroups,
  };
}

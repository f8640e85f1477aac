import type { AutoScalingGroup } from '@aws-sdk/client-auto-scaling';
import type { V1Node } from '@kubernetes/client-node';
import type { LifecycleHook, ScalingActivity, ScalingGroup } from '../../domain/autoscaling/group.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { Target } from '../../domain/target.ts';
import { listAllOf } from '../aws-pages.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { listNodes } from '../kubernetes/client/read.ts';

/** The newest activities say enough: a group that gets no capacity tries every half a minute. */
const activitiesRead = 20;
const refreshesRead = 10;

/** A group by its name; undefined where there is none. Throws `aws-…` errors. */
export async function findGroup(clients: Clients, target: Target, name: string): Promise<ScalingGroup | undefined> {
  const { reads } = await clients.autoScaling(target.region);
  const { AutoScalingGroups: [found] = [] } = await reads
    .describeAutoScalingGroups({ AutoScalingGroupNames: [name] })
    .catch((error: unknown) => Promise.reject(awsError(error, `DescribeAutoScalingGroups of ${name}`, target)));
  return found && groupView(found);
}

/** A group that must exist. Throws `auto-scaling-group-unknown`, `aws-…` errors. */
export async function readGroup(clients: Clients, target: Target, name: string): Promise<ScalingGroup> {
  const group = await findGroup(clients, target, name);
  if (!group) throw new HoldpointError('auto-scaling-group-unknown', { group: name, region: target.region });
  return group;
}

/** The groups of a region that carry a tag. Throws `aws-…` errors. */
export async function groupsWithTag(clients: Clients, target: Target, tag: string): Promise<ScalingGroup[]> {
  const { reads } = await clients.autoScaling(target.region);
  const groups = await listAllOf('DescribeAutoScalingGroups', target, async (NextToken) => {
    const answer = await reads.describeAutoScalingGroups({ NextToken, Filters: [{ Name: 'tag-key', Values: [tag] }] });
    return { items: answer.AutoScalingGroups, nextToken: answer.NextToken };
  });
  return groups.map(groupView);
}

/** The name of the group that an instance belongs to; undefined where it belongs to none. Throws `aws-…` errors. */
export async function groupOfInstance(clients: Clients, target: Target, instance: string): Promise<string | undefined> {
  const { reads } = await clients.autoScaling(target.region);
  const { AutoScalingInstances: [found] = [] } = await reads
    .describeAutoScalingInstances({ InstanceIds: [instance] })
    .catch((error: unknown) => Promise.reject(awsError(error, `DescribeAutoScalingInstances of ${instance}`, target)));
  return found?.AutoScalingGroupName;
}

/** The status of each of the last instance refreshes of a group. Throws `aws-…` errors. */
export async function readRefreshes(clients: Clients, target: Target, name: string): Promise<string[]> {
  const { reads } = await clients.autoScaling(target.region);
  const { InstanceRefreshes = [] } = await reads
    .describeInstanceRefreshes({ AutoScalingGroupName: name, MaxRecords: refreshesRead })
    .catch((error: unknown) => Promise.reject(awsError(error, `DescribeInstanceRefreshes of ${name}`, target)));
  return InstanceRefreshes.map(({ Status = '' }) => Status);
}

/** Throws `aws-…` errors. */
export async function readHooks(clients: Clients, target: Target, name: string): Promise<LifecycleHook[]> {
  const { reads } = await clients.autoScaling(target.region);
  const { LifecycleHooks = [] } = await reads
    .describeLifecycleHooks({ AutoScalingGroupName: name })
    .catch((error: unknown) => Promise.reject(awsError(error, `DescribeLifecycleHooks of ${name}`, target)));
  return LifecycleHooks.map((hook) => ({
    name: hook.LifecycleHookName ?? '',
    isOfLaunch: hook.LifecycleTransition === 'autoscaling:EC2_INSTANCE_LAUNCHING',
    timeoutSeconds: hook.HeartbeatTimeout ?? 0,
    defaultResult: hook.DefaultResult ?? '',
  }));
}

/** What a group has done last, the newest first. Throws `aws-…` errors. */
export async function readActivities(clients: Clients, target: Target, name: string): Promise<ScalingActivity[]> {
  const { reads } = await clients.autoScaling(target.region);
  const { Activities = [] } = await reads
    .describeScalingActivities({ AutoScalingGroupName: name, MaxRecords: activitiesRead })
    .catch((error: unknown) => Promise.reject(awsError(error, `DescribeScalingActivities of ${name}`, target)));
  return Activities.map(({ ActivityId = '', Description = '', StatusCode = '', StatusMessage }) => {
    return { id: ActivityId, description: Description, status: StatusCode, message: StatusMessage };
  });
}

/**
 * The number that a version of a launch template stands for, `$Latest` and `$Default` included; undefined where there is none of that
 * number. Throws `aws-…` errors.
 */
export async function versionNumber(clients: Clients, target: Target, id: string, version: string): Promise<string | undefined> {
  const ec2 = await clients.ec2(target.region);
  const { LaunchTemplates: [template] = [] } = await ec2
    .describeLaunchTemplates({ LaunchTemplateIds: [id] })
    .catch((error: unknown) => Promise.reject(awsError(error, `DescribeLaunchTemplates of ${id}`, target)));
  const latest = template?.LatestVersionNumber ?? 0;
  if (version === '$Latest') return String(latest);
  if (version === '$Default') return String(template?.DefaultVersionNumber ?? latest);
  return Number(version) <= latest && Number(version) > 0 ? version : undefined;
}

/** The nodes of a cluster by the ids of their instances. Throws `kubernetes-…` errors. */
export async function nodesByInstance(clients: Clients, target: Target): Promise<Map<string, V1Node>> {
  const nodes = await listNodes(await clients.kubernetes(target), target.name);
  return new Map(nodes.flatMap((node) => (instanceOf(node) === undefined ? [] : [[instanceOf(node) ?? '', node]])));
}

/** The id of the instance that a node runs on: the last part of `aws:///eu-central-1a/i-0abc`. */
export function instanceOf({ spec }: V1Node): string | undefined {
  return /^aws:\/\/\/[^/]*\/(i-[0-9a-f]+)$/.exec(spec?.providerID ?? '')?.[1];
}

function groupView(group: AutoScalingGroup): ScalingGroup {
  const { LaunchTemplate, MixedInstancesPolicy: policy, WarmPoolConfiguration: pool } = group;
  const template = LaunchTemplate ?? policy?.LaunchTemplate?.LaunchTemplateSpecification;
  const overrides = policy?.LaunchTemplate?.Overrides ?? [];
  return {
    name: group.AutoScalingGroupName ?? '',
    arn: group.AutoScalingGroupARN ?? '',
    minSize: group.MinSize ?? 0,
    maxSize: group.MaxSize ?? 0,
    desiredSize: group.DesiredCapacity ?? 0,
    // AWS takes the default version where none is named.
    ...(template?.LaunchTemplateId !== undefined && {
      template: { id: template.LaunchTemplateId, version: template.Version ?? '$Default' },
    }),
    ...(policy && {
      mixed: {
        onDemandPercentage: policy.InstancesDistribution?.OnDemandPercentageAboveBaseCapacity,
        hasOwnTemplates: overrides.some(({ LaunchTemplateSpecification }) => LaunchTemplateSpecification !== undefined),
      },
    }),
    ...(pool && { warmPoolSize: group.WarmPoolSize ?? 0 }),
    suspended: (group.SuspendedProcesses ?? []).flatMap(({ ProcessName }) => ProcessName ?? []),
    tags: Object.fromEntries((group.Tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value])),
    instances: (group.Instances ?? []).map(({ InstanceId = '', AvailabilityZone = '', LifecycleState = '', LaunchTemplate: own }) => {
      return { id: InstanceId, zone: AvailabilityZone, state: LifecycleState, ...(own?.Version !== undefined && { version: own.Version }) };
    }),
  };
}

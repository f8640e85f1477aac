import type { AutoScalingGroupView } from '../eks/handler.ts';
import { XmlList, type XmlStructure } from '../xml.ts';
import { AutoScalingFault } from './fault.ts';
import { processNames, type AutoScalingGroup, type ScaledInstance, type ScalingActivity } from './group.ts';

/** The groups that a request may be about. */
export interface Groups {
  own: readonly AutoScalingGroup[];
  /** Those of managed node groups, which EKS owns. */
  managed: readonly AutoScalingGroupView[];
  /** Has EKS end an instance of a node group and bring another one. False where it knows none of this id. */
  replaceManaged: (instanceId: string) => boolean;
}

type Operation = (form: URLSearchParams, groups: Groups) => XmlStructure | undefined;

const pageSize = 50;

/** What the sandbox serves of Auto Scaling, by the names of the API. Undefined is an answer without a result. */
export const operations: Readonly<Record<string, Operation>> = {
  DescribeAutoScalingGroups: (form, { own, managed }) => {
    const names = members(form, 'AutoScalingGroupNames');
    const keys = filterValues(form, 'tag-key');
    const isWanted = (name: string, tags: readonly string[]): boolean => {
      return (names.length === 0 || names.includes(name)) && keys.every((values) => values.some((key) => tags.includes(key)));
    };
    const found = [
      ...own.filter((group) => isWanted(group.seed.name, [...group.tags.keys()])).map(groupAnswer),
      ...managed.filter(({ name, clusterName }) => isWanted(name, [`kubernetes.io/cluster/${clusterName}`])).map(managedAnswer),
    ];
    return page(form, 'AutoScalingGroups', found);
  },

  DescribeAutoScalingInstances: (form, { own, managed }) => {
    const ids = members(form, 'InstanceIds');
    const all = [
      ...own.flatMap((group) => group.instances.map((one) => ({ id: one.id, row: instanceRow(group, one) }))),
      ...managed.flatMap((group) => group.instances.map((one) => ({ id: one.id, row: managedRow(group, one) }))),
    ];
    const rows = all.filter(({ id }) => ids.length === 0 || ids.includes(id)).map(({ row }) => row);
    return page(form, 'AutoScalingInstances', rows);
  },

  DescribeScalingActivities: (form, groups) => {
    // EKS keeps what its groups have done to itself here.
    if (groups.managed.some(({ name }) => name === form.get('AutoScalingGroupName'))) return page(form, 'Activities', []);
    const { activities, seed } = groupOf(form, groups);
    return page(
      form,
      'Activities',
      activities.map((activity) => activityAnswer(seed.name, activity)),
    );
  },

  DescribeInstanceRefreshes: (form, groups) => {
    const { refresh, seed } = groupOf(form, groups);
    const rows = refresh ? [{ InstanceRefreshId: refresh.id, AutoScalingGroupName: seed.name, Status: refresh.status }] : [];
    return page(form, 'InstanceRefreshes', rows);
  },

  DescribeLifecycleHooks: (form, groups) => {
    const { hooks, seed } = groupOf(form, groups);
    const rows = hooks.map(({ name, transition, heartbeatTimeoutSeconds, defaultResult }) => ({
      LifecycleHookName: name,
      AutoScalingGroupName: seed.name,
      LifecycleTransition: transition,
      HeartbeatTimeout: heartbeatTimeoutSeconds,
      DefaultResult: defaultResult,
    }));
    return { LifecycleHooks: new XmlList('member', rows) };
  },

  UpdateAutoScalingGroup: (form, groups) => {
    const [id, version] = [form.get('LaunchTemplate.LaunchTemplateId'), form.get('LaunchTemplate.Version')];
    groupOf(form, groups).update({
      ...numberIn(form, 'MinSize', 'minSize'),
      ...numberIn(form, 'MaxSize', 'maxSize'),
      ...numberIn(form, 'DesiredCapacity', 'desiredSize'),
      ...(id !== null && { template: { id, version: version ?? '$Default' } }),
    });
    return undefined;
  },

  SuspendProcesses: (form, groups) => {
    groupOf(form, groups).suspend(processesIn(form));
    return undefined;
  },

  ResumeProcesses: (form, groups) => {
    groupOf(form, groups).resume(processesIn(form));
    return undefined;
  },

  TerminateInstanceInAutoScalingGroup: (form, { own, replaceManaged }) => {
    const id = required(form, 'InstanceId');
    const decrement = required(form, 'ShouldDecrementDesiredCapacity') === 'true';
    const group = own.find(({ instances }) => instances.some((one) => one.id === id));
    if (group) return { Activity: activityAnswer(group.seed.name, group.terminate(id, decrement)) };
    if (decrement || !replaceManaged(id)) {
      throw new AutoScalingFault('ValidationError', `Instance Id not found - No managed instance found for instance ID: ${id}`);
    }
    const now = new Date();
    const activity = { id: id.slice(2), description: `Terminating EC2 instance: ${id}`, cause: 'A user asked for it.', startedAt: now };
    return { Activity: activityAnswer('managed', { ...activity, status: 'InProgress' }) };
  },

  CreateOrUpdateTags: (form, groups) => {
    for (const { resource, key, value } of tagsIn(form)) named(groups, resource).setTag(key, value ?? '');
    return undefined;
  },

  DeleteTags: (form, groups) => {
    for (const { resource, key } of tagsIn(form)) named(groups, resource).setTag(key, undefined);
    return undefined;
  },
};

function groupAnswer(group: AutoScalingGroup): XmlStructure {
  const { seed, template } = group;
  const { onDemandPercentage: onDemand } = seed;
  const launchTemplate = { LaunchTemplateId: template.id, LaunchTemplateName: template.id, Version: template.version };
  const mixed = {
    LaunchTemplate: { LaunchTemplateSpecification: launchTemplate },
    InstancesDistribution: { OnDemandPercentageAboveBaseCapacity: onDemand },
  };
  return {
    AutoScalingGroupName: seed.name,
    AutoScalingGroupARN: group.arn,
    ...(onDemand === undefined ? { LaunchTemplate: launchTemplate } : { MixedInstancesPolicy: mixed }),
    MinSize: group.minSize,
    MaxSize: group.maxSize,
    DesiredCapacity: group.desiredSize,
    DefaultCooldown: 300,
    AvailabilityZones: new XmlList('member', seed.zones),
    HealthCheckType: 'EC2',
    HealthCheckGracePeriod: 300,
    Instances: new XmlList(
      'member',
      group.instances.map((one) => instanceAnswer(group, one)),
    ),
    CreatedTime: group.createdAt,
    SuspendedProcesses: new XmlList(
      'member',
      [...group.suspended].map((name) => ({ ProcessName: name, SuspensionReason: 'User suspended' })),
    ),
    VPCZoneIdentifier: '',
    Tags: new XmlList(
      'member',
      [...group.tags].map(([Key, Value]) => tagAnswer(seed.name, Key, Value)),
    ),
    ...(seed.warmPoolSize !== undefined && {
      WarmPoolConfiguration: { MinSize: 0, PoolState: 'Stopped' },
      WarmPoolSize: seed.warmPoolSize,
    }),
  };
}

function tagAnswer(ResourceId: string, Key: string, Value: string): XmlStructure {
  return { ResourceId, ResourceType: 'auto-scaling-group', Key, Value, PropagateAtLaunch: false };
}

function instanceAnswer({ seed, template }: AutoScalingGroup, { id, zone, version, state }: ScaledInstance): XmlStructure {
  return {
    InstanceId: id,
    InstanceType: seed.instanceType,
    AvailabilityZone: zone,
    LifecycleState: state,
    HealthStatus: 'Healthy',
    LaunchTemplate: { LaunchTemplateId: template.id, LaunchTemplateName: template.id, Version: String(version) },
    ProtectedFromScaleIn: false,
  };
}

function instanceRow(group: AutoScalingGroup, instance: ScaledInstance): XmlStructure {
  return { ...instanceAnswer(group, instance), AutoScalingGroupName: group.seed.name, HealthStatus: 'HEALTHY' };
}

function managedAnswer({ name, clusterName, minSize, maxSize, desiredSize, zones, instances }: AutoScalingGroupView): XmlStructure {
  const rows = instances.map(({ id, zone, ending }) => ({
    InstanceId: id,
    AvailabilityZone: zone,
    LifecycleState: ending ? 'Terminating:Wait' : 'InService',
    HealthStatus: 'Healthy',
    ProtectedFromScaleIn: false,
  }));
  const tags = [tagAnswer(name, `kubernetes.io/cluster/${clusterName}`, 'owned'), tagAnswer(name, 'eks:cluster-name', clusterName)];
  return {
    AutoScalingGroupName: name,
    MinSize: minSize,
    MaxSize: maxSize,
    DesiredCapacity: desiredSize,
    DefaultCooldown: 300,
    AvailabilityZones: new XmlList('member', zones),
    HealthCheckType: 'EC2',
    Instances: new XmlList('member', rows),
    CreatedTime: new Date(0),
    Tags: new XmlList('member', [...tags, tagAnswer(name, 'eks:nodegroup-name', name)]),
  };
}

function managedRow(group: AutoScalingGroupView, { id, zone, ending }: AutoScalingGroupView['instances'][number]): XmlStructure {
  return {
    InstanceId: id,
    AutoScalingGroupName: group.name,
    AvailabilityZone: zone,
    LifecycleState: ending ? 'Terminating:Wait' : 'InService',
    HealthStatus: 'HEALTHY',
    ProtectedFromScaleIn: false,
  };
}

function activityAnswer(group: string, { id, description, cause, startedAt, endedAt, status, message }: ScalingActivity): XmlStructure {
  return {
    ActivityId: id,
    AutoScalingGroupName: group,
    Description: description,
    Cause: cause,
    StartTime: startedAt,
    EndTime: endedAt,
    StatusCode: status,
    StatusMessage: message,
    Progress: status === 'InProgress' ? 50 : 100,
  };
}

/** Tokens say where a page begins. */
function page(form: URLSearchParams, list: string, rows: readonly XmlStructure[]): XmlStructure {
  const begin = Number(form.get('NextToken') ?? '0');
  const size = Number(form.get('MaxRecords') ?? pageSize);
  if (!Number.isInteger(begin)) throw new AutoScalingFault('InvalidNextToken', 'The token is not valid.');
  const end = begin + size;
  return { [list]: new XmlList('member', rows.slice(begin, end)), ...(end < rows.length && { NextToken: String(end) }) };
}

function groupOf(form: URLSearchParams, groups: Groups): AutoScalingGroup {
  return named(groups, required(form, 'AutoScalingGroupName'));
}

function named({ own }: Groups, name: string): AutoScalingGroup {
  const group = own.find(({ seed }) => seed.name === name);
  if (!group) throw new AutoScalingFault('ValidationError', `AutoScalingGroup name not found - AutoScalingGroup ${name} not found`);
  return group;
}

function required(form: URLSearchParams, name: string): string {
  const value = form.get(name);
  if (value === null || value === '')
    throw new AutoScalingFault('ValidationError', `1 validation error detected: ${name} must not be null`);
  return value;
}

function processesIn(form: URLSearchParams): string[] {
  const names = members(form, 'ScalingProcesses');
  const unknown = names.find((name) => !processNames.includes(name));
  if (unknown !== undefined) throw new AutoScalingFault('ValidationError', `Processes [${unknown}] not found`);
  return names.length === 0 ? processNames : names;
}

function numberIn<Key extends string>(form: URLSearchParams, name: string, key: Key): Partial<Record<Key, number>> {
  const value = form.get(name);
  return (value === null ? {} : { [key]: Number(value) }) as Partial<Record<Key, number>>;
}

function members(form: URLSearchParams, name: string): string[] {
  return [...form].filter(([key]) => key.startsWith(`${name}.member.`)).map(([, value]) => value);
}

/** The values of each filter of a name: a group is found that satisfies all of them. */
function filterValues(form: URLSearchParams, name: string): string[][] {
  const numbers = [...form].filter(([key, value]) => /^Filters\.member\.\d+\.Name$/.test(key) && value === name);
  return numbers.map(([key]) => members(form, key.replace(/\.Name$/, '.Values')));
}

function tagsIn(form: URLSearchParams): { resource: string; key: string; value: string | null }[] {
  const found: { resource: string; key: string; value: string | null }[] = [];
  for (let number = 1; form.has(`Tags.member.${number}.Key`); number += 1) {
    const field = (name: string): string | null => form.get(`Tags.member.${number}.${name}`);
    found.push({ resource: field('ResourceId') ?? '', key: field('Key') ?? '', value: field('Value') });
  }
  return found;
}

import type { MetricDataQuery } from '@aws-sdk/client-cloudwatch';
import type { NodegroupView, QuotaView, Reading } from '../../domain/preflight/snapshot.ts';
import type { Target } from '../../domain/target.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';

/** CloudWatch knows the use of a quota some minutes after it changes. */
const lookBackMs = 30 * 60_000;
const periodSeconds = 300;

/** The quotas of standard instances, as CloudWatch tells their use (AWS/Usage), by the capacity of node groups. */
const classes: Readonly<Record<string, { usageClass: string; name: string; title: string }>> = {
  ON_DEMAND: {
    usageClass: 'Standard/OnDemand',
    name: 'standard-on-demand',
    title: 'Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances',
  },
  SPOT: { usageClass: 'Standard/Spot', name: 'standard-spot', title: 'All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests' },
};

/**
 * What the account may run, and runs, of the kinds of capacity that node groups have. CloudWatch tells both, the quota by SERVICE_QUOTA
 * (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Quotas-Visualize-Alarms.html). Throws `aws-…` errors.
 */
export async function readQuotas(clients: Clients, target: Target, nodegroups: readonly NodegroupView[]): Promise<Reading<QuotaView[]>> {
  const value: QuotaView[] = [];
  for (const capacityType of new Set(nodegroups.map((group) => group.capacityType))) {
    const known = classes[capacityType];
    const quota = known && (await readQuota(clients, target, known.usageClass));
    if (quota) value.push({ capacityType, name: known.name, title: known.title, ...quota });
    else if (known) return { unread: `CloudWatch has told no use of the quota ${known.usageClass} for ${lookBackMs / 60_000} minutes` };
  }
  return { value };
}

async function readQuota(
  clients: Clients,
  target: Target,
  usageClass: string,
): Promise<Pick<QuotaView, 'processorsMax' | 'processorsUsed'> | undefined> {
  const cloudwatch = await clients.cloudwatch(target.region);
  const EndTime = new Date();
  const StartTime = new Date(EndTime.getTime() - lookBackMs);
  const { MetricDataResults = [] } = await cloudwatch
    .getMetricData({ StartTime, EndTime, MetricDataQueries: queriesFor(usageClass), ScanBy: 'TimestampDescending' })
    .catch((error: unknown) => Promise.reject(awsError(error, 'GetMetricData', target)));
  const lastOf = (id: string): number | undefined => MetricDataResults.find(({ Id }) => Id === id)?.Values?.[0];
  const [processorsUsed, processorsMax] = [lastOf('used'), lastOf('quota')];
  return processorsUsed === undefined || processorsMax === undefined ? undefined : { processorsMax, processorsUsed };
}

function queriesFor(usageClass: string): MetricDataQuery[] {
  const dimensions = { Service: 'EC2', Type: 'Resource', Resource: 'vCPU', Class: usageClass };
  const Dimensions = Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value }));
  const Metric = { Namespace: 'AWS/Usage', MetricName: 'ResourceCount', Dimensions };
  return [
    { Id: 'used', MetricStat: { Metric, Period: periodSeconds, Stat: 'Maximum' } },
    { Id: 'quota', Expression: 'SERVICE_QUOTA(used)' },
  ];
}

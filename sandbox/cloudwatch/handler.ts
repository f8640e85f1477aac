import type { IncomingMessage, ServerResponse } from 'node:http';
import { faultsOfRequest, type Faults } from '../faults.ts';
import type { DatabaseCluster } from '../rds/cluster.ts';
import { readBody } from '../request-body.ts';

const requestBytesMax = 64 * 1024;
const targetPrefix = 'GraniteServiceVersion20100801.';
const pageSizeMax = 100;

/** An alarm as CloudWatch keeps it. */
export interface Alarm {
  name: string;
  kind: 'metric' | 'composite';
  state: 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';
}

/** Virtual processors of standard instances that run on demand, and that may. */
export interface ProcessorUse {
  used: number;
  max: number;
}

/** Whether a request speaks the JSON protocol of CloudWatch. */
export function isCloudwatchRequest(request: IncomingMessage): boolean {
  return request.method === 'POST' && String(request.headers['x-amz-target'] ?? '').startsWith(targetPrefix);
}

/**
 * Serves three calls of CloudWatch: DescribeAlarms, by names or prefix, in pages, for gates; GetMetricStatistics of the lag of Aurora
 * readers; and GetMetricData of the virtual processors that run and may run.
 */
export function createCloudwatchHandler(
  alarms: ReadonlyMap<string, Alarm>,
  faults: Faults,
  databases: () => readonly DatabaseCluster[] = () => [],
  processors: () => ProcessorUse = () => ({ used: 0, max: 0 }),
) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, { alarms, databases, processors, faults }).catch((error: unknown) =>
      refuse(response, 400, 'ValidationError', String(error)),
    );
  };
}

interface Shown {
  alarms: ReadonlyMap<string, Alarm>;
  databases: () => readonly DatabaseCluster[];
  processors: () => ProcessorUse;
  faults: Faults;
}

async function serve(request: IncomingMessage, response: ServerResponse, shown: Shown): Promise<void> {
  const { alarms, databases, processors, faults } = shown;
  const input = await readInput(request);
  const operation = String(request.headers['x-amz-target']).slice(targetPrefix.length);
  if (!['DescribeAlarms', 'GetMetricStatistics', 'GetMetricData'].includes(operation))
    return refuse(response, 400, 'InvalidAction', `The action ${operation} is not valid.`);
  const fault = faults.draw({ operation, reads: true, possible: faultsOfRequest({ stale: false }) });
  if (!(await faults.strike(fault, response))) return;
  if (fault?.kind === 'throttle') return refuse(response, 400, 'Throttling', 'Rate exceeded');
  if (fault?.kind === 'error') return refuse(response, 500, 'InternalServiceError', 'Internal service error');
  if (operation === 'GetMetricData') getProcessors(input as MetricDataInput, processors(), response);
  else if (operation === 'GetMetricStatistics') getLag(input as LagInput, databases(), response);
  else describeAlarms(input as DescribeAlarmsInput, [...alarms.values()], response);
}

interface MetricDataInput {
  MetricDataQueries?: {
    Id: string;
    Expression?: string;
    MetricStat?: { Metric?: { Namespace?: string; Dimensions?: LagInput['Dimensions'] } };
  }[];
}

/** One value of the use, and one of its quota; of any other metric none. */
function getProcessors({ MetricDataQueries: queries = [] }: MetricDataInput, { used, max }: ProcessorUse, response: ServerResponse): void {
  const isUse = (query: (typeof queries)[number]): boolean => {
    const { Namespace, Dimensions = [] } = query.MetricStat?.Metric ?? {};
    return Namespace === 'AWS/Usage' && Dimensions.some(({ Name, Value }) => Name === 'Class' && Value === 'Standard/OnDemand');
  };
  const [use] = queries.filter(isUse);
  const results = queries.map((query) => {
    const isQuota = use !== undefined && query.Expression === `SERVICE_QUOTA(${use.Id})`;
    const values = query === use ? [used] : isQuota ? [max] : [];
    return { Id: query.Id, StatusCode: 'Complete', Timestamps: values.map(() => Math.floor(Date.now() / 1000)), Values: values };
  });
  send(response, 200, { MetricDataResults: results, Messages: [] });
}

interface LagInput {
  Namespace?: string;
  MetricName?: string;
  Dimensions?: { Name: string; Value: string }[];
}

/** The last value of AuroraReplicaLag. The time of a world runs ahead of its clients', so what they ask for of it is not looked at. */
function getLag(
  { Namespace, MetricName, Dimensions = [] }: LagInput,
  databases: readonly DatabaseCluster[],
  response: ServerResponse,
): void {
  const instance = Dimensions.find(({ Name }) => Name === 'DBInstanceIdentifier')?.Value ?? '';
  const isKnown = Namespace === 'AWS/RDS' && MetricName === 'AuroraReplicaLag';
  const last = isKnown ? databases.flatMap((cluster) => cluster.lagOf(instance) ?? [])[0] : undefined;
  const point = last && { Timestamp: last.at.getTime() / 1000, Maximum: last.lagMs, Average: last.lagMs, Unit: 'Milliseconds' };
  send(response, 200, { Label: MetricName, Datapoints: point ? [point] : [] });
}

interface DescribeAlarmsInput {
  AlarmNames?: string[];
  AlarmNamePrefix?: string;
  /** Only metric alarms where it is left out, as in the real one. */
  AlarmTypes?: string[];
  MaxRecords?: number;
  NextToken?: string;
}

function describeAlarms(input: DescribeAlarmsInput, all: readonly Alarm[], response: ServerResponse): void {
  const { AlarmNames, AlarmNamePrefix = '', AlarmTypes = ['MetricAlarm'], MaxRecords = 50, NextToken = '0' } = input;
  if (AlarmNames && input.AlarmNamePrefix !== undefined) {
    return refuse(response, 400, 'ValidationError', 'AlarmNamePrefix and AlarmNames cannot be given together.');
  }
  const types = { metric: 'MetricAlarm', composite: 'CompositeAlarm' };
  const wanted = all.filter(({ name, kind }) => {
    return AlarmTypes.includes(types[kind]) && (AlarmNames ? AlarmNames.includes(name) : name.startsWith(AlarmNamePrefix));
  });
  const first = Number(NextToken);
  const page = wanted.slice(first, first + Math.min(MaxRecords, pageSizeMax));
  const rows = (kind: Alarm['kind']) =>
    page.filter((alarm) => alarm.kind === kind).map(({ name, state }) => ({ AlarmName: name, StateValue: state }));
  const next = first + page.length;
  const more = next < wanted.length ? { NextToken: String(next) } : {};
  send(response, 200, { MetricAlarms: rows('metric'), CompositeAlarms: rows('composite'), ...more });
}

async function readInput(request: IncomingMessage): Promise<unknown> {
  const body = await readBody(request, requestBytesMax, () => new Error('the request is too large'));
  return JSON.parse(body.toString('utf8'));
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  send(response, status, { __type: code, message });
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' });
  response.end(JSON.stringify(body));
}

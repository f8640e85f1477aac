import type { IncomingMessage, ServerResponse } from 'node:http';
import { faultsOfRequest, type Faults } from '../faults.ts';
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

/** Whether a request speaks the JSON protocol of CloudWatch. */
export function isCloudwatchRequest(request: IncomingMessage): boolean {
  return request.method === 'POST' && String(request.headers['x-amz-target'] ?? '').startsWith(targetPrefix);
}

/** Serves the one call of CloudWatch that gates need: DescribeAlarms, by names or prefix, in pages. */
export function createCloudwatchHandler(alarms: ReadonlyMap<string, Alarm>, faults: Faults) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, alarms, faults).catch((error: unknown) => refuse(response, 400, 'ValidationError', String(error)));
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  alarms: ReadonlyMap<string, Alarm>,
  faults: Faults,
): Promise<void> {
  const input = await readInput(request);
  const operation = String(request.headers['x-amz-target']).slice(targetPrefix.length);
  if (operation !== 'DescribeAlarms') return refuse(response, 400, 'InvalidAction', `The action ${operation} is not valid.`);
  const fault = faults.draw({ operation, reads: true, possible: faultsOfRequest({ stale: false }) });
  if (!(await faults.strike(fault, response))) return;
  if (fault?.kind === 'throttle') return refuse(response, 400, 'Throttling', 'Rate exceeded');
  if (fault?.kind === 'error') return refuse(response, 500, 'InternalServiceError', 'Internal service error');
  describeAlarms(input, [...alarms.values()], response);
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

async function readInput(request: IncomingMessage): Promise<DescribeAlarmsInput> {
  const body = await readBody(request, requestBytesMax, () => new Error('the request is too large'));
  return JSON.parse(body.toString('utf8')) as DescribeAlarmsInput;
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  send(response, status, { __type: code, message });
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' });
  response.end(JSON.stringify(body));
}

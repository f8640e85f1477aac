import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SubnetView } from '../eks/handler.ts';
import { faultsOfRequest, type Faults } from '../faults.ts';
import { readBody } from '../request-body.ts';

const requestBytesMax = 64 * 1024;
const xmlNamespace = 'http://ec2.amazonaws.com/doc/2016-11-15/';

/** Whether a request speaks the EC2 Query protocol: every call is a form that is posted to the root. */
export function isEc2Request(request: IncomingMessage): boolean {
  return request.method === 'POST' && (request.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
}

/** Serves the one call of EC2 that maintenance of a cluster needs: DescribeSubnets by id. */
export function createEc2Handler(subnets: () => readonly SubnetView[], faults: Faults) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, subnets, faults).catch((error: unknown) => refuse(response, 400, 'InvalidRequest', String(error)));
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  subnets: () => readonly SubnetView[],
  faults: Faults,
): Promise<void> {
  const form = await readForm(request);
  const action = form.get('Action') ?? '';
  if (action !== 'DescribeSubnets') {
    refuse(response, 400, 'InvalidAction', `The action ${action} is not valid for this web service.`);
    return;
  }
  const fault = faults.draw({ operation: action, reads: true, possible: faultsOfRequest({ stale: false }) });
  if (!(await faults.strike(fault, response))) return;
  if (fault?.kind === 'throttle') refuse(response, 503, 'RequestLimitExceeded', 'Request limit exceeded.');
  else if (fault?.kind === 'error') refuse(response, 500, 'InternalError', 'An internal error has occurred');
  else describeSubnets(form, subnets(), response);
}

function describeSubnets(form: URLSearchParams, subnets: readonly SubnetView[], response: ServerResponse): void {
  const ids = [...form].filter(([name]) => name.startsWith('SubnetId.')).map(([, id]) => id);
  const missing = ids.find((id) => !subnets.some((subnet) => subnet.id === id));
  if (missing !== undefined) {
    refuse(response, 400, 'InvalidSubnetID.NotFound', `The subnet ID '${missing}' does not exist`);
    return;
  }
  const wanted = subnets.filter(({ id }) => ids.length === 0 || ids.includes(id));
  const set = `<subnetSet>${wanted.map(item).join('')}</subnetSet>`;
  send(response, 200, `<DescribeSubnetsResponse xmlns="${xmlNamespace}">${set}</DescribeSubnetsResponse>`);
}

function item({ id, zone, vpcId, freeAddresses }: SubnetView): string {
  return (
    `<item><subnetId>${escape(id)}</subnetId><state>available</state><vpcId>${escape(vpcId)}</vpcId>` +
    `<availabilityZone>${escape(zone)}</availabilityZone><availableIpAddressCount>${freeAddresses}</availableIpAddressCount></item>`
  );
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  send(response, status, `<Response><Errors><Error><Code>${code}</Code><Message>${escape(message)}</Message></Error></Errors></Response>`);
}

function send(response: ServerResponse, status: number, xml: string): void {
  response.writeHead(status, { 'content-type': 'text/xml;charset=UTF-8' });
  response.end(`<?xml version="1.0" encoding="UTF-8"?>${xml}`);
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const body = await readBody(request, requestBytesMax, () => new Error('the request is too large'));
  return new URLSearchParams(body.toString());
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { faultsOfRequest, type Faults } from '../faults.ts';
import { readBody } from '../request-body.ts';
import type { DatabaseCluster } from './cluster.ts';
import { DatabaseFault } from './model.ts';
import { operations } from './operations.ts';
import { element, type XmlStructure } from '../xml.ts';

const requestBytesMax = 64 * 1024;
const xmlNamespace = 'http://rds.amazonaws.com/doc/2014-10-31/';
/** The credential scope of a signature says which service a request of the Query protocol is for, and in which region. */
const credentialScope = /Credential=[^/]+\/\d+\/([^/]+)\/rds\/aws4_request/;

/** Whether a request is for RDS: it is a form that is posted to the root, as those of EC2 are. */
export function isRdsRequest(request: IncomingMessage): boolean {
  return credentialScope.test(request.headers.authorization ?? '');
}

/** Serves what maintenance of Aurora clusters needs of RDS, over the Query protocol. `faultsOf` says by a request what may befall it. */
export function createRdsHandler(clusters: () => readonly DatabaseCluster[], faultsOf: (form: URLSearchParams) => Faults) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, clusters, faultsOf).catch((error: unknown) => refuse(response, faultOf(error)));
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  clusters: () => readonly DatabaseCluster[],
  faultsOf: (form: URLSearchParams) => Faults,
): Promise<void> {
  const [, region = ''] = credentialScope.exec(request.headers.authorization ?? '') ?? [];
  const body = await readBody(request, requestBytesMax, () => new DatabaseFault('RequestTooLarge', 'The request is too large.', 413));
  const form = new URLSearchParams(body.toString('utf8'));
  const action = form.get('Action') ?? '';
  const operation = Object.hasOwn(operations, action) ? operations[action] : undefined;
  if (!operation) throw new DatabaseFault('InvalidAction', `Could not find operation ${action} for version ${form.get('Version') ?? ''}`);
  const faults = faultsOf(form);
  const fault = faults.draw({ operation: action, reads: action.startsWith('Describe'), possible: faultsOfRequest({ stale: false }) });
  if (!(await faults.strike(fault, response))) return;
  if (fault?.kind === 'throttle') throw new DatabaseFault('Throttling', 'Rate exceeded');
  if (fault?.kind === 'error') throw new DatabaseFault('InternalFailure', 'An internal error has occurred.', 500);
  const result = operation(
    form,
    clusters()
      .flatMap((cluster) => cluster.all())
      .filter((cluster) => cluster.region === region),
    region,
  );
  answer(response, action, result);
}

function answer(response: ServerResponse, action: string, result: XmlStructure): void {
  const metadata = element('ResponseMetadata', { RequestId: 'sandbox' });
  const body = `${element(`${action}Result`, result)}${metadata}`;
  send(response, 200, `<${action}Response xmlns="${xmlNamespace}">${body}</${action}Response>`);
}

function faultOf(error: unknown): DatabaseFault {
  return error instanceof DatabaseFault ? error : new DatabaseFault('InternalFailure', String(error), 500);
}

function refuse(response: ServerResponse, { code, message, status }: DatabaseFault): void {
  const error = element('Error', { Type: status < 500 ? 'Sender' : 'Receiver', Code: code, Message: message });
  send(response, status, `<ErrorResponse xmlns="${xmlNamespace}">${error}<RequestId>sandbox</RequestId></ErrorResponse>`);
}

function send(response: ServerResponse, status: number, xml: string): void {
  response.writeHead(status, { 'content-type': 'text/xml' });
  response.end(xml);
}

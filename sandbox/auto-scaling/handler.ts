import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import type { SandboxCluster } from '../cluster.ts';
import type { EksHandler } from '../eks/handler.ts';
import { faultsOfRequest, type Faults } from '../faults.ts';
import type { AutoScalingGroupMarks } from '../leftovers.ts';
import type { Random } from '../random.ts';
import { readBody } from '../request-body.ts';
import type { LaunchTemplateSeed, WorldSeed } from '../seed.ts';
import { element, type XmlStructure } from '../xml.ts';
import { AutoScalingFault } from './fault.ts';
import { AutoScalingGroup, type GroupSurroundings } from './group.ts';
import { operations, type Groups } from './operations.ts';

const requestBytesMax = 64 * 1024;
const xmlNamespace = 'http://autoscaling.amazonaws.com/doc/2011-01-01/';
const credentialScope = /Credential=[^/]+\/\d+\/[^/]+\/autoscaling\/aws4_request/;

/** Whether a request is for Auto Scaling: it is a form that is posted to the root, as those of EC2 are. */
export function isAutoScalingRequest(request: IncomingMessage): boolean {
  return credentialScope.test(request.headers.authorization ?? '');
}

/** What Auto Scaling needs of a world. */
export interface AutoScalingWorld {
  readonly clock: Clock;
  readonly random: Random;
  readonly seed: WorldSeed;
  readonly observer: { report: GroupSurroundings['report'] };
  cluster(name: string): SandboxCluster | undefined;
  showAutoScalingGroups(view: () => AutoScalingGroupMarks[]): void;
}

/** The self-managed groups of a world, as its seed describes them. */
export function autoScalingGroupsOf(world: AutoScalingWorld): AutoScalingGroup[] {
  const groups = world.seed.clusters.flatMap((cluster) => {
    const nodes = world.cluster(cluster.name);
    if (!nodes) return [];
    return (cluster.autoScalingGroups ?? []).map((seed) => {
      const { clock } = world;
      const random = world.random.stream(`auto-scaling/${cluster.name}/${seed.name}`);
      const report: GroupSurroundings['report'] = (...told) => world.observer.report(...told);
      return new AutoScalingGroup(seed, { clock, random, cluster, nodes, report });
    });
  });
  if (groups.length > 0) world.showAutoScalingGroups(() => groups.map(marksOf));
  return groups;
}

function marksOf({ seed, tags, suspended, minSize, maxSize, desiredSize, template, instances }: AutoScalingGroup): AutoScalingGroupMarks {
  const sizes = { minSize, maxSize, desiredSize, templateVersion: template.version };
  const atRest = instances.length === desiredSize && instances.every(({ state }) => state === 'InService');
  return { name: seed.name, tags: Object.fromEntries(tags), suspendedProcesses: [...suspended], ...sizes, atRest };
}

/** The launch templates of self-managed groups, as EC2 shows them. */
export function launchTemplatesOf(groups: readonly AutoScalingGroup[]): LaunchTemplateSeed[] {
  return groups.flatMap(({ seed, latestVersion }) => {
    const versions = Array.from({ length: latestVersion }, (_, index) => index + 1);
    return versions.map((version) => ({ id: seed.launchTemplate.id, version, default: 1, latest: latestVersion }));
  });
}

/** The groups behind an endpoint: of their own, and those of managed node groups. */
export function groupsBehind(
  own: readonly AutoScalingGroup[],
  eks: readonly Pick<EksHandler, 'autoScalingGroups' | 'replaceInstance'>[],
): Groups {
  return {
    own,
    managed: eks.flatMap((one) => one.autoScalingGroups()),
    replaceManaged: (id) => eks.some((one) => one.replaceInstance(id)),
  };
}

/** Serves what maintenance of node groups needs of Auto Scaling, over the Query protocol. `faultsOf` says what may befall a request. */
export function createAutoScalingHandler(groups: () => Groups, faultsOf: (form: URLSearchParams) => Faults) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, groups, faultsOf).catch((error: unknown) => refuse(response, faultOf(error)));
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  groups: () => Groups,
  faultsOf: (form: URLSearchParams) => Faults,
): Promise<void> {
  const body = await readBody(request, requestBytesMax, () => new AutoScalingFault('RequestTooLarge', 'The request is too large.', 413));
  const form = new URLSearchParams(body.toString('utf8'));
  const action = form.get('Action') ?? '';
  const operation = Object.hasOwn(operations, action) ? operations[action] : undefined;
  if (!operation) throw new AutoScalingFault('InvalidAction', `Could not find operation ${action} for version 2011-01-01`);
  const reads = action.startsWith('Describe');
  const faults = faultsOf(form);
  const fault = faults.draw({ operation: action, reads, possible: faultsOfRequest({ stale: false }) });
  if (!(await faults.strike(fault, response))) return;
  if (fault?.kind === 'throttle') throw new AutoScalingFault('Throttling', 'Rate exceeded');
  if (fault?.kind === 'error') throw new AutoScalingFault('InternalFailure', 'An internal error has occurred.', 500);
  answer(response, action, operation(form, groups()));
}

function answer(response: ServerResponse, action: string, result: XmlStructure | undefined): void {
  const metadata = element('ResponseMetadata', { RequestId: 'sandbox' });
  const body = `${result === undefined ? '' : element(`${action}Result`, result)}${metadata}`;
  send(response, 200, `<${action}Response xmlns="${xmlNamespace}">${body}</${action}Response>`);
}

function faultOf(error: unknown): AutoScalingFault {
  return error instanceof AutoScalingFault ? error : new AutoScalingFault('InternalFailure', String(error), 500);
}

function refuse(response: ServerResponse, { code, message, status }: AutoScalingFault): void {
  const error = element('Error', { Type: status < 500 ? 'Sender' : 'Receiver', Code: code, Message: message });
  send(response, status, `<ErrorResponse xmlns="${xmlNamespace}">${error}<RequestId>sandbox</RequestId></ErrorResponse>`);
}

function send(response: ServerResponse, status: number, xml: string): void {
  response.writeHead(status, { 'content-type': 'text/xml' });
  response.end(xml);
}

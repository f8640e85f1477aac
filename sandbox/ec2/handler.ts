import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SubnetView } from '../eks/handler.ts';
import { faultsOfRequest, type Faults } from '../faults.ts';
import { readBody } from '../request-body.ts';
import { instanceTypes, type LaunchTemplateSeed } from '../seed.ts';

const requestBytesMax = 64 * 1024;
const xmlNamespace = 'http://ec2.amazonaws.com/doc/2016-11-15/';

/** Whether a request speaks the EC2 Query protocol: every call is a form that is posted to the root. */
export function isEc2Request(request: IncomingMessage): boolean {
  return request.method === 'POST' && (request.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
}

/** What EC2 has of the clusters of a world. */
export interface Ec2View {
  subnets: () => readonly SubnetView[];
  launchTemplates: () => readonly LaunchTemplateSeed[];
}

type Describe = (form: URLSearchParams, view: Ec2View, response: ServerResponse) => void;

const operations: Readonly<Record<string, Describe>> = {
  DescribeSubnets: (form, view, response) => describeSubnets(form, view.subnets(), response),
  DescribeLaunchTemplates: (form, view, response) => describeLaunchTemplates(form, view.launchTemplates(), response),
  DescribeLaunchTemplateVersions: (form, view, response) => describeLaunchTemplateVersions(form, view.launchTemplates(), response),
  DescribeInstanceTypes: (form, _view, response) => describeInstanceTypes(form, response),
};

/** Serves the calls of EC2 that maintenance of a cluster needs, each by ids or names. */
export function createEc2Handler(view: Ec2View, faults: Faults) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, view, faults).catch((error: unknown) => refuse(response, 400, 'InvalidRequest', String(error)));
  };
}

async function serve(request: IncomingMessage, response: ServerResponse, view: Ec2View, faults: Faults): Promise<void> {
  const form = await readForm(request);
  const action = form.get('Action') ?? '';
  const describe = Object.hasOwn(operations, action) ? operations[action] : undefined;
  if (!describe) {
    refuse(response, 400, 'InvalidAction', `The action ${action} is not valid for this web service.`);
    return;
  }
  const fault = faults.draw({ operation: action, reads: true, possible: faultsOfRequest({ stale: false }) });
  if (!(await faults.strike(fault, response))) return;
  if (fault?.kind === 'throttle') refuse(response, 503, 'RequestLimitExceeded', 'Request limit exceeded.');
  else if (fault?.kind === 'error') refuse(response, 500, 'InternalError', 'An internal error has occurred');
  else describe(form, view, response);
}

function listed(form: URLSearchParams, name: string): string[] {
  return [...form].filter(([key]) => key.startsWith(`${name}.`)).map(([, value]) => value);
}

function describeLaunchTemplates(form: URLSearchParams, templates: readonly LaunchTemplateSeed[], response: ServerResponse): void {
  const ids = listed(form, 'LaunchTemplateId');
  const missing = ids.find((id) => !templates.some((template) => template.id === id));
  if (missing !== undefined) return templateMissing(missing, response);
  const items = templates
    .filter(({ id }, place) => ids.includes(id) && templates.findIndex((one) => one.id === id) === place)
    .map(({ id, default: standard, latest }) => {
      const numbers = `<defaultVersionNumber>${standard}</defaultVersionNumber><latestVersionNumber>${latest}</latestVersionNumber>`;
      const names = `<launchTemplateId>${escape(id)}</launchTemplateId><launchTemplateName>${escape(id)}</launchTemplateName>`;
      return `<item>${names}${numbers}</item>`;
    });
  answer('DescribeLaunchTemplates', `<launchTemplates>${items.join('')}</launchTemplates>`, response);
}

function describeLaunchTemplateVersions(form: URLSearchParams, templates: readonly LaunchTemplateSeed[], response: ServerResponse): void {
  const wanted = form.get('LaunchTemplateId') ?? '';
  const versions = listed(form, 'LaunchTemplateVersion');
  const found = templates.filter(({ id, version }) => id === wanted && versions.includes(String(version)));
  if (found.length === 0) return templateMissing(wanted, response);
  const items = found.map(({ id, version, imageId }) => {
    const image = imageId === undefined ? '' : `<imageId>${escape(imageId)}</imageId>`;
    const number = `<launchTemplateId>${escape(id)}</launchTemplateId><versionNumber>${version}</versionNumber>`;
    return `<item>${number}<launchTemplateData>${image}</launchTemplateData></item>`;
  });
  answer('DescribeLaunchTemplateVersions', `<launchTemplateVersionSet>${items.join('')}</launchTemplateVersionSet>`, response);
}

function templateMissing(id: string, response: ServerResponse): void {
  refuse(response, 400, 'InvalidLaunchTemplateId.NotFound', `The specified launch template, with template ID ${id}, does not exist.`);
}

function describeInstanceTypes(form: URLSearchParams, response: ServerResponse): void {
  const names = listed(form, 'InstanceType');
  const missing = names.find((name) => !instanceTypes.some((type) => type.name === name));
  if (missing !== undefined) {
    refuse(response, 400, 'InvalidInstanceType', `The following supplied instance types do not exist: [${missing}]`);
    return;
  }
  const items = instanceTypes
    .filter(({ name }) => names.includes(name))
    .map(({ name, processors, interfacesMax, addressesPerInterface }) => {
      const network =
        `<maximumNetworkInterfaces>${interfacesMax}</maximumNetworkInterfaces>` +
        `<ipv4AddressesPerInterface>${addressesPerInterface}</ipv4AddressesPerInterface>`;
      const processor = `<vCpuInfo><defaultVCpus>${processors}</defaultVCpus></vCpuInfo>`;
      return `<item><instanceType>${name}</instanceType>${processor}<networkInfo>${network}</networkInfo></item>`;
    });
  answer('DescribeInstanceTypes', `<instanceTypeSet>${items.join('')}</instanceTypeSet>`, response);
}

function describeSubnets(form: URLSearchParams, subnets: readonly SubnetView[], response: ServerResponse): void {
  const ids = listed(form, 'SubnetId');
  const missing = ids.find((id) => !subnets.some((subnet) => subnet.id === id));
  if (missing !== undefined) {
    refuse(response, 400, 'InvalidSubnetID.NotFound', `The subnet ID '${missing}' does not exist`);
    return;
  }
  const wanted = subnets.filter(({ id }) => ids.length === 0 || ids.includes(id));
  answer('DescribeSubnets', `<subnetSet>${wanted.map(item).join('')}</subnetSet>`, response);
}

function answer(action: string, body: string, response: ServerResponse): void {
  send(response, 200, `<${action}Response xmlns="${xmlNamespace}">${body}</${action}Response>`);
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

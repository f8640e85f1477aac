import type { IncomingMessage, ServerResponse } from 'node:http';
import { amiIdOf, amiReleases } from '../eks/releases.ts';
import { faultsOfRequest, type Faults } from '../faults.ts';
import { readBody } from '../request-body.ts';

const requestBytesMax = 64 * 1024;
const targetPrefix = 'AmazonSSM.';
/** Systems Manager API, GetParameters: from 1 to 10 names. */
const namesMax = 10;

/** Releases of Bottlerocket, which say nothing of Kubernetes: the same for each version of it here. The last one is the newest. */
const bottlerocketReleases = ['1.34.0-18d04e52', '1.36.0-0f1c5d6e'];

/** Whether a request speaks the JSON protocol of Systems Manager. */
export function isSsmRequest(request: IncomingMessage): boolean {
  return request.method === 'POST' && String(request.headers['x-amz-target'] ?? '').startsWith(targetPrefix);
}

/** Serves GetParameters of Systems Manager, for the public parameters that tell of the images of EKS. */
export function createSsmHandler(faults: Faults) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, faults).catch((error: unknown) => refuse(response, 400, 'ValidationException', String(error)));
  };
}

async function serve(request: IncomingMessage, response: ServerResponse, faults: Faults): Promise<void> {
  const body = await readBody(request, requestBytesMax, () => new Error('the request is too large'));
  const { Names: names } = JSON.parse(body.toString('utf8')) as { Names?: unknown };
  const operation = String(request.headers['x-amz-target']).slice(targetPrefix.length);
  if (operation !== 'GetParameters') return refuse(response, 400, 'UnknownOperationException', `There is no ${operation} here.`);
  const fault = faults.draw({ operation, reads: true, possible: faultsOfRequest({ stale: false }) });
  if (!(await faults.strike(fault, response))) return;
  if (fault?.kind === 'throttle') return refuse(response, 400, 'ThrottlingException', 'Rate exceeded');
  if (fault?.kind === 'error') return refuse(response, 500, 'InternalServerError', 'Internal server error');
  if (!Array.isArray(names) || names.length === 0 || names.length > namesMax || names.some((name) => typeof name !== 'string')) {
    return refuse(response, 400, 'ValidationException', `Names must have from 1 to ${namesMax} names.`);
  }
  const asked = names as string[];
  const region = /Credential=[^/]+\/\d{8}\/([a-z0-9-]+)\//.exec(String(request.headers.authorization))?.[1] ?? '';
  const found = asked.flatMap((name) => {
    const value = valueOf(name, region);
    return value === undefined ? [] : [{ Name: name, Type: 'String', Value: value, Version: 1, DataType: 'text' }];
  });
  const there = new Set(found.map(({ Name }) => Name));
  send(response, 200, { Parameters: found, InvalidParameters: asked.filter((name) => !there.has(name)) });
}

/** The value of a parameter of `/aws/service/eks/optimized-ami/<version>/<family>/<image>/<field>` or `/aws/service/bottlerocket/…`. */
function valueOf(name: string, region: string): string | undefined {
  const [, root, service, ...rest] = name.split('/');
  if (root !== 'aws' || service !== 'service') return undefined;
  const [kind, ...path] = rest;
  const field = path.at(-1);
  const image = path.at(-2) ?? '';
  if (kind === 'eks' && path[0] === 'optimized-ami') return fieldOf(amazonLinux(path[1] ?? '', image), field, region, 'release_version');
  if (kind === 'bottlerocket') return fieldOf(bottlerocket(path[0] ?? '', image), field, region, 'image_version');
  return undefined;
}

function amazonLinux(version: string, image: string): string | undefined {
  const releases = amiReleases[version] ?? [];
  if (image === 'recommended') return releases.at(-1);
  const date = new RegExp(`^amazon-eks-.*node.*-${version.replace('.', '\\.')}-v(\\d{8})$`).exec(image)?.[1];
  return date === undefined ? undefined : releases.find((release) => release.endsWith(`-${date}`));
}

function bottlerocket(variant: string, image: string): string | undefined {
  if (!/^aws-k8s-1\.\d+(-nvidia|-fips)?$/.test(variant)) return undefined;
  return image === 'latest' ? bottlerocketReleases.at(-1) : bottlerocketReleases.find((release) => release.startsWith(`${image}-`));
}

function fieldOf(release: string | undefined, field: string | undefined, region: string, releaseField: string): string | undefined {
  if (release === undefined) return undefined;
  if (field === releaseField) return release;
  return field === 'image_id' ? amiIdOf(release, region) : undefined;
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  send(response, status, { __type: code, message });
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
  response.end(JSON.stringify(body));
}

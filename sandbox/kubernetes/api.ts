import type { IncomingMessage, ServerResponse } from 'node:http';
import { faultsOfRequest, faultsOfWatch } from '../faults.ts';
import type { Faults, FaultSubject } from '../faults.ts';
import { verbOf } from './access.ts';
import type { KubernetesCluster } from './cluster.ts';
import { discover } from './discovery.ts';
import { ApiError, badRequest, invalid, methodNotAllowed, noSuchPath, notFound, tooManyRequests } from './errors.ts';
import { leavesVersionOpen, listPage } from './list.ts';
import { cloneJson } from './json.ts';
import { itemText, objectText } from './object-text.ts';
import type { KubernetesObject } from './objects.ts';
import { apiVersionOf, findDefinition, resources } from './resources.ts';
import type { ResourceDefinition } from './resources.ts';
import { loadSchema } from './schema/fields.ts';
import { openapiDocument, openapiIndex, openapiPath } from './schema/openapi.ts';
import { unknownFields } from './schema/strict.ts';
import { fieldPredicate, labelPredicate } from './selectors.ts';
import type { Predicate } from './selectors.ts';
import { partialMetadata, toTable } from './table.ts';
import type { IncludeObject } from './table.ts';
import { serveWatch } from './watch.ts';
import { answerForm, asObject, checkAcceptable, contentType, readJson, sendJson, sendText } from './wire.ts';
import { applyPatch, createObject, evict, patchObject, removeObject, replaceObject, scaleOf, writeScale } from './writes.ts';
import type { Target, Write } from './writes.ts';

/** A request to the API of one cluster, its address already taken apart. */
interface Call {
  cluster: KubernetesCluster;
  request: IncomingMessage;
  response: ServerResponse;
  target: Target;
  query: URLSearchParams;
  /** The version of the past that a read is to show; the newest unless given. */
  asOf?: number;
}

/** How long a client that is throttled is told to wait. */
const throttledSeconds = 1;

/** Where a request goes, and what goes along with it. */
export interface Address {
  path: string;
  query: URLSearchParams;
  countRequest: (method: string, kind: string) => void;
  faults: Faults;
}

/**
 * Serves the Kubernetes API of a cluster. `path` is what follows the cluster's base URL, e.g. `/api/v1/nodes`.
 * Throws an ApiError for whatever is to be answered with a Status.
 */
export async function serveKubernetes(
  cluster: KubernetesCluster,
  request: IncomingMessage,
  response: ServerResponse,
  { path, query, countRequest, faults }: Address,
): Promise<void> {
  const method = request.method ?? 'GET';
  const target = parseTarget(path);
  if (target && isDefined(cluster, target.definition)) {
    const { definition, subresource } = target;
    const kind = subresource === '' ? definition.resource : `${definition.resource}/${subresource}`;
    countRequest(method, kind);
    checkAcceptable(request);
    cluster.access.check({ ...target, verb: verbOf(method, target.name, isWatch(query)) });
    await serveWithFaults({ cluster, request, response, target, query }, faults, faultSubject(method, kind, target, query));
    return;
  }
  if (path === '/livez' || path === '/readyz' || path === '/healthz') {
    response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
    return;
  }
  if (path === '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews' && method === 'POST') {
    sendJson(response, 201, await reviewAccess(cluster, request));
    return;
  }
  const isServed = (definition: ResourceDefinition): boolean => isDefined(cluster, definition);
  const found = method === 'GET' ? (discover(path, cluster.version, isServed) ?? (await describeKinds(cluster, path))) : undefined;
  if (!found) throw noSuchPath();
  sendJson(response, 200, found);
}

/** What OpenAPI says of the kinds that are served; undefined where the path asks for something else. */
async function describeKinds(cluster: KubernetesCluster, path: string): Promise<object | undefined> {
  if (!path.startsWith(openapiPath)) return undefined;
  const served = resources.filter((definition) => isDefined(cluster, definition));
  if (path === openapiPath) return openapiIndex(served, new URL(cluster.url).pathname);
  return openapiDocument(await loadSchema(), served, path.slice(openapiPath.length + 1));
}

/** Whether the server knows a kind: without its CustomResourceDefinition there is no such path. */
function isDefined({ store }: KubernetesCluster, { definedBy }: ResourceDefinition): boolean {
  return definedBy === undefined || store.get('customresourcedefinitions', '', definedBy) !== undefined;
}

async function reviewAccess(cluster: KubernetesCluster, request: IncomingMessage): Promise<object> {
  const asked = asObject(await readJson(request));
  const spec = (asked.spec ?? {}) as { resourceAttributes?: Record<string, string> };
  const { verb = '', group = '', resource = '', subresource = '' } = spec.resourceAttributes ?? {};
  const allowed = cluster.access.allows(verb, group, subresource === '' ? resource : `${resource}/${subresource}`);
  return { kind: 'SelfSubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', metadata: {}, spec, status: { allowed } };
}

function faultSubject(method: string, kind: string, { name }: Target, query: URLSearchParams): FaultSubject {
  if (method !== 'GET') return { operation: `${method} ${kind}`, reads: false, possible: faultsOfRequest({ stale: false }) };
  if (name === '' && isWatch(query)) return { operation: `WATCH ${kind}`, reads: true, possible: faultsOfWatch };
  return { operation: `GET ${kind}`, reads: true, possible: faultsOfRequest({ stale: leavesVersionOpen(query) }) };
}

function isWatch(query: URLSearchParams): boolean {
  return ['1', 'true'].includes(query.get('watch') ?? '');
}

/** Serves a request unless a fault keeps it from that. */
async function serveWithFaults(call: Call, faults: Faults, subject: FaultSubject): Promise<void> {
  const fault = faults.draw(subject);
  if (!(await faults.strike(fault, call.response))) return;
  const { clock, store } = call.cluster;
  switch (fault?.kind) {
    case 'throttle':
      throw tooManyRequests('Too many requests, please try again later.', throttledSeconds, undefined);
    case 'error':
      throw new ApiError(500, 'InternalError', 'Internal error occurred: etcdserver: leader changed');
    case 'watchCut':
      call.response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }).end();
      return;
    case 'staleRead':
      return serveResource({ ...call, asOf: store.versionAt(clock.now().getTime() - faults.ageMs(fault)) });
    default:
      return serveResource(call);
  }
}

/** Takes an address apart: `/apis/apps/v1/namespaces/shop/deployments/web/scale`. Undefined if it is of no resource. */
function parseTarget(path: string): Target | undefined {
  const parts = path.split('/').slice(1).map(decodeURIComponent);
  const core = parts[0] === 'api';
  if (!core && parts[0] !== 'apis') return undefined;
  const [group = '', version = ''] = core ? ['', parts[1]] : [parts[1], parts[2]];
  const rest = parts.slice(core ? 2 : 3);
  const [scope, namespace = '', plural = ''] = rest;
  const inNamespace = scope === 'namespaces' ? findDefinition(group, version, plural) : undefined;
  if (inNamespace?.namespaced === true) {
    return checked({ definition: inNamespace, namespace, name: rest[3] ?? '', subresource: rest[4] ?? '' });
  }
  const definition = findDefinition(group, version, rest[0] ?? '');
  return definition && checked({ definition, namespace: '', name: rest[1] ?? '', subresource: rest[2] ?? '' });
}

function checked(target: Target): Target {
  const { definition, subresource } = target;
  const known =
    subresource === '' ||
    (subresource === 'status' && definition.status) ||
    (subresource === 'scale' && definition.scale) ||
    (subresource === 'eviction' && definition.resource === 'pods');
  if (!known) throw noSuchPath();
  return target;
}

async function serveResource(call: Call): Promise<void> {
  const { request, response, target } = call;
  const { definition, name, namespace, subresource } = target;
  if (name === '') return serveCollection(call);
  if (definition.namespaced && namespace === '') throw noSuchPath();
  if (subresource === 'eviction') return serveEviction(call);
  if (subresource === 'scale') return serveScale(call);
  switch (request.method) {
    case 'GET':
      return answer(call, 200, read(call));
    case 'PUT': {
      const write = await writeOf(call);
      await checkFields(call, write.body);
      return answer(call, 200, replaceObject(write));
    }
    case 'PATCH': {
      const body = (await readJson(request)) ?? {};
      if (contentType(request) !== 'application/json-patch+json') await checkFields(call, body);
      const { object, created } = patchObject({ ...bareWrite(call), body }, contentType(request));
      return answer(call, created ? 201 : 200, object);
    }
    case 'DELETE':
      return sendJson(response, 200, removeObject(await deletionOf(call)));
    default:
      throw methodNotAllowed(definition, request.method ?? '');
  }
}

async function serveCollection(call: Call): Promise<void> {
  const { cluster, request, response, target, query } = call;
  if (request.method === 'POST') {
    const write = await writeOf(call);
    await checkFields(call, write.body);
    return answer(call, 201, createObject(write));
  }
  if (request.method !== 'GET') throw methodNotAllowed(target.definition, request.method ?? '');
  const { definition, namespace } = target;
  const matches = selected(definition, namespace, query);
  if (isWatch(query)) return serveWatch(cluster, { resource: definition.resource, matches, query, form: answerForm(request) }, response);
  const { items, metadata } = listPage(cluster.store, definition.resource, matches, query, call.asOf);
  return sendList(call, items, metadata);
}

function selected(definition: ResourceDefinition, namespace: string, query: URLSearchParams): Predicate {
  const labels = labelPredicate(query.get('labelSelector') ?? '');
  const fields = fieldPredicate(definition.resource, query.get('fieldSelector') ?? '');
  return (object) => (namespace === '' || object.metadata.namespace === namespace) && labels(object) && fields(object);
}

function sendList({ cluster, request, response, target, query }: Call, items: KubernetesObject[], metadata: object): void {
  const { definition } = target;
  const form = answerForm(request);
  if (form === 'table') {
    const include = (query.get('includeObject') ?? 'Metadata') as IncludeObject;
    sendJson(response, 200, toTable(definition.resource, items, { now: cluster.clock.now(), include, metadata }));
  } else if (form === 'metadata') {
    const list = { kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', metadata };
    sendJson(response, 200, { ...list, items: items.map(partialMetadata) });
  } else {
    const list = JSON.stringify({ kind: `${definition.kind}List`, apiVersion: apiVersionOf(definition), metadata });
    sendText(response, 200, `${list.slice(0, -1)},"items":[${items.map(itemText).join(',')}]}`);
  }
}

function answer({ cluster, request, response, target, query }: Call, code: number, object: KubernetesObject): void {
  const form = answerForm(request);
  if (form === 'metadata') return sendJson(response, code, partialMetadata(object));
  if (form === 'object') return sendText(response, code, objectText(object));
  const include = (query.get('includeObject') ?? 'Metadata') as IncludeObject;
  const metadata = { resourceVersion: object.metadata.resourceVersion };
  return sendJson(response, code, toTable(target.definition.resource, [object], { now: cluster.clock.now(), include, metadata }));
}

function read({ cluster: { store }, target, asOf }: Call): KubernetesObject {
  const { definition, namespace, name } = target;
  const object: KubernetesObject | undefined = store.getAt(definition.resource, `${namespace}/${name}`, asOf ?? store.resourceVersion);
  if (!object) throw notFound(definition, name);
  return object;
}

/** Who a client says it is: its field manager, else the first word of its User-Agent. */
function clientName({ request, query }: Call): string {
  const manager = query.get('fieldManager') ?? '';
  return manager === '' ? ((request.headers['user-agent'] ?? 'unknown').split(/[/ ]/)[0] ?? 'unknown') : manager;
}

function bareWrite(call: Call): Omit<Write, 'body'> {
  const { cluster, target } = call;
  return { cluster, target, dryRun: isDryRun(call), client: clientName(call) };
}

/** Throws an ApiError (422) for a dry run of anything but all stages: there are no others. */
function isDryRun({ query, request }: Call): boolean {
  const stages = query.getAll('dryRun').filter((stage) => stage !== '');
  if (stages.every((stage) => stage === 'All')) return stages.length > 0;
  const kind = optionKinds[request.method ?? ''] ?? 'CreateOptions';
  throw invalid('meta.k8s.io', kind, '', 'dryRun', `Unsupported value: ${JSON.stringify(stages)}: supported values: "All"`);
}

const optionKinds: Readonly<Record<string, string>> = { PUT: 'UpdateOptions', PATCH: 'PatchOptions', DELETE: 'DeleteOptions' };

async function writeOf(call: Call): Promise<Write> {
  return { ...bareWrite(call), body: asObject(await readJson(call.request)) };
}

/** Where a client asks for it: fields that a kind does not have are refused (400), or told in a header. */
async function checkFields({ query, response, target: { definition } }: Call, body: KubernetesJson): Promise<void> {
  const asked = query.get('fieldValidation') ?? 'Ignore';
  if (asked === 'Ignore') return;
  const unknown = unknownFields(await loadSchema(), definition.kind, body).map((path) => `unknown field "${path}"`);
  if (unknown.length === 0) return;
  if (asked === 'Warn') {
    response.setHeader(
      'warning',
      unknown.map((text) => `299 - ${JSON.stringify(text)}`),
    );
    return;
  }
  const { kind, version } = definition;
  throw badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: strict decoding error: ${unknown.join(', ')}`);
}

/** The options of a deletion may come in the body, in the query, or both; the body wins. */
async function deletionOf(call: Call): Promise<Write> {
  const { query, request } = call;
  const body = (await readJson(request)) ?? {};
  const grace = query.get('gracePeriodSeconds');
  const propagation = query.get('propagationPolicy');
  const options = {
    ...(grace === null ? {} : { gracePeriodSeconds: Number(grace) }),
    ...(propagation === null ? {} : { propagationPolicy: propagation }),
    ...asObject(body),
  };
  return { ...bareWrite(call), body: options };
}

async function serveEviction(call: Call): Promise<void> {
  if (call.request.method !== 'POST') throw methodNotAllowed(call.target.definition, call.request.method ?? '');
  sendJson(call.response, 201, evict(await writeOf(call)));
}

async function serveScale(call: Call): Promise<void> {
  const { request, response } = call;
  const current = scaleOf(read(call));
  switch (request.method) {
    case 'GET':
      return sendJson(response, 200, current);
    case 'PUT': {
      const write = await writeOf(call);
      return sendJson(response, 200, writeScale(write, write.body));
    }
    case 'PATCH': {
      const patch = (await readJson(request)) ?? {};
      const patched = applyPatch(cloneJson(current) as unknown as KubernetesJson, patch, contentType(request));
      return sendJson(response, 200, writeScale({ ...bareWrite(call), body: {} }, patched));
    }
    default:
      throw methodNotAllowed(call.target.definition, request.method ?? '');
  }
}

type KubernetesJson = Parameters<typeof applyPatch>[0];

import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ProcessorUse } from '../cloudwatch/handler.ts';
import type { ShownObject } from '../double-effects.ts';
import { faultsOfRequest } from '../faults.ts';
import type { NodegroupView } from '../leftovers.ts';
import { readBody } from '../request-body.ts';
import { instanceTypes, type ClusterSeed, type InsightSeed, type LaunchTemplateSeed } from '../seed.ts';
import { Account, type EksWorld } from './account.ts';
import { clusterAnswer, nodegroupAnswer } from './answers.ts';
import { EksError, serverFailure, throttled } from './errors.ts';
import { insightsOf } from './insights.ts';
import { replaceInstance } from './nodegroup-lifecycle.ts';
import { limits, type Nodegroup, type NodegroupIssue, type ScalingConfig, type UpdateError } from './model.ts';
import { operations, type Call, type Operation } from './operations.ts';
import { Past } from './past.ts';
import { RequestTokens } from './request-tokens.ts';

/** The EKS face of a world. */
export interface EksHandler {
  /** Serves one request of the EKS API. */
  handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** Shows a cluster that was added to the world after its start. */
  addCluster(seed: ClusterSeed): void;
  /**
   * Says what is wrong with a node group (which need not exist yet): no instance of it starts, and it is DEGRADED while at
   * rest. Without an issue it is well again.
   */
  setNodegroupIssue: (clusterName: string, nodegroupName: string, issue: NodegroupIssue | undefined) => void;
  /** Has every update of a control plane fail with an error, after its time; without one they succeed again. */
  setUpdateFailure: (clusterName: string, failure: UpdateError | undefined) => void;
  /** Has every update of an add-on fail with an error, after its time; without one they succeed again. */
  setAddonUpdateFailure: (clusterName: string, addonName: string, failure: UpdateError | undefined) => void;
  /** Says what EKS finds about a cluster from now on. */
  setInsights: (clusterName: string, insights: readonly InsightSeed[]) => void;
  /** The subnets of all clusters, as EC2 shows them. */
  subnets: () => SubnetView[];
  /** The launch templates of all node groups. */
  launchTemplates: () => LaunchTemplateSeed[];
  /** The Auto Scaling groups of all node groups. */
  autoScalingGroups: () => AutoScalingGroupView[];
  /** Ends an instance of a node group, and brings another one; false where there is none of this id. */
  replaceInstance: (id: string) => boolean;
  /** Virtual processors of all nodes, and how many the account may run. */
  processors: () => ProcessorUse;
  setProcessorsMax: (count: number) => void;
  /** Says how many addresses of a subnet are free, instead of what its nodes and pods leave. */
  setFreeAddresses: (subnetId: string, count: number) => void;
}

/** A subnet as EC2 shows it. */
export interface SubnetView {
  id: string;
  zone: string;
  vpcId: string;
  freeAddresses: number;
}

/** An Auto Scaling group of a node group. */
export interface AutoScalingGroupView extends ScalingConfig {
  name: string;
  clusterName: string;
  zones: string[];
  instances: { id: string; zone: string; ending: boolean }[];
}

/** The share of throttled requests that are told so in other words; one that was armed never is. */
const throttledInOtherWords = 0.3;

/** What a /24 has for its users: AWS keeps five addresses of each subnet. */
const subnetAddresses = 251;

/** What an account may run that has asked for more once. */
const processorsMaxDefault = 10_000;

/** Serves EKS (REST-JSON, API 2017-11-01) for the clusters of a world, in the regions they are in. */
export function createEksHandler(world: EksWorld): EksHandler {
  const account = new Account(world, world.seed.clusters);
  const service: Service = { account, tokens: new RequestTokens(), past: new Past(account) };
  world.showNodegroups(() => nodegroupViews(account));
  const freeAddresses = new Map<string, number>();
  let processorsMax = processorsMaxDefault;
  let requests = 0;
  return {
    handle(request, response) {
      requests += 1;
      response.setHeader('x-amzn-RequestId', requestIdOf(requests));
      serve(service, request, response).catch((problem: unknown) => sendProblem(response, problem));
    },
    addCluster(seed) {
      account.addCluster(seed);
    },
    setNodegroupIssue(clusterName, nodegroupName, issue) {
      account.injectIssue(clusterName, nodegroupName, issue);
    },
    setUpdateFailure(clusterName, failure) {
      const cluster = account.allClusters().find(({ name }) => name === clusterName);
      if (!cluster) return;
      if (failure) cluster.failsUpdates = failure;
      else delete cluster.failsUpdates;
    },
    setAddonUpdateFailure(clusterName, addonName, failure) {
      const cluster = account.allClusters().find(({ name }) => name === clusterName);
      const addon = cluster?.addons.get(addonName);
      if (!addon) return;
      if (failure) addon.failsUpdates = failure;
      else delete addon.failsUpdates;
    },
    setInsights(clusterName, insights) {
      const cluster = account.allClusters().find(({ name }) => name === clusterName);
      const random = world.random.stream(`eks/insights/${clusterName}`);
      if (cluster) cluster.insights = insightsOf(insights, () => random.uuid(), world.clock.now());
    },
    subnets: () => subnetViews(account, freeAddresses),
    launchTemplates: () => nodegroupsOf(account).flatMap(({ launchTemplate }) => launchTemplate ?? []),
    autoScalingGroups: () =>
      nodegroupsOf(account).map(({ autoScalingGroup: name, cluster, scalingConfig, subnets, instances }) => {
        const zones = subnets.map(({ zone }) => zone);
        const shown = instances.map(({ id, zone, ending = false }) => ({ id, zone, ending }));
        return { name, clusterName: cluster.name, ...scalingConfig, zones, instances: shown };
      }),
    replaceInstance(id) {
      const nodegroup = nodegroupsOf(account).find(({ instances }) => instances.some((one) => one.id === id));
      if (!nodegroup) return false;
      void replaceInstance(account, nodegroup, id);
      return true;
    },
    processors: () => ({ used: nodegroupsOf(account).reduce((sum, group) => sum + processorsOf(group), 0), max: processorsMax }),
    setProcessorsMax(count) {
      processorsMax = count;
    },
    setFreeAddresses(subnetId, count) {
      freeAddresses.set(subnetId, count);
    },
  };
}

function nodegroupsOf(account: Account): Nodegroup[] {
  return account.allClusters().flatMap(({ nodegroups }) => [...nodegroups.values()]);
}

function processorsOf({ instanceTypes: [name], instances }: Nodegroup): number {
  return instances.length * (instanceTypes.find((type) => type.name === name)?.processors ?? 0);
}

/** Each node takes an address of its zone's subnet, and so does each of its pods, as the VPC CNI gives them out. */
function subnetViews(account: Account, overridden: ReadonlyMap<string, number>): SubnetView[] {
  return account.allClusters().flatMap((cluster) =>
    cluster.subnets.map(({ id, zone }) => {
      const instances = [...cluster.nodegroups.values()].flatMap((nodegroup) => nodegroup.instances).filter((node) => node.zone === zone);
      const used = instances.reduce((sum, { nodeName }) => sum + 1 + cluster.nodes.podsOn(nodeName).length, 0);
      return { id, zone, vpcId: cluster.vpcId, freeAddresses: overridden.get(id) ?? Math.max(0, subnetAddresses - used) };
    }),
  );
}

interface Service {
  account: Account;
  tokens: RequestTokens;
  past: Past;
}

async function serve(service: Service, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { account, past } = service;
  const { faults } = account.world;
  const body = await readJson(request);
  const region = regionOf(request);
  const url = new URL(request.url ?? '/', 'http://eks');
  const { operation, path } = route(request.method ?? 'GET', url.pathname);
  const reads = operation.method === 'GET' || operation.reads === true;
  const fault = faults.draw({ operation: operation.name, reads, possible: faultsOfRequest({ stale: reads }) });
  if (!(await faults.strike(fault, response))) return;
  if (fault?.kind === 'throttle') throw throttled(fault.severity < throttledInOtherWords);
  if (fault?.kind === 'error') throw serverFailure();
  past.keep({ reads });
  const call: Call = { account, region, path, query: url.searchParams, body };
  if (fault?.kind === 'staleRead') call.account = past.accountOfLast(faults.ageMs(fault));
  send(response, 200, reads ? operation.answer(call) : change(service, operation, call));
}

/** Carries out a change, once for each token, and lets the observer know. */
function change({ account, tokens }: Service, operation: Operation, call: Call): unknown {
  const { region, path, body } = call;
  // A deletion carries it in its query.
  const token = textField(body, 'clientRequestToken') ?? call.query.get('clientRequestToken') ?? undefined;
  const { clusterName } = path;
  const nodegroupName = path['nodegroupName'] ?? textField(body, 'nodegroupName');
  const act = (): unknown => {
    if (clusterName === undefined) return operation.answer(call);
    const object = { operation: operation.name, clusterName, nodegroupName, token };
    const before = shown(account, clusterName, nodegroupName);
    const isMixed = hasMixedNodes(account, clusterName, nodegroupName);
    const answer = operation.answer(call);
    const after = shown(account, clusterName, nodegroupName);
    account.world.observer.noteCloudChange({ ...object, before, isMixed, after, answer });
    return answer;
  };
  return token === undefined ? act() : tokens.once(token, { operation: operation.name, region, path, body }, act);
}

/** A node group, or without a name the cluster, as the API shows it. */
function shown(account: Account, clusterName: string, nodegroupName: string | undefined): ShownObject | undefined {
  const cluster = account.allClusters().find(({ name }) => name === clusterName);
  if (nodegroupName === undefined) return cluster && (clusterAnswer(cluster) as ShownObject);
  const nodegroup = cluster?.nodegroups.get(nodegroupName);
  return nodegroup && (nodegroupAnswer(nodegroup, []) as ShownObject);
}

/** Whether nodes of a group run another release than the group, as after an update that has failed on its way. */
function hasMixedNodes(account: Account, clusterName: string, nodegroupName: string | undefined): boolean {
  const nodegroup = account
    .allClusters()
    .find(({ name }) => name === clusterName)
    ?.nodegroups.get(nodegroupName ?? '');
  return nodegroup?.instances.some(({ releaseVersion }) => releaseVersion !== nodegroup.releaseVersion) === true;
}

function nodegroupViews(account: Account): NodegroupView[] {
  return account.allClusters().flatMap((cluster) =>
    [...cluster.nodegroups.values()].map((nodegroup) => {
      const { name, labels } = nodegroup;
      return { clusterName: cluster.name, name, labels, tags: tagsAdded(nodegroup) };
    }),
  );
}

/** A tag that a node group was made with is no mark on it: where it should not be there, the group as a whole is what is left behind. */
function tagsAdded({ tags, firstTags }: Nodegroup): Record<string, string> {
  return Object.fromEntries(Object.entries(tags).filter(([key, value]) => firstTags[key] !== value));
}

/** Ids do not come from the world's chance: how often somebody asks must not change what happens. */
function requestIdOf(number: number): string {
  const hash = createHash('sha256').update(`request ${number}`).digest('hex');
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-4${hash.slice(13, 16)}-a${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}

function textField(body: unknown, field: string): string | undefined {
  const value: unknown = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[field] : undefined;
  return typeof value === 'string' ? value : undefined;
}

const signature = /^AWS4-HMAC-SHA256 +Credential=[^/,\s]+\/\d{8}\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request,.*Signature=[0-9a-f]{64}/;

/** The region in the scope of the signature (Signature Version 4). The signature itself is not verified. */
function regionOf(request: IncomingMessage): string {
  const authorization = request.headers.authorization;
  if (authorization === undefined) throw new EksError(403, 'MissingAuthenticationTokenException', 'Missing Authentication Token');
  const scope = signature.exec(authorization);
  if (scope?.[1] === undefined) {
    throw new EksError(403, 'IncompleteSignatureException', 'The Authorization header is not a complete AWS Signature Version 4.');
  }
  if (scope[2] !== 'eks') throw new EksError(403, 'InvalidSignatureException', `Credential should be scoped to correct service: 'eks'.`);
  return scope[1];
}

function route(method: string, pathname: string): { operation: Operation; path: Record<string, string> } {
  for (const operation of operations) {
    const path = operation.method === method ? matchPath(operation.path, pathname) : undefined;
    if (path !== undefined) return { operation, path };
  }
  throw new EksError(404, 'UnknownOperationException', `The simulated EKS does not serve ${method} ${pathname}`);
}

function matchPath(template: string, pathname: string): Record<string, string> | undefined {
  const places = template.split('/');
  const parts = pathname.split('/');
  if (places.length !== parts.length) return undefined;
  const path: Record<string, string> = {};
  for (const [index, place] of places.entries()) {
    const part = decode(parts[index] ?? '');
    if (place.startsWith('{')) path[place.slice(1, -1)] = part;
    else if (place !== part) return undefined;
  }
  return path;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new EksError(400, 'BadRequestException', `The path holds ${part}, which is not percent-encoded text`);
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const tooLarge = (): Error => new EksError(413, 'RequestEntityTooLargeException', 'The request is too large');
  const body = await readBody(request, limits.requestBodyBytes, tooLarge);
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString()) as unknown;
  } catch {
    throw new EksError(400, 'SerializationException', 'The body is not JSON');
  }
}

function sendProblem(response: ServerResponse, problem: unknown): void {
  const error = problem instanceof EksError ? problem : new EksError(500, 'ServerException', String(problem));
  response.setHeader('x-amzn-ErrorType', error.type);
  send(response, error.status, { ...error.subject, message: error.message });
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

import type { V1Node } from '@kubernetes/client-node';
import { cut } from '../../../domain/visible.ts';
import { kubernetesCode, kubernetesError } from '../../failure.ts';
import { apiPath, type KubernetesApis } from '../client/connect.ts';
import { inParallel, listNodes, readNode } from '../client/read.ts';

/** The annotation by which a cordon says whose it is: the id of the run. A cordon without it is somebody else's. */
export const cordonAnnotation = 'holdpoint.dev/cordon';
/** What else there is to know of what a run has done to a node, as JSON: see `Details`. */
const detailsAnnotation = 'holdpoint.dev/cordon-details';
/** When the drain of the node began, ISO 8601. */
const drainBeganAnnotation = 'holdpoint.dev/drain-began';
/** Load balancers take a node with this label out, whatever its value is (KEP-1143). */
const excludedLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';

const attemptsMax = 5;
/** Ours are shorter; somebody else may have put anything there. */
const annotationCharactersMax = 1_024;

/** Names us in the managed fields of a node, so that people see who has cordoned it. */
const fieldManager = 'holdpoint';
/** The names under which the API server sums up managers that it no longer tells apart; any of them may have been us. */
const managersSummedUp = ['ancient-changes', 'before-first-apply'];

/** Whose cordon a node carries. */
export type CordonState = 'none' | 'ours' | 'foreign';

/** What a run remembers at a node: who it is, since when, and how the node was before. */
interface Details {
  run: string;
  at: string;
  before: { unschedulable: boolean; excludedFromLoadBalancers: boolean };
}

/** Keys to set, and keys to take away (null). */
type Changes = Record<string, string | null>;

/** A JSON merge patch of a node. */
interface NodeChange {
  labels?: Changes;
  annotations: Changes;
  spec?: { unschedulable: true | null };
}

/** Reads whose cordon a node carries, seen from a run. */
export function cordonState(node: V1Node, run: string): CordonState {
  if (node.spec?.unschedulable !== true) return 'none';
  return cordonOwner(node) === run ? 'ours' : 'foreign';
}

/** The run that has cordoned a node; undefined where it was done by hand or by another tool, also after a run's cordon was lifted. */
export function cordonOwner(node: V1Node): string | undefined {
  return isSetBySomebodyElse(node) ? undefined : annotationOf(node, cordonAnnotation);
}

/** The runs that have left a mark of any kind at a node, and have not taken it back. */
export function runsAnnotating(node: V1Node): string[] {
  const runs = [annotationOf(node, cordonAnnotation), detailsOf(node)?.run].filter((run) => run !== undefined);
  return [...new Set(runs)];
}

/** When the drain of a node by this run began, as `takeOut` has noted it; undefined where it has not. */
export function turnBegan(node: V1Node, run: string): Date | undefined {
  if (detailsOf(node)?.run !== run) return undefined;
  const began = new Date(annotationOf(node, drainBeganAnnotation) ?? '');
  return Number.isNaN(began.getTime()) ? undefined : began;
}

/** The same by the clock of the API server, to the second; undefined where that says nothing of it. */
export function turnStamp(node: V1Node, run: string): Date | undefined {
  if (turnBegan(node, run) === undefined) return undefined;
  const own = (node.metadata?.managedFields ?? []).find(({ manager, fieldsV1 }) => {
    const { 'f:metadata': metadata } = (fieldsV1 ?? {}) as { 'f:metadata'?: { 'f:annotations'?: object } };
    return manager === fieldManager && `f:${drainBeganAnnotation}` in (metadata?.['f:annotations'] ?? {});
  });
  return own?.time && new Date(own.time);
}

/** What has come of taking a node out of service. */
export interface TakenOut {
  /** Whose cordon it carries. */
  cordon: CordonState | 'gone';
  /** When its drain began, and whether this call has begun it. */
  began?: Date;
  beginsNow?: boolean;
  /** The version of the node in which all that is so; left out where it is not told. */
  version?: string;
}

/**
 * Cordons a node for a run, unless it is cordoned already or has been replaced by another one of its name; `gone` where it does not
 * exist any more. Throws `kubernetes-…` errors.
 */
export async function cordonNode(apis: KubernetesApis, cluster: string, node: NodeIdentity, run: string): Promise<CordonState | 'gone'> {
  return (await takeOut(apis, cluster, node, run, { cordon: true, begin: false })).cordon;
}

/** A node, told from others that have its name before or after it. */
export interface NodeIdentity {
  name: string;
  uid: string;
}

/**
 * Takes a node out of service in one change: cordons it, as `cordonNode` does; and notes that its drain begins, for which load balancers
 * send nothing to it any more. What has been done before is left as it is: `began` is earlier than now where a former attempt of this run
 * has noted it, unless the node had to be cordoned anew. `known` is the node as it was seen a moment ago: while it is still so, it need
 * not be read. Throws `kubernetes-…` errors.
 */
export async function takeOut(
  apis: KubernetesApis,
  cluster: string,
  { name, uid }: NodeIdentity,
  run: string,
  { cordon, begin }: { cordon: boolean; begin: boolean },
  known?: V1Node,
): Promise<TakenOut> {
  const verb = cordon ? 'cordon' : 'begin the drain of';
  const decide = (node: V1Node | undefined): { result: TakenOut; change?: NodeChange } => {
    if (node?.metadata?.uid !== uid) return { result: { cordon: 'gone' } };
    const state = cordonState(node, run);
    const began = turnBegan(node, run);
    const parts: NodeChange[] = [];
    if (cordon && state === 'none') parts.push(cordonChange(node, run));
    const now = new Date();
    const isCordonedAnew = parts.length > 0;
    const beginsNow = begin && (!began || isCordonedAnew);
    if (beginsNow) parts.push(turnChange(node, run, now));
    const result = { cordon: isCordonedAnew ? ('ours' as const) : state, began: beginsNow ? now : began, beginsNow };
    return { result, change: parts.length === 0 ? undefined : together(parts) };
  };
  const { result, version } = await changeNode<TakenOut>(apis, cluster, name, verb, decide, known);
  return { ...result, version };
}

function cordonChange(node: V1Node, run: string): NodeChange {
  const isOurs = detailsOf(node)?.run === run;
  const stale = isOurs ? undefined : turnTakenBack(node);
  const annotations = { ...stale?.annotations, [cordonAnnotation]: run, [detailsAnnotation]: detailsFor(node, run) };
  return { labels: stale?.labels, annotations, spec: { unschedulable: true } };
}

function turnChange(node: V1Node, run: string, now: Date): NodeChange {
  const labels = { [excludedLabel]: node.metadata?.labels?.[excludedLabel] ?? '' };
  return { labels, annotations: { [detailsAnnotation]: detailsFor(node, run), [drainBeganAnnotation]: now.toISOString() } };
}

/** Later ones have the last word. */
function together(parts: readonly NodeChange[]): NodeChange {
  return parts.reduce((all, { labels, annotations, spec }) => ({
    labels: { ...all.labels, ...labels },
    annotations: { ...all.annotations, ...annotations },
    ...((spec ?? all.spec) && { spec: spec ?? all.spec }),
  }));
}

/**
 * Takes back everything that a run has done to a node: its cordon, its mark and what the beginning of a drain has set; what was
 * there before stays, and so does a cordon that somebody else has set since. Another node that has taken the name is left alone where
 * the UID is given. Returns whether there was anything to take back.
 */
export async function liftCordon(
  apis: KubernetesApis,
  cluster: string,
  { name, uid }: { name: string; uid?: string },
  run: string,
): Promise<boolean> {
  const { result } = await changeNode(apis, cluster, name, 'uncordon', (node) => {
    const isMeant = node !== undefined && (uid === undefined || node.metadata?.uid === uid);
    const change = isMeant ? everythingTakenBack(node, run) : undefined;
    return { result: change !== undefined, change };
  });
  return result;
}

/** Lifts a cordon that no run has set: by hand, or by another tool. Returns whether there was one. Throws `kubernetes-…` errors. */
export async function liftCordonOfOthers(apis: KubernetesApis, cluster: string, name: string): Promise<boolean> {
  const { result } = await changeNode(apis, cluster, name, 'uncordon', (node) => {
    const isMeant = node?.spec?.unschedulable === true && cordonOwner(node) === undefined;
    return { result: isMeant, change: isMeant ? { annotations: {}, spec: { unschedulable: null } } : undefined };
  });
  return result;
}

/** Lifts every cordon that a run has set in a cluster, with its other marks; returns the names of the nodes. */
export async function liftCordonsOf(apis: KubernetesApis, cluster: string, run: string): Promise<string[]> {
  const marked = (await listNodes(apis, cluster)).filter((node) => runsAnnotating(node).includes(run));
  const names = marked.map((node) => node.metadata?.name ?? '');
  const lifted = await inParallel(names, (name) => liftCordon(apis, cluster, { name }, run));
  return names.filter((_name, index) => lifted[index]);
}

/** Undefined where the run has left nothing at the node. */
function everythingTakenBack(node: V1Node, run: string): NodeChange | undefined {
  const isMarked = annotationOf(node, cordonAnnotation) === run;
  const details = detailsOf(node);
  // Details that cannot be read belong to whoever has marked the node.
  const hasDetails = details === undefined ? isMarked : details.run === run;
  if (!isMarked && !hasDetails) return undefined;
  const owner = annotationOf(node, cordonAnnotation);
  // Whoever has cordoned the node drains it, too: what the beginning of a drain has set is needed still, and is taken back by them.
  if (owner !== undefined && !isMarked && details)
    return { annotations: { [detailsAnnotation]: JSON.stringify({ ...details, run: owner }) } };
  const turn = hasDetails ? turnTakenBack(node) : undefined;
  const annotations: Changes = { ...turn?.annotations };
  if (isMarked) annotations[cordonAnnotation] = null;
  if (hasDetails) annotations[detailsAnnotation] = null;
  const isCordoned = isMarked && cordonState(node, run) === 'ours';
  return { labels: turn?.labels, annotations, ...(isCordoned && { spec: { unschedulable: null } }) };
}

/** What takes back the beginning of a drain: the label stays where it is not known to be ours. */
function turnTakenBack(node: V1Node): Pick<NodeChange, 'labels' | 'annotations'> {
  if (annotationOf(node, drainBeganAnnotation) === undefined) return { annotations: {} };
  const isOurs = detailsOf(node)?.before.excludedFromLoadBalancers === false;
  return { annotations: { [drainBeganAnnotation]: null }, ...(isOurs && { labels: { [excludedLabel]: null } }) };
}

/** The details of a run at a node as it is now; what was there before is what no run has set. */
function detailsFor(node: V1Node, run: string): string {
  const known = detailsOf(node);
  const hasBegun = annotationOf(node, drainBeganAnnotation) !== undefined;
  // Until a drain begins the label is somebody else's: it may have come after the cordon.
  const excludedFromLoadBalancers =
    known && hasBegun ? known.before.excludedFromLoadBalancers : node.metadata?.labels?.[excludedLabel] !== undefined;
  const at = known?.run === run ? known.at : new Date().toISOString();
  const details: Details = { run, at, before: { unschedulable: cordonState(node, run) === 'foreign', excludedFromLoadBalancers } };
  return JSON.stringify(details);
}

/** Undefined where there are none, or where somebody has made something else of them. */
function detailsOf(node: V1Node): Details | undefined {
  try {
    const details = JSON.parse(annotationOf(node, detailsAnnotation) ?? '') as Details | null;
    const isWhole = typeof details?.run === 'string' && typeof details.before.excludedFromLoadBalancers === 'boolean';
    return isWhole ? details : undefined;
  } catch {
    return undefined;
  }
}

function annotationOf(node: V1Node, name: string): string | undefined {
  const value = node.metadata?.annotations?.[name];
  return value && cut(value, annotationCharactersMax);
}

/**
 * Whether the API server knows that another one has set the field: a cordon that was lifted and set again by hand carries our
 * mark still. Where nobody owns the field, or a manager that sums up others does, the mark is all there is to go by.
 */
function isSetBySomebodyElse({ metadata }: V1Node): boolean {
  const owners = (metadata?.managedFields ?? []).filter(({ fieldsV1 }) => {
    const { 'f:spec': spec } = (fieldsV1 ?? {}) as { 'f:spec'?: object };
    return spec !== undefined && 'f:unschedulable' in spec;
  });
  return owners.length > 0 && !owners.some(({ manager = '' }) => [fieldManager, ...managersSummedUp].includes(manager));
}

/**
 * Looks at a node (undefined where there is none), decides, and changes it only if it still is as it was looked at; otherwise
 * looks again. Returns what was decided, and in which version of the node that is so.
 */
async function changeNode<Result>(
  apis: KubernetesApis,
  cluster: string,
  name: string,
  verb: string,
  decide: (node: V1Node | undefined) => { result: Result; change?: NodeChange },
  known?: V1Node,
): Promise<{ result: Result; version?: string }> {
  for (let attempt = 1; ; attempt += 1) {
    const node = attempt === 1 && known ? known : await readNode(apis, cluster, name);
    const { result, change } = decide(node);
    if (!node || !change) return { result, version: node?.metadata?.resourceVersion };
    try {
      return { result, version: await patchNode(apis, node, change) };
    } catch (error) {
      if (!hasChanged(error) || attempt >= attemptsMax) throw kubernetesError(error, `${verb} node ${name}`, cluster);
    }
  }
}

/** Whether somebody has changed or deleted the node since it was looked at, so that it must be looked at again. */
function hasChanged(error: unknown): boolean {
  const code = kubernetesCode(error);
  return code === 409 || code === 404;
}

/** Carries the version that was looked at: if anybody has changed the node since, the API server answers 409. Returns the new one. */
async function patchNode(apis: KubernetesApis, node: V1Node, { labels, annotations, spec }: NodeChange): Promise<string | undefined> {
  const { name = '', resourceVersion } = node.metadata ?? {};
  const body = { metadata: { resourceVersion, labels, annotations }, spec };
  const changed = await apis.request<V1Node>('PATCH', apiPath`/api/v1/nodes/${name}`, { query: { fieldManager }, body });
  return changed.metadata?.resourceVersion;
}

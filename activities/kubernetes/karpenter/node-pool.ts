import { holdBudget, isHeld, placeOfHold, withHold, withoutHold, type Budget } from '../../../domain/karpenter/hold.ts';
import { cut } from '../../../domain/visible.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { kubernetesCode, kubernetesError } from '../../failure.ts';
import { apiPath, type KubernetesApis } from '../client/connect.ts';
import type { Kind } from '../client/list.ts';
import { readPatiently } from '../client/list.ts';
import { inParallel, listAll } from '../client/read.ts';

/** The annotation by which a hold says whose it is: the id of the run. */
const holdAnnotation = 'holdpoint.dev/karpenter-hold';
/** Ours are shorter; somebody else may have put anything there. */
const annotationCharactersMax = 1_024;
const attemptsMax = 5;
/** Names us in the managed fields, so that people see who has set the budget. */
const fieldManager = 'holdpoint';
/** Stands before the name wherever owner annotations are told; no node can be called so. */
const objectPrefix = 'NodePool/';

/** A NodePool of Karpenter (karpenter.sh/v1), as far as a hold concerns it. */
export interface NodePool {
  metadata: { name: string; uid: string; resourceVersion: string; annotations?: Record<string, string> };
  spec?: { disruption?: { budgets?: Budget[] } };
}

const nodePools: Kind<NodePool> = {
  title: 'node pools of Karpenter',
  path: '/apis/karpenter.sh/v1/nodepools',
  view: (object) => object as NodePool,
};

/** How a NodePool stands to a hold, seen from a run: `broken` is a hold of the run whose budget somebody has taken away. */
export type HoldState = 'none' | 'ours' | 'broken' | 'foreign';

/** Reads how a NodePool stands to a hold. */
export function holdState(pool: NodePool, run: string): HoldState {
  if (ownerOfHold(pool) === run) return placeOfHold(budgetsOf(pool)) < 0 ? 'broken' : 'ours';
  return isHeld(budgetsOf(pool)) ? 'foreign' : 'none';
}

/** The run that holds a NodePool, or has held it and not taken its annotation back. */
export function ownerOfHold({ metadata }: NodePool): string | undefined {
  const value = metadata.annotations?.[holdAnnotation];
  return value && cut(value, annotationCharactersMax);
}

/** The disruption budgets of a NodePool. */
export function budgetsOf({ spec }: NodePool): Budget[] {
  return spec?.disruption?.budgets ?? [];
}

/** All NodePools; none where the cluster has no Karpenter. Throws `kubernetes-…` errors. */
export async function listNodePools(apis: KubernetesApis, cluster: string): Promise<NodePool[]> {
  try {
    return await listAll(apis, cluster, nodePools);
  } catch (error) {
    if (error instanceof HoldpointError && kubernetesCode(error.cause) === 404) return [];
    throw error;
  }
}

/** A NodePool by its name; undefined where it does not exist. Throws `kubernetes-…` errors. */
export async function readNodePool(apis: KubernetesApis, cluster: string, name: string): Promise<NodePool | undefined> {
  try {
    return await readPatiently(() => apis.request<NodePool>('GET', pathOf(name)));
  } catch (error) {
    if (kubernetesCode(error) === 404) return undefined;
    throw kubernetesError(error, `read node pool ${name}`, cluster);
  }
}

/** Adds the budget of a hold, with the id of the run, where nothing else holds the NodePool. Throws `kubernetes-…` errors. */
export async function holdNodePool(apis: KubernetesApis, cluster: string, { name, uid }: PoolIdentity, run: string): Promise<void> {
  await changeNodePool(apis, cluster, name, 'hold', (pool) => {
    if (pool.metadata.uid !== uid || holdState(pool, run) !== 'none') return undefined;
    return { annotation: run, budgets: withHold(budgetsOf(pool)) };
  });
}

/**
 * Takes the budget of a hold away again, with its annotation; all other budgets stay as they are by now. Another NodePool that has
 * taken the name is left alone where the UID is given. Returns whether there was anything to take back.
 */
export async function releaseNodePool(
  apis: KubernetesApis,
  cluster: string,
  { name, uid }: { name: string; uid?: string },
  run: string,
): Promise<boolean> {
  return changeNodePool(apis, cluster, name, 'release', (pool) => {
    if ((uid !== undefined && pool.metadata.uid !== uid) || ownerOfHold(pool) !== run) return undefined;
    return { annotation: null, budgets: withoutHold(budgetsOf(pool)) };
  });
}

/** A NodePool, told from others that have its name before or after it. */
export type PoolIdentity = { name: string; uid: string };

/** Releases every NodePool that a run holds; returns them as objects. A worker that may not read them can have held none. */
export async function releaseNodePoolsOf(apis: KubernetesApis, cluster: string, run: string): Promise<string[]> {
  const held = (await findHolds(apis, cluster)).filter((hold) => hold.run === run);
  const released = await inParallel(held, ({ node }) => releaseHold(apis, cluster, node, run));
  return held.filter((_hold, index) => released[index]).map(({ node }) => node);
}

/** The holds of all runs, as owner annotations are told. Reads only. */
export async function findHolds(apis: KubernetesApis, cluster: string): Promise<{ node: string; run: string }[]> {
  try {
    const pools = await listNodePools(apis, cluster);
    return pools.flatMap((pool) => {
      const run = ownerOfHold(pool);
      return run === undefined ? [] : [{ node: `${objectPrefix}${pool.metadata.name}`, run }];
    });
  } catch (error) {
    if (error instanceof HoldpointError && error.code === 'kubernetes-denied') return [];
    throw error;
  }
}

/** Whether an owner annotation is one of a NodePool, not of a node. */
export function isOfNodePool(object: string): boolean {
  return object.startsWith(objectPrefix);
}

/** Releases the NodePool of an owner annotation; returns whether there was anything to take back. */
export function releaseHold(apis: KubernetesApis, cluster: string, object: string, run: string): Promise<boolean> {
  return releaseNodePool(apis, cluster, { name: object.slice(objectPrefix.length) }, run);
}

/** The budget of a hold in words, for effects. */
export const holdInWords = `nodes: "${holdBudget.nodes}" for ${(holdBudget.reasons ?? []).join(', ')}`;

function pathOf(name: string): string {
  return apiPath`/apis/karpenter.sh/v1/nodepools/${name}`;
}

interface Change {
  annotation: string | null;
  /** Left out where they stay as they are. */
  budgets?: Budget[];
}

/**
 * Looks at a NodePool, decides, and changes it only if it still is as it was looked at; otherwise looks again. A merge patch replaces
 * the list of budgets as a whole, so without that it could overwrite what somebody else has just put there.
 */
async function changeNodePool(
  apis: KubernetesApis,
  cluster: string,
  name: string,
  verb: string,
  decide: (pool: NodePool) => Change | undefined,
): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    const pool = await readNodePool(apis, cluster, name);
    const change = pool && decide(pool);
    if (!change) return false;
    const { annotation, budgets } = change;
    const body = {
      metadata: { resourceVersion: pool.metadata.resourceVersion, annotations: { [holdAnnotation]: annotation } },
      ...(budgets && { spec: { disruption: { budgets } } }),
    };
    try {
      await apis.request('PATCH', pathOf(name), { query: { fieldManager }, body });
      return true;
    } catch (error) {
      const isChanged = [404, 409].includes(kubernetesCode(error) ?? 0);
      if (!isChanged || attempt >= attemptsMax) throw kubernetesError(error, `${verb} node pool ${name}`, cluster);
    }
  }
}

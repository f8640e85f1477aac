import type { ActionContext, Observation, ProgressItem, Undo } from '../../../domain/action.ts';
import { budgetsMax } from '../../../domain/karpenter/hold.ts';
import type { Blocker } from '../../../domain/plan/plan.ts';
import type { ActionInput } from '../../../runbooks/actions/index.ts';
import { actions } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { asksOf, mayI } from '../client/permissions.ts';
import { inParallel } from '../client/read.ts';
import {
  budgetsOf,
  holdInWords,
  holdNodePool,
  holdState,
  listNodePools,
  ownerOfHold,
  readNodePool,
  releaseNodePool,
  type NodePool,
  type PoolIdentity,
} from './node-pool.ts';

const estimateMsPerPool = 200;
const noKarpenter = 'The cluster has no NodePool of Karpenter: there is nothing to hold.';
/** What no disruption budget keeps back (https://karpenter.sh/docs/concepts/disruption/). */
const notHeld =
  'Nodes that expire (expireAfter), that AWS takes back or that are unhealthy are replaced all the same: no budget holds those.';

/** The NodePools that a plan changes, and their number besides. */
type Facts = { pools: PoolIdentity[] };

/** `kubernetes.holdKarpenter`: a disruption budget of 0 on each NodePool, until it is released or the run ends. */
export function holdKarpenterAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<'kubernetes.holdKarpenter'>, Facts>({
    declaration: actions['kubernetes.holdKarpenter'],
    plan: (_input, context) => planHold(clients, context),
    observe: (plan, context) => observeHold(clients, plan, context),
    act: async ({ facts }, { run, target }) => {
      const apis = await clients.kubernetes(target);
      await inParallel(facts.pools, (pool) => holdNodePool(apis, target.name, pool, run));
    },
    undo: async ({ facts: { pools } }): Promise<Undo> => {
      if (pools.length === 0) return { nothing: 'It holds no NodePool that was not held before.' };
      return [{ uses: 'kubernetes.releaseKarpenter', with: {} }];
    },
  });
}

/** `kubernetes.releaseKarpenter`: takes the budgets of this run's holds away again. What others have set stays. */
export function releaseKarpenterAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<'kubernetes.releaseKarpenter'>, Facts>({
    declaration: actions['kubernetes.releaseKarpenter'],
    plan: (_input, context) => planRelease(clients, context),
    observe: (plan, context) =>
      observePools(clients, plan, context, 'released', (pool) => (ownerOfHold(pool) === context.run ? 'todo' : 'done')),
    act: async ({ facts }, { run, target }) => {
      const apis = await clients.kubernetes(target);
      await inParallel(facts.pools, (pool) => releaseNodePool(apis, target.name, pool, run));
    },
    undo: async ({ facts: { pools } }): Promise<Undo> => {
      if (pools.length === 0) return { nothing: 'It releases no NodePool.' };
      return [{ uses: 'kubernetes.holdKarpenter', with: {} }];
    },
  });
}

async function planHold(clients: Clients, { run, target }: ActionContext): Promise<PlanOf<Facts>> {
  const apis = await clients.kubernetes(target);
  const pools = await listNodePools(apis, target.name);
  const free = pools.filter((pool) => holdState(pool, run) === 'none');
  const foreign = pools.filter((pool) => holdState(pool, run) === 'foreign');
  const broken = pools.filter((pool) => holdState(pool, run) === 'broken');
  return {
    ...emptyPlan<Facts>({ pools: identitiesOf(free) }),
    effects: free.map((pool) => ({
      object: objectOf(pool),
      change: 'add a disruption budget until the run ends',
      before: null,
      after: holdInWords,
    })),
    blockers: [
      ...free.filter((pool) => budgetsOf(pool).length >= budgetsMax).map(fullBlocker),
      ...broken.map((pool): Blocker => ({ object: objectOf(pool), ...brokenHold })),
      ...(free.length === 0 ? [] : await mayI(apis, target.name, asksOf('karpenter.sh', 'nodepools', 'get', 'patch'))),
    ],
    notes: [
      ...(pools.length === 0 ? [noKarpenter] : [notHeld]),
      ...foreign.map((pool) => `${objectOf(pool)} is held already, by ${ownerOfHold(pool) ?? 'its own budgets'}; that stays as it is.`),
    ],
    expects: free.map((pool) => ({ change: 'karpenter-held' as const, object: objectOf(pool) })),
    outputs: { nodePools: pools.length },
    estimateMs: free.length * estimateMsPerPool,
    undoEstimateMs: free.length * estimateMsPerPool,
  };
}

/** Those that the run holds, and those that it will hold by then. */
async function planRelease(clients: Clients, { run, target, expected = [] }: ActionContext): Promise<PlanOf<Facts>> {
  const pools = await listNodePools(await clients.kubernetes(target), target.name);
  const coming = new Set(expected.flatMap((each) => (each.change === 'karpenter-held' ? [each.object] : [])));
  const ours = pools.filter((pool) => ownerOfHold(pool) === run || coming.has(objectOf(pool)));
  return {
    ...emptyPlan<Facts>({ pools: identitiesOf(ours) }),
    effects: ours.map((pool) => ({ object: objectOf(pool), change: 'take the budget of the hold away', before: holdInWords, after: null })),
    notes: ours.length === 0 ? ['This run holds no NodePool of Karpenter.'] : ['From then on Karpenter replaces nodes that have drifted.'],
    outputs: { nodePools: ours.length },
    estimateMs: ours.length * estimateMsPerPool,
  };
}

function observeHold(clients: Clients, plan: PlanOf<Facts>, context: ActionContext): Promise<Observation> {
  return observePools(clients, plan, context, 'held', (pool) => {
    const state = holdState(pool, context.run);
    if (state === 'broken') return 'broken';
    return state === 'none' ? 'todo' : 'done';
  });
}

const brokenHold = {
  reason: 'Somebody has taken the disruption budget of this run away, or changed it, as a tool does that applies it from a repository.',
  remedy: 'Find out who does that (GitOps?) and have it keep its hands off, or hold the NodePool there; then try again.',
};

/** How many of the planned NodePools are as they should be; one that is gone needs nothing any more. */
async function observePools(
  clients: Clients,
  { facts }: PlanOf<Facts>,
  { target }: ActionContext,
  participle: string,
  look: (pool: NodePool) => 'done' | 'todo' | 'broken',
): Promise<Observation> {
  const apis = await clients.kubernetes(target);
  let broken: string | undefined;
  const items = await inParallel(facts.pools, async ({ name, uid }): Promise<ProgressItem> => {
    const pool = await readNodePool(apis, target.name, name);
    if (pool?.metadata.uid !== uid) return { name, state: 'done', done: 1, total: 1, detail: 'gone' };
    const state = look(pool);
    if (state === 'broken') broken ??= name;
    return {
      name,
      state: state === 'done' ? 'done' : state === 'broken' ? 'blocked' : 'waiting',
      done: state === 'done' ? 1 : 0,
      total: 1,
    };
  });
  const done = items.filter(({ state }) => state === 'done').length;
  const progress = { summary: `${done} of ${items.length} NodePools ${participle}`, done, total: items.length, unit: 'NodePools', items };
  if (broken !== undefined) {
    return { state: 'stuck', reason: `NodePool/${broken}: ${brokenHold.reason}`, remedy: brokenHold.remedy, progress };
  }
  if (done < items.length) return { state: 'todo', progress };
  return { state: 'done', outputs: { nodePools: items.length }, progress };
}

function fullBlocker(pool: NodePool): Blocker {
  const reason = `It has ${budgetsOf(pool).length} disruption budgets, and Karpenter takes ${budgetsMax} at most.`;
  return { object: objectOf(pool), reason, remedy: 'Take one of them away, then plan again.' };
}

function identitiesOf(pools: readonly NodePool[]): PoolIdentity[] {
  return pools.map(({ metadata: { name, uid } }) => ({ name, uid }));
}

function objectOf({ metadata }: NodePool): string {
  return `NodePool/${metadata.name}`;
}

import type { ActionContext, Observation, Undo } from '../../domain/action.ts';
import type { ExpectedChange } from '../../domain/plan/expected.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import type { TestCluster } from './cluster.ts';

/** What an action says leads back from a plan, by what a look has said of a step that was not finished. */
export function undoOf(cluster: TestCluster, name: string, plan: ActionPlan, seen?: Observation): Promise<Undo> {
  return cluster.action(name).undo(plan, cluster.context(), seen);
}

/** Plans the calls of the rollback as the engine does; fails where there is none. */
export async function planUndo(
  cluster: TestCluster,
  name: string,
  plan: ActionPlan,
  seen?: Observation,
): Promise<[PlannedCall, ...PlannedCall[]]> {
  const undo = await undoOf(cluster, name, plan, seen);
  if (!Array.isArray(undo)) throw new Error(`there is no rollback from ${name}: ${JSON.stringify(undo)}`);
  const expected: ExpectedChange[] = [];
  const calls: PlannedCall[] = [];
  for (const [index, { uses, with: input }] of undo.entries()) {
    // The engine gives each call a step id of its own.
    const context = { step: undo.length === 1 ? 'undo:s' : `undo:s/${index + 1}` };
    const planned = await cluster.plan(uses, input, { ...context, expected: [...expected] });
    expected.push(...(planned.expects ?? []));
    calls.push({ uses, plan: planned, context });
  }
  const [first, ...rest] = calls;
  if (!first) throw new Error(`the rollback from ${name} has no calls`);
  return [first, ...rest];
}

interface PlannedCall {
  uses: string;
  plan: ActionPlan;
  context: Partial<ActionContext>;
}

/** Takes a plan back as the engine does, and returns what it has planned for that: the plan of the last call. */
export async function takeBack(cluster: TestCluster, name: string, plan: ActionPlan, seen?: Observation): Promise<ActionPlan> {
  const calls = await planUndo(cluster, name, plan, seen);
  for (const { uses, plan: planned, context } of calls) await cluster.perform(uses, planned, { context });
  return calls.at(-1)?.plan ?? calls[0].plan;
}

import type { ActionContext, Observation, Undo } from '../../domain/action.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import type { TestCluster } from './cluster.ts';

/** What an action says leads back from a plan, by what a look has said of a step that was not finished. */
export function undoOf(cluster: TestCluster, name: string, plan: ActionPlan, seen?: Observation): Undo {
  return cluster.action(name).undo(plan, cluster.context(), seen);
}

/** Plans the way back as the engine does; fails where there is none. */
export async function planUndo(
  cluster: TestCluster,
  name: string,
  plan: ActionPlan,
  seen?: Observation,
): Promise<{ uses: string; plan: ActionPlan }> {
  const undo = undoOf(cluster, name, plan, seen);
  if (!('uses' in undo)) throw new Error(`there is no way back from ${name}: ${JSON.stringify(undo)}`);
  return { uses: undo.uses, plan: await cluster.plan(undo.uses, undo.with, undoContext) };
}

/** Takes a plan back as the engine does, and returns what it has planned for that. */
export async function takeBack(cluster: TestCluster, name: string, plan: ActionPlan, seen?: Observation): Promise<ActionPlan> {
  const back = await planUndo(cluster, name, plan, seen);
  await cluster.perform(back.uses, back.plan, { context: undoContext });
  return back.plan;
}

/** The engine gives the way back a step id of its own. */
const undoContext: Partial<ActionContext> = { step: 'undo:s' };

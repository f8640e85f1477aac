import type { ActionContext, Observation } from '../../../domain/action.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { readCluster } from './cluster-state.ts';
import { planDrainOf } from './drain.ts';

type CheckInput = ActionInput<'kubernetes.checkDrain'>;
type CheckFacts = {
  /** What it was asked with, so that it can be looked at again. */
  input: JsonObject;
};

/** It takes about as long as the plan of a drain. */
const estimateMs = 2_000;

/**
 * `kubernetes.checkDrain`: whether a drain of these nodes could be planned as things are now. It reads only; its blockers are its result,
 * so that a runbook which makes something first does not find out after that.
 */
export function checkDrainAction(clients: Clients): AnyAction {
  return defineAction<CheckInput, CheckFacts>({
    declaration: actions['kubernetes.checkDrain'],
    plan: (input, context) => planCheck(clients, input, context),
    observe: async ({ facts }, context) => observeCheck(await planCheck(clients, facts.input as CheckInput, context)),
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

async function planCheck(clients: Clients, input: CheckInput, context: ActionContext): Promise<PlanOf<CheckFacts>> {
  const { nodes, ...settings } = input;
  const { target } = context;
  const reading = await readCluster(() => clients.kubernetes(target), target.name);
  const { blockers, outputs, details } = await planDrainOf(clients, reading, nodes, settings, context);
  return {
    ...emptyPlan<CheckFacts>({ input: JSON.parse(JSON.stringify(input)) as JsonObject }),
    blockers,
    details: { nodes: outputs.nodes ?? [], pods: details.pods ?? 0 },
    estimateMs,
  };
}

function observeCheck({ blockers: [blocker], details }: PlanOf<CheckFacts>): Observation {
  if (blocker) return { state: 'stuck', reason: `${blocker.object}: ${blocker.reason}`, remedy: blocker.remedy };
  const pods = Number(details.pods);
  const summary = `nothing blocks the drain of ${Array.isArray(details.nodes) ? details.nodes.length : 0} nodes with ${pods} pods`;
  return { state: 'done', outputs: {}, progress: { summary, done: pods, total: pods, unit: 'pods', items: [] } };
}

import type { Observation } from '../../domain/action.ts';
import type { JsonObject } from '../../domain/json.ts';

/** How a change stands, as the rules of domain/database/ say it. `begun`: whether it may have changed something already. */
export type Standing =
  | { state: 'done'; summary: string }
  | { state: 'todo' | 'moving'; summary: string; begun: boolean }
  | { state: 'stuck'; reason: string; remedy: string };

/** What a look says of a step that changes one thing. `unit` is that thing, in the plural. */
export function observationOf(standing: Standing, outputs: JsonObject, unit: string): Observation {
  if (standing.state === 'stuck') return { state: 'stuck', reason: standing.reason, remedy: standing.remedy };
  const { state, summary } = standing;
  const progress = { summary, done: state === 'done' ? 1 : 0, total: 1, unit, items: [] };
  return state === 'done' ? { state, outputs, progress } : { state, progress, untouched: !standing.begun };
}

/** What to say of an instance that a step names and the cluster does not have. */
export function noInstance(name: string, cluster: string): { object: string; reason: string; remedy: string } {
  const remedy = 'Check the name (`aws rds describe-db-clusters`).';
  return { object: `DatabaseInstance/${name}`, reason: `It is no instance of the cluster ${cluster}.`, remedy };
}

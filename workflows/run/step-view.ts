import type { Item } from '../steps/step-tree.ts';
import type { RunState, StepState, StepStatus } from '../messages.ts';
import { usesOf } from '../steps/span.ts';

/** Makes a row for every step that is known before anything has run; those of a list become known when it is planned. */
export function rowsOf(items: readonly Item[], parent?: string): StepState[] {
  return items.flatMap((item) => {
    const { id, step } = item;
    const isList = step.kind !== 'hold' && step.forEach !== undefined && item.element === undefined;
    const isGroup = step.kind === 'runbook' || isList;
    const row: StepState = {
      id,
      kind: isGroup ? 'group' : step.kind,
      parent,
      title: step.kind === 'hold' ? undefined : step.title,
      uses: usesOf(item),
      status: 'waiting',
    };
    if (step.kind !== 'runbook' || isList) return [row];
    const { path, inputs } = item;
    const nested = step.runbook.steps.map((step) => ({ id: `${id}/${step.id}`, step, path, inputs }));
    return [row, ...rowsOf(nested, id)];
  });
}

/** Shows what lists and runbooks have become; elements that are there no longer lose their rows, unless something has happened in them. */
export function showGroups(state: RunState, groups: readonly { id: string; parts: readonly Item[] }[]): void {
  for (const { id, parts } of groups) {
    const place = state.steps.findIndex((row) => row.id === id);
    if (place < 0) continue;
    const wanted = rowsOf(parts, id);
    const present = new Map(state.steps.map((row) => [row.id, row]));
    const kept = wanted.map((row) => present.get(row.id) ?? row);
    const before = ownRows(state.steps, id);
    const others = state.steps.filter((row) => !before.includes(row));
    others.splice(place + 1, 0, ...kept);
    state.steps = others;
    if (parts.length === 0) Object.assign(others[place] as StepState, { status: 'skipped', summary: 'there is nothing in its list' });
  }
}

/** The rows, each group with what its own rows say: it runs from the first that begins to the last that ends. */
export function withGroups(rows: readonly StepState[]): StepState[] {
  return rows.map((row) => {
    const own = row.kind === 'group' ? ownRows(rows, row.id).filter(({ kind }) => kind !== 'group') : [];
    if (own.length === 0) return row;
    const over = own.filter(({ status }) => overStatuses.includes(status));
    const ends = own.flatMap(({ endedAt }) => endedAt ?? []).sort();
    return {
      ...row,
      status: groupStatus(own),
      summary: `${over.length} of ${own.length}`,
      startedAt: own.flatMap(({ startedAt }) => startedAt ?? []).sort()[0],
      endedAt: over.length === own.length ? ends.at(-1) : undefined,
    };
  });
}

/** The rows of the elements of a list, or of the steps of a runbook. */
export function ownRows(rows: readonly StepState[], group: string): StepState[] {
  return rows.filter(({ id }) => id.startsWith(`${group}[`) || id.startsWith(`${group}/`));
}

const overStatuses: readonly StepStatus[] = ['done', 'skipped', 'undone'];

/** What asks for attention comes first. */
function groupStatus(own: readonly StepState[]): StepStatus {
  const has = (status: StepStatus): boolean => own.some((row) => row.status === status);
  const loudest = (['stuck', 'holding', 'running', 'kept', 'stopped', 'undone'] as const).find(has);
  if (loudest !== undefined) return loudest;
  if (own.every(({ status }) => status === 'skipped')) return 'skipped';
  if (own.every(({ status }) => overStatuses.includes(status))) return 'done';
  return has('done') ? 'running' : 'waiting';
}

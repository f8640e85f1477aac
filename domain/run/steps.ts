import type { ChangeKind, Progress } from '../action.ts';
import type { Json } from '../json.ts';
import type { ActionPlan } from '../plan/plan.ts';
import type { ActionLimits, ActionStep, AtClose } from '../runbook.ts';
import { usesOf, type StepInstance } from './step-tree.ts';

/** `stopped`: the run ended in it; `kept`: its change stays when the run is undone. */
export type StepStatus = 'waiting' | 'running' | 'holding' | 'stuck' | 'done' | 'skipped' | 'stopped' | 'undone' | 'kept';

/** A step as it is shown. */
export interface StepState {
  /** `drain`; of a list `drain[node-a]`; of a runbook `upgrade/drain`; of a rollback `undo:drain`. */
  id: string;
  /** `group`: stands for the rows below it, the elements of a list or the steps of a runbook. */
  kind: 'action' | 'hold' | 'group';
  /** Id of the group that it belongs to. */
  parent?: string;
  title?: string;
  /** Name of the action, of the policy of a hold, or of the runbook. */
  uses: string;
  status: StepStatus;
  startedAt?: string;
  endedAt?: string;
  /** The last thing that is known of it, in one sentence. */
  summary?: string;
  /** How far it was when it was last stopped, of its objects the first ones; left out while it goes on. */
  progress?: Progress;
}

/** What the engine has to know to carry out a step of a signed span. */
export interface PlannedStep {
  id: string;
  uses: string;
  /** Where its outputs go; absent for a step of a rollback, whose outputs nobody refers to. */
  result?: Pick<StepInstance, 'path' | 'element'> & { step: string };
  list?: StepInstance['list'];
  /** Why it is left out: the condition that is false. */
  leftOut?: string;
  change: ChangeKind;
  onFailure: ActionStep['onFailure'];
  /** What follows when the window closes while it goes on; `finish-step` where it is left out. */
  atClose?: AtClose;
  limits: ActionLimits;
  /** Where its worker has to be; see the declaration of its action. */
  runsOn?: string;
  /** The step that it undoes, in a rollback. */
  undoes?: string;
  /** What an attempt has left for the next one. */
  checkpoint?: Json;
  /** How often the operator has had it tried again. */
  retry: number;
  /** Whether an operator has said that the same change, begun by somebody else, counts as its own. */
  adopt?: boolean;
}

/** What a step that changes the world has come to, for a rollback. */
export interface PerformedStep {
  /** 1, 2, 3 … in the order in which the steps of the run were begun. */
  number: number;
  plan: ActionPlan;
  finished: boolean;
  /** Whether somebody else has begun the same change, which is not this run's to undo. */
  foreign: boolean;
  /** Whether the rollback has undone it. */
  undone: boolean;
  /** Why it stays when the run is rolled back. */
  kept?: string;
}

/** Everything that is known of one step of a run, in one place. */
export interface StepRow {
  shown: StepState;
  /** From the release of its span on, until it is finished. */
  planned?: PlannedStep;
  /** From the moment at which it may have changed the world. */
  performed?: PerformedStep;
}

/** Makes a row for every step that is known before anything has run; those of a list become known when it is planned. */
export function rowsOf(instances: readonly StepInstance[], parent?: string): StepRow[] {
  return instances.flatMap((instance) => {
    const { id, step } = instance;
    const isList = step.kind !== 'hold' && step.forEach !== undefined && instance.element === undefined;
    const isGroup = step.kind === 'runbook' || isList;
    const shown: StepState = {
      id,
      kind: isGroup ? 'group' : step.kind,
      parent,
      title: step.kind === 'hold' ? undefined : step.title,
      uses: usesOf(instance),
      status: 'waiting',
    };
    if (step.kind !== 'runbook' || isList) return [{ shown }];
    const { path, inputs } = instance;
    const nested = step.runbook.steps.map((step) => ({ id: `${id}/${step.id}`, step, path, inputs }));
    return [{ shown }, ...rowsOf(nested, id)];
  });
}

/** Shows what lists and runbooks have become; elements that are there no longer lose their rows, unless something has happened in them. */
export function withParts(rows: readonly StepRow[], groups: readonly { id: string; parts: readonly StepInstance[] }[]): StepRow[] {
  let present = [...rows];
  for (const { id, parts } of groups) {
    const place = present.findIndex(({ shown }) => shown.id === id);
    const group = present[place];
    if (!group) continue;
    const byId = new Map(present.map((row) => [row.shown.id, row]));
    const kept = rowsOf(parts, id).map((row) => byId.get(row.shown.id) ?? row);
    const before = new Set(rowsBelow(present, id));
    // What has changed the world is to be undone, also where its list has another element in its place by now.
    kept.unshift(...[...before].filter((row) => row.performed !== undefined && !kept.includes(row)));
    present = present.filter((row) => !before.has(row));
    present.splice(place + 1, 0, ...kept);
    if (parts.length === 0) Object.assign(group.shown, { status: 'skipped', summary: 'there is nothing in its list' });
  }
  return present;
}

/** The rows of the elements of a list, or of the steps of a runbook, with all that stands below them. */
export function rowsBelow(rows: readonly StepRow[], group: string): StepRow[] {
  const within = new Set([group]);
  // A parent stands above its rows.
  return rows.filter(({ shown: { id, parent } }) => {
    if (parent === undefined || !within.has(parent)) return false;
    within.add(id);
    return true;
  });
}

/** The steps as they are shown: a group runs from the first of its rows that begins to the last that ends. */
export function shownSteps(rows: readonly StepRow[]): StepState[] {
  return rows.map(({ shown }) => {
    const own = shown.kind === 'group' ? rowsBelow(rows, shown.id).flatMap(({ shown }) => (shown.kind === 'group' ? [] : [shown])) : [];
    if (own.length === 0) return shown;
    const over = own.filter(({ status }) => overStatuses.includes(status));
    const ends = own.flatMap(({ endedAt }) => endedAt ?? []).sort();
    return {
      ...shown,
      status: groupStatus(own),
      summary: `${over.length} of ${own.length}`,
      startedAt: own.flatMap(({ startedAt }) => startedAt ?? []).sort()[0],
      endedAt: over.length === own.length ? ends.at(-1) : undefined,
    };
  });
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

/** A step of a released span that is still to be carried out. */
export type OpenStep = StepRow & { planned: PlannedStep };

/** The rows of the signed span that are still to be carried out, in their order. */
export function openSteps(rows: readonly StepRow[]): OpenStep[] {
  return rows.filter((row): row is OpenStep => row.planned !== undefined);
}

/** The steps that have changed the world and were not undone, the last one begun first. */
export function stepsToUndo(rows: readonly StepRow[]): (StepRow & { performed: PerformedStep })[] {
  return rows
    .filter((row): row is StepRow & { performed: PerformedStep } => row.performed !== undefined && !row.performed.undone)
    .sort((one, other) => other.performed.number - one.performed.number);
}

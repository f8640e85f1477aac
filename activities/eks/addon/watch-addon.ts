import type { Addon, Update } from '@aws-sdk/client-eks';
import type { ActionContext, Observation, Progress, Stuck } from '../../../domain/action.ts';
import type { Clients } from '../../clients.ts';
import { describeUpdate, foreignUpdateOf, hasFailed } from '../update/planned-change.ts';
import { goesOnIn, readUpdates, updateInProgress } from '../update/read-updates.ts';
import { explainUpdateErrors } from '../update/update-error.ts';
import { addonIssue, findAddon, type AddonFacts } from './addon.ts';

/** How far EKS is with the update of an add-on that a plan asks for. Reads only. Throws `aws-…` errors. */
export async function observeAddon(clients: Clients, facts: AddonFacts, context: ActionContext): Promise<Observation> {
  const { addon: name, from, to } = facts;
  const { target, acted } = context;
  const addon = await findAddon(clients, target, name);
  if (addon?.addonArn !== facts.addonArn) {
    const reason = `The add-on ${name} of ${target.name} has been ${addon ? 'replaced by another one of its name' : 'removed'}.`;
    return { state: 'stuck', reason, remedy: 'Find out who did that; abort the run and plan again.' };
  }
  const { addonVersion = '', status } = addon;
  const progress = progressOf(facts, addon);
  if (from === to) return { state: 'done', outputs: { addonVersion }, progress };
  if (status === 'UPDATING') return observeUpdating(clients, facts, context, progress);
  if (status === 'ACTIVE' && addonVersion === to) return { state: 'done', outputs: { addonVersion }, progress };
  if (status === 'DEGRADED' && addonVersion === to) {
    const reason = `The add-on ${name} is at ${to}, but DEGRADED: ${addonIssue(addon) ?? 'EKS gives no reason'}.`;
    return { state: 'stuck', reason, remedy: 'Put right what EKS names; then try again (`holdpoint retry`).', progress };
  }
  const failed = await failureOf(clients, facts, context);
  // Before this try has asked, a failed update is an earlier one's; the request token makes asking again harmless.
  if (failed && (acted || context.adopt === true)) return { ...failed, progress };
  if (addonVersion === from || status === 'UPDATE_FAILED') return { state: 'todo', progress, untouched: !acted && !failed };
  const reason = `The add-on ${name} is ${status ?? 'of unknown status'} at ${addonVersion}, neither at ${from} as planned nor at ${to}.`;
  return { state: 'stuck', reason, remedy: 'Find out who has changed it; abort the run and plan again.', progress };
}

/** What to say of an update of the add-on in progress that this step has not begun. The planned one can be adopted. */
export function foreignAddonUpdate(facts: AddonFacts, update: Update): Stuck {
  return foreignUpdateOf(`add-on ${facts.addon}`, describedUpdate(update), isPlannedAddonUpdate(update, facts));
}

/** An update as people are told of it, without the settings of the add-on, which are nobody else's business. */
export function describedUpdate(update: Update): string {
  return describeUpdate({ ...update, params: (update.params ?? []).filter(({ type }) => type !== 'ConfigurationValues') });
}

/** Whether an update is the planned one: the same version, and the same done with what others have changed. */
function isPlannedAddonUpdate({ type, params = [] }: Update, { to, resolveConflicts }: AddonFacts): boolean {
  const values = new Map(params.map((param): [string, string | undefined] => [param.type ?? '', param.value]));
  const conflicts = values.get('ResolveConflicts') ?? resolveConflicts;
  return type === 'AddonUpdate' && values.get('AddonVersion') === to && conflicts === resolveConflicts;
}

/** Whose an update in progress is, only EKS can say, when it is asked under the token of this step. */
async function observeUpdating(
  clients: Clients,
  facts: AddonFacts,
  { target, acted, adopt }: ActionContext,
  progress: Progress,
): Promise<Observation> {
  if (acted) return { state: 'moving', progress };
  const updates = await readUpdates(clients, target, { addonName: facts.addon });
  const inProgress = updateInProgress(updates);
  if (facts.waitForUpdate && inProgress && !isPlannedAddonUpdate(inProgress, facts)) return { state: 'moving', progress };
  if (adopt !== true) return { state: 'todo', progress, ...goesOnIn(inProgress, target, { addonName: facts.addon }) };
  if (!inProgress || isPlannedAddonUpdate(inProgress, facts)) return { state: 'moving', progress };
  return { ...foreignAddonUpdate(facts, inProgress), progress };
}

async function failureOf(clients: Clients, facts: AddonFacts, { target }: ActionContext): Promise<Stuck | undefined> {
  const [latest] = await readUpdates(clients, target, { addonName: facts.addon });
  if (!hasFailed(latest) || !isPlannedAddonUpdate(latest, facts)) return undefined;
  const { reason: cause, remedy } = explainUpdateErrors(latest.errors ?? []);
  const reason = `The update ${latest.id ?? ''} of add-on ${facts.addon} to ${facts.to} ended as ${latest.status ?? ''}: ${cause}.`;
  return { state: 'stuck', reason, remedy };
}

function progressOf({ addon, from, to }: AddonFacts, { addonVersion = '', status }: Addon): Progress {
  const isThere = addonVersion === to && status === 'ACTIVE';
  const summary = isThere
    ? `${addon} at ${to}`
    : status === 'UPDATING'
      ? `${addon} going from ${from} to ${to}`
      : `${addon} at ${addonVersion}`;
  const state = isThere ? 'done' : status === 'UPDATING' ? 'moving' : 'waiting';
  const item = { name: addon, state, done: isThere ? 1 : 0, total: 1, detail: isThere ? undefined : (status ?? 'unknown') } as const;
  return { summary, done: item.done, total: 1, unit: 'add-ons', items: [item] };
}

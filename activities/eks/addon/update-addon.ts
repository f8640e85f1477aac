import { UpdateAddonCommand, type Addon, type Update } from '@aws-sdk/client-eks';
import type { ActionContext } from '../../../domain/action.ts';
import type { Target } from '../../../domain/target.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { expectedVersion } from '../../../domain/plan/expected.ts';
import type { Blocker, Risk } from '../../../domain/plan/plan.ts';
import { chooseAddonVersion, type AddonPlace } from '../../../domain/version/addon-choice.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { readCluster } from '../cluster.ts';
import { askForUpdate } from '../update/ask-for-update.ts';
import { readUpdates, updateInProgress } from '../update/read-updates.ts';
import { addonIssue, configurationDigestOf, findAddon, readAddonReleases, type AddonFacts } from './addon.ts';
import { describedUpdate, foreignAddonUpdate, observeAddon } from './watch-addon.ts';

const estimateMs = 2 * 60_000;
const settingsShownMax = 20;

type Input = ActionInput<'eks.updateAddon'>;

/** `eks.updateAddon`: EKS takes an add-on to another version, with its settings as they are. */
export function updateAddonAction(clients: Clients): AnyAction {
  return defineAction<Input, AddonFacts>({
    declaration: actions['eks.updateAddon'],
    plan: (input, context) => planAddon(clients, input, context),
    observe: ({ facts }, context) => observeAddon(clients, facts, context),
    act: ({ facts }, context) => update(clients, facts, context),
    undo: async ({ facts: { addon, from, to, resolveConflicts } }, _context, seen) => {
      if (from === to || isUntouched(seen)) return { nothing: `The add-on ${addon} is at ${from} as before.` };
      return [{ uses: 'eks.updateAddon', with: { addon, addonVersion: from, resolveConflicts, waitForUpdate: true } }];
    },
  });
}

async function planAddon(clients: Clients, input: Input, { target, expected = [] }: ActionContext): Promise<PlanOf<AddonFacts>> {
  const { addon: name, resolveConflicts } = input;
  const where = placeOf(input);
  const object = `Addon/${target.name}/${name}`;
  const [cluster, addon] = [await readCluster(clients, target), await findAddon(clients, target, name)];
  const inFlight = addon?.status === 'UPDATING' ? await updateInFlight(clients, target, name) : undefined;
  const awaited = input.waitForUpdate ? inFlight?.params?.find(({ type }) => type === 'AddonVersion')?.value : undefined;
  const present = expectedVersion(expected, object) ?? awaited ?? addon?.addonVersion ?? '';
  const facts: AddonFacts = {
    addon: name,
    addonArn: addon?.addonArn ?? '',
    from: present,
    to: present,
    resolveConflicts,
    waitForUpdate: input.waitForUpdate,
    configurationDigest: addon ? configurationDigestOf(addon) : null,
    serviceAccountRoleArn: addon?.serviceAccountRoleArn ?? null,
  };
  const plan = { ...emptyPlan(facts), outputs: { addonVersion: present } };
  if (!addon) {
    const remedy = 'Check its name (`aws eks list-addons`); what is no add-on of EKS is updated by other means.';
    return { ...plan, blockers: [{ object, reason: 'The cluster has no EKS add-on of that name.', remedy }] };
  }
  const controlPlane = expectedVersion(expected, `Cluster/${target.name}`) ?? cluster.version ?? '';
  const releases = (await readAddonReleases(clients, target, { addonName: name })).flatMap((known) => known.releases);
  const choice = chooseAddonVersion({ name, present, controlPlane, releases }, where);
  if ('note' in choice) return { ...plan, notes: [choice.note], risks: choice.risks.map((risk): Risk => ({ object, risk })) };
  if ('blocker' in choice) return { ...plan, blockers: [{ object, ...choice.blocker }] };
  const to = choice.version;
  if (to === present) return { ...plan, notes: [`The add-on ${name} is at ${to} already.`] };
  return {
    ...plan,
    facts: { ...facts, to },
    outputs: { addonVersion: to },
    effects: [{ object, change: 'update the add-on', before: present, after: to }],
    blockers: stateBlockers(addon, object, awaited ? undefined : inFlight),
    notes: notesOf(addon, resolveConflicts),
    expects: [{ change: 'version', object, version: to }],
    estimateMs,
  };
}

/** Throws `action-input-invalid` unless it says either a version of the add-on or where in which upgrade it is. */
function placeOf({ addonVersion, kubernetesVersion, slot }: Input): AddonPlace {
  if (addonVersion !== undefined && kubernetesVersion === undefined && slot === undefined) return { addonVersion };
  if (addonVersion === undefined && kubernetesVersion !== undefined && slot !== undefined) return { kubernetesVersion, slot };
  const cause = 'either addonVersion, or kubernetesVersion and slot must be given';
  throw new HoldpointError('action-input-invalid', { action: 'eks.updateAddon', cause });
}

async function updateInFlight(clients: Clients, target: Target, addonName: string): Promise<Update | undefined> {
  return updateInProgress(await readUpdates(clients, target, { addonName }));
}

function stateBlockers(addon: Addon, object: string, inFlight: Update | undefined): Blocker[] {
  const { status } = addon;
  if (inFlight) {
    const reason = `The ${describedUpdate(inFlight)} is in progress.`;
    return [{ object, reason, remedy: 'Wait until it has ended, then plan again.' }];
  }
  // One that is UPDATING is waited for; an update is what mends the next two, as often as not.
  if (status === 'ACTIVE' || status === 'UPDATING' || status === 'UPDATE_FAILED' || status === 'DEGRADED') return [];
  const issue = addonIssue(addon);
  const reason = `Its status is ${status ?? 'unknown'}, not ACTIVE${issue === undefined ? '.' : `; EKS reports ${issue}`}`;
  return [{ object, reason, remedy: 'Put right what made it so, then plan again.' }];
}

function notesOf(addon: Addon, resolveConflicts: AddonFacts['resolveConflicts']): string[] {
  const issue = addonIssue(addon);
  const settings = settingsOf(addon);
  return [
    ...(addon.status === 'ACTIVE' || issue === undefined ? [] : [`It is ${addon.status ?? ''}; EKS reports ${issue}`]),
    ...(settings === undefined ? [] : [`Its settings (${settings}) are sent along unchanged.`]),
    ...(resolveConflicts === 'NONE' ? ['Where others have changed its objects, EKS does not update it, and the step stops.'] : []),
    ...(resolveConflicts === 'PRESERVE' ? ['What others have changed in its objects stays.'] : []),
  ];
}

/** The names of the settings; their values may be secrets. */
function settingsOf({ configurationValues = '' }: Addon): string | undefined {
  if (configurationValues === '') return undefined;
  try {
    const values: unknown = JSON.parse(configurationValues);
    const names = typeof values === 'object' && values !== null ? Object.keys(values) : [];
    return names.slice(0, settingsShownMax).join(', ') + (names.length > settingsShownMax ? ', …' : '');
  } catch {
    return [...configurationValues.matchAll(/^([\w.-]+):/gm)]
      .slice(0, settingsShownMax)
      .map(([, name]) => name)
      .join(', ');
  }
}

/** The settings are read again: EKS puts its defaults in the place of what is left out. */
async function update(clients: Clients, facts: AddonFacts, context: ActionContext): Promise<void> {
  const { target } = context;
  const { addon: addonName, to, resolveConflicts, configurationDigest, serviceAccountRoleArn } = facts;
  const addon = await findAddon(clients, target, addonName);
  if (!addon || configurationDigestOf(addon) !== configurationDigest || (addon.serviceAccountRoleArn ?? null) !== serviceAccountRoleArn) {
    const reason = `Somebody has changed the settings or the role of add-on ${addonName} since the plan was signed.`;
    throw stuckError({ state: 'stuck', reason, remedy: 'Find out who did that; abort the run and plan again.' });
  }
  const wanted = {
    call: `UpdateAddon ${addonName}`,
    owner: { addonName },
    request: { cluster: target.name, addon: addonName, version: to, resolveConflicts, configurationDigest, serviceAccountRoleArn },
    waitForUpdate: facts.waitForUpdate,
    send: async (clientRequestToken: string) => {
      const request = {
        clusterName: target.name,
        addonName,
        addonVersion: to,
        resolveConflicts,
        configurationValues: addon.configurationValues,
        serviceAccountRoleArn: addon.serviceAccountRoleArn,
        clientRequestToken,
      };
      return (await clients.eks(target.region).send(new UpdateAddonCommand(request))).update;
    },
    foreign: (running: Parameters<typeof foreignAddonUpdate>[1]) => foreignAddonUpdate(facts, running),
  };
  await askForUpdate(clients, wanted, context);
}

import type { ActionContext, Observation } from '../../domain/action.ts';
import { describeInstance, writerOf, type Database } from '../../domain/database/database.ts';
import {
  beginningsSince,
  engineUpgradeStanding,
  type EngineUpgradeFacts,
  type EngineUpgradeStanding,
} from '../../domain/database/engine-upgrade.ts';
import type { Blocker, Risk } from '../../domain/plan/plan.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { observationOf } from './observation.ts';
import { followMeasured, measurementNote } from './outage-measurement.ts';
import { lastTimeOf, readDatabase, readMaintenance, readMaintenanceEvents, readUpgradeTargets } from './read.ts';
import { isRefusal } from './refusal.ts';

/** All instances restart at once; how long the rest takes depends on the size of the cluster. */
const estimateMs = 5 * 60_000;
const noWayBack = 'RDS takes no engine back to an older version. A snapshot of before can be restored as another cluster.';

type Input = ActionInput<'rds.upgradeEngine'>;

/** What a try remembers of itself. */
type Memory = { retry: number; askedAtMs: number | null; beginningsAccepted: number };

/** `rds.upgradeEngine`: gives an Aurora cluster another minor version of its engine, at once. */
export function upgradeEngineAction(clients: Clients): AnyAction {
  return defineAction<Input, EngineUpgradeFacts>({
    declaration: actions['rds.upgradeEngine'],
    plan: (input, context) => planUpgrade(clients, input, context),
    observe: ({ facts }, context) => observeUpgrade(clients, facts, context),
    act: ({ facts }, context) => upgrade(clients, facts, context),
    follow: async ({ facts }, given) => {
      const writer = writerOf(await readDatabase(clients, given.target))?.name;
      return followMeasured(clients, given, {
        writer: facts.from === facts.to ? undefined : writer,
        observe: (context) => observeUpgrade(clients, facts, context),
        act: (context, ready) => upgrade(clients, facts, context, ready),
      });
    },
    undo: async ({ facts }, _context, seen) => {
      if (facts.from === facts.to) return { nothing: `It had ${facts.to} before.` };
      return isUntouched(seen) ? { nothing: 'No upgrade has been begun.' } : { noUndo: noWayBack };
    },
  });
}

async function planUpgrade(clients: Clients, { from, to }: Input, { target }: ActionContext): Promise<PlanOf<EngineUpgradeFacts>> {
  const database = await readDatabase(clients, target);
  const object = `Database/${target.name}`;
  const events = await readMaintenanceEvents(clients, target);
  const lastEventAt = lastTimeOf(events);
  const instances = database.instances.map(({ name, resourceId }) => ({ name, resourceId }));
  const isThere = database.engineVersion === to && database.instances.every(({ engineVersion }) => engineVersion === to);
  const facts: EngineUpgradeFacts = { databaseResourceId: database.resourceId, from: isThere ? to : from, to, instances, lastEventAt };
  const plan = { ...emptyPlan(facts), outputs: { engineVersion: to } };
  if (isThere) return { ...plan, notes: [`It has ${to} already: nothing is upgraded.`] };
  return {
    ...plan,
    effects: [{ object, change: 'upgrade its engine', before: database.engineVersion, after: to }],
    blockers: [...stateBlockers(object, database, from), ...(await versionBlockers(clients, { object, database, to }, target))],
    risks: risksOf(object, database),
    notes: [
      `Restarted at once: ${database.instances.map(describeInstance).join(', ')}.`,
      ...(await maintenanceNotes(clients, target, database)),
      measurementNote(await clients.probe(target)),
    ],
    estimateMs,
  };
}

function stateBlockers(object: string, database: Database, from: string): Blocker[] {
  const { status, engineVersion, instances, pendingChanges } = database;
  const found: Blocker[] = [];
  const add = (about: string, reason: string, remedy: string): void => void found.push({ object: about, reason, remedy });
  if (engineVersion !== from) {
    add(object, `It has ${engineVersion}, and ${from} is expected.`, 'Find out who has changed it; then start a run that says so.');
  }
  if (status !== 'available') add(object, `Its status is ${status}, not available.`, 'Wait until it is available, then plan again.');
  if (pendingChanges.length > 0) {
    const reason = `Changes of it wait for its maintenance window: ${pendingChanges.join(', ')}. An upgrade at once applies them, too.`;
    add(object, reason, 'Have them applied or taken back first, then plan again.');
  }
  for (const instance of instances) {
    const about = `DatabaseInstance/${instance.name}`;
    if (instance.status !== 'available') {
      add(about, `Its status is ${instance.status}, not available.`, 'Wait until it is available, then plan again.');
    }
    if (instance.parameterGroupStatus !== 'in-sync') {
      const reason = `Its parameter group is ${instance.parameterGroupStatus}: the restart brings other parameters, too.`;
      add(about, reason, 'Restart it by itself first, so that what is wrong then has one cause; then plan again.');
    }
  }
  return found;
}

async function versionBlockers(
  clients: Clients,
  { object, database, to }: { object: string; database: Database; to: string },
  target: ActionContext['target'],
): Promise<Blocker[]> {
  const { engine, engineVersion } = database;
  const targets = await readUpgradeTargets(clients, target, database);
  const wanted = targets.find(({ version }) => version === to);
  if (wanted && !wanted.isMajor) return [];
  const minor = targets.filter(({ isMajor }) => !isMajor).map(({ version }) => version);
  const remedy = minor.length === 0 ? 'RDS names no newer minor version of it.' : `Choose one of ${minor.join(', ')}.`;
  const reason = wanted
    ? `${to} is another major version than ${engineVersion}.`
    : `RDS does not upgrade ${engine} ${engineVersion} to ${to}.`;
  return [{ object, reason, remedy }];
}

function risksOf(object: string, { instances }: Database): Risk[] {
  const risk =
    `All ${instances.length} instances restart at once: reads and writes are refused for seconds to minutes, connections are cut, ` +
    'and what was not committed is lost.';
  return [
    { object, risk },
    { object, risk: noWayBack },
  ];
}

async function maintenanceNotes(clients: Clients, target: ActionContext['target'], { instances }: Database): Promise<string[]> {
  const names = instances.map(({ name }) => name);
  const due = await readMaintenance(clients, target, names);
  return [...due].map(([name, pending]) => `Maintenance of ${name} has its time already: ${pending.join(', ')}.`);
}

async function look(
  clients: Clients,
  facts: EngineUpgradeFacts,
  context: ActionContext,
): Promise<{ standing: EngineUpgradeStanding; memory: Memory }> {
  const { target, checkpoint, retry } = context;
  const [database, events] = await Promise.all([readDatabase(clients, target), readMaintenanceEvents(clients, target)]);
  const kept = checkpoint.read() as Memory | undefined;
  const memory: Memory =
    kept?.retry === retry
      ? { retry, askedAtMs: kept.askedAtMs, beginningsAccepted: kept.beginningsAccepted }
      : { retry, askedAtMs: null, beginningsAccepted: retry === 0 ? 0 : beginningsSince(facts, events) };
  const askedMsAgo = memory.askedAtMs === null ? undefined : Date.now() - memory.askedAtMs;
  const standing = engineUpgradeStanding(facts, { database, events, askedMsAgo, beginningsAccepted: memory.beginningsAccepted });
  return { standing, memory };
}

async function observeUpgrade(clients: Clients, facts: EngineUpgradeFacts, context: ActionContext): Promise<Observation> {
  const { standing, memory } = await look(clients, facts, context);
  context.checkpoint.write(memory);
  return observationOf(standing, { engineVersion: facts.to }, 'clusters');
}

/** Asking for a version that RDS is bringing does nothing; so a lost answer is followed by looks, and then by the same request. */
async function upgrade(
  clients: Clients,
  facts: EngineUpgradeFacts,
  context: ActionContext,
  ready: () => Promise<void> = async () => undefined,
): Promise<void> {
  const { target, checkpoint, signal } = context;
  await ready();
  const { standing, memory } = await look(clients, facts, context);
  if (standing.state === 'stuck') throw stuckError(standing);
  if (standing.state !== 'todo') return;
  signal.throwIfAborted();
  const { changes } = await clients.rds(target.region);
  checkpoint.write({ ...memory, askedAtMs: Date.now() });
  const request = { DBClusterIdentifier: target.name, EngineVersion: facts.to, AllowMajorVersionUpgrade: false, ApplyImmediately: true };
  await changes.modifyDBCluster(request).catch((error: unknown) => {
    if (isRefusal(error)) checkpoint.write(memory);
    throw awsError(error, `ModifyDBCluster of ${target.name} to ${facts.to}`, target);
  });
}

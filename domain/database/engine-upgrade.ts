import { instanceOf, planAgain, replacement, type Database } from './database.ts';

/** What a signed upgrade of the engine rests on. */
export type EngineUpgradeFacts = {
  databaseResourceId: string;
  from: string;
  to: string;
  instances: { name: string; resourceId: string }[];
  /** When RDS told of maintenance of the cluster last: what it tells later has happened since. Null where it has told of none. */
  lastEventAt: string | null;
};

/** What was seen of the world, and what this try knows of itself. */
export interface EngineUpgradeScene {
  database: Database;
  /** What RDS has told of maintenance in the last days. */
  events: readonly { message: string; at: string }[];
  /** How long ago this try has sent its request; undefined where it has not, as far as it remembers. */
  askedMsAgo: number | undefined;
  /** How many upgrades RDS had begun when an operator had the step tried again; that they came to nothing is known. */
  beginningsAccepted: number;
}

/** How an upgrade stands. `begun`: whether one may be under way. */
export type EngineUpgradeStanding =
  | { state: 'done'; summary: string }
  | { state: 'todo' | 'moving'; summary: string; begun: boolean }
  | { state: 'stuck'; reason: string; remedy: string };

/** The name of the setting among those that wait, by the API. */
export const versionSetting = 'EngineVersion';
/** How long nothing may show of a request whose answer was lost: RDS shows the version among what waits at once. */
const unseenMaxMs = 30_000;
/** Aurora user guide, "Amazon RDS event categories": RDS-EVENT-0286 and 0177; 0410 and 0412 come before anything is changed. */
const begunTexts = [/version upgrade started/i, /^Database cluster upgrade is in progress/i];

/** How many upgrades RDS has told of since the plan. */
export function beginningsSince(
  { lastEventAt }: Pick<EngineUpgradeFacts, 'lastEventAt'>,
  events: readonly { message: string; at: string }[],
): number {
  const since = events.filter(({ at }) => lastEventAt === null || at > lastEventAt);
  return since.filter(({ message }) => begunTexts.some((text) => text.test(message))).length;
}

/**
 * How a planned upgrade stands. It is over where the cluster and each of its instances say so, and are available: RDS has called clusters
 * available before their instances were. Pure.
 */
export function engineUpgradeStanding(facts: EngineUpgradeFacts, scene: EngineUpgradeScene): EngineUpgradeStanding {
  const { database, events, askedMsAgo, beginningsAccepted } = scene;
  const { name, status, engineVersion, instances, pendingChanges } = database;
  const otherCluster = replacement(database, facts.databaseResourceId);
  if (otherCluster) return { state: 'stuck', ...otherCluster };
  const isBusy = instances.some((one) => one.status === 'upgrading' || one.pendingChanges.includes(versionSetting));
  if (status === 'upgrading' || pendingChanges.includes(versionSetting) || isBusy) {
    return { state: 'moving', summary: `cluster ${name} is ${status}; its engine is being upgraded`, begun: true };
  }
  const others = instances.filter((one) => one.engineVersion !== facts.to);
  const resting = status === 'available' && instances.every((one) => one.status === 'available');
  if (engineVersion === facts.to && others.length === 0) {
    if (resting) return { state: 'done', summary: `${name} runs ${facts.to} on ${instances.length} instances` };
    return { state: 'moving', summary: `${name} has ${facts.to}; ${notAvailable(database)}`, begun: true };
  }
  if (!resting) return { state: 'moving', summary: `waits: ${notAvailable(database)}`, begun: askedMsAgo !== undefined };
  if (engineVersion !== facts.from) {
    const reason = `${name} has ${engineVersion}, neither ${facts.from} as it was planned nor ${facts.to} on all instances.`;
    return { state: 'stuck', reason, remedy: planAgain };
  }
  const replaced = facts.instances.find((one) => instanceOf(database, one.name)?.resourceId !== one.resourceId);
  if (replaced) return { state: 'stuck', reason: `Instance ${replaced.name} is gone, or another one of its name.`, remedy: planAgain };
  if (beginningsSince(facts, events) > beginningsAccepted) {
    const told = events.at(-1)?.message ?? '';
    const reason = `RDS has begun to upgrade ${name}, and it is available with ${facts.from} as before. RDS says "${told}"`;
    const remedy = 'Find out why (events and logs of the cluster); then try again (`holdpoint retry`), or abort.';
    return { state: 'stuck', reason, remedy };
  }
  if (askedMsAgo !== undefined && askedMsAgo < unseenMaxMs) {
    return { state: 'moving', summary: 'the upgrade was asked for, and nothing shows yet', begun: true };
  }
  return { state: 'todo', summary: `${name} has ${facts.from}`, begun: askedMsAgo !== undefined };
}

function notAvailable({ name, status, instances }: Database): string {
  if (status !== 'available') return `cluster ${name} is ${status}`;
  const waiting = instances.filter((one) => one.status !== 'available');
  return waiting.map((one) => `${one.name} is ${one.status}`).join(', ');
}

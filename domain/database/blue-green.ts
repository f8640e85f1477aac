import { planAgain, type Database } from './database.ts';

/** A blue/green deployment, as RDS shows it. What RDS calls a status is an open set. */
export interface BlueGreen {
  id: string;
  name: string;
  status: string;
  statusDetails: string;
  /** Names of the clusters on both sides, the blue one first; empty as long as there is no green one. */
  source: string;
  target: string;
  tasks: { name: string; status: string }[];
  /** The status of each pair of clusters and instances. */
  memberStatuses: string[];
  /** The run that has made it; undefined where that was somebody else. */
  run: string | undefined;
}

/** How a step stands. `begun`: whether it may have changed something. */
export type BlueGreenStanding =
  | { state: 'done'; summary: string }
  | { state: 'todo' | 'moving'; summary: string; begun: boolean }
  | { state: 'stuck'; reason: string; remedy: string };

/** RDS API, BlueGreenDeployment: the statuses that are told apart here. */
const available = 'AVAILABLE';
const completed = 'COMPLETED';
const failed = 'FAILED';
const invalid = 'INVALID_CONFIGURATION';
export const deletingStatus = 'DELETING';
export const switchedOver = 'SWITCHOVER_COMPLETED';
const switchingOver = 'SWITCHOVER_IN_PROGRESS';
export const switchoverFailed = 'SWITCHOVER_FAILED';
/** How long nothing may show of a request, or the clusters may disagree with the status: RDS shows both within seconds. */
const unclearMaxMs = 2 * 60_000;

/**
 * How a green cluster that a run makes stands. RDS has called deployments available before all was there, so every task, every pair and
 * every instance must say so, too. Pure.
 */
export function creationStanding(
  run: string,
  name: string,
  deployment: BlueGreen | undefined,
  green: Database | undefined,
): BlueGreenStanding {
  if (!deployment) return { state: 'todo', summary: `no blue/green deployment ${name} yet`, begun: false };
  const { status, statusDetails, tasks, memberStatuses } = deployment;
  if (deployment.run !== run) {
    const reason = `There is a blue/green deployment ${name} already, which this run has not made.`;
    return { state: 'stuck', reason, remedy: 'Delete it if nobody needs it, or start a run with another name.' };
  }
  const broken = tasks.find((task) => task.status === failed);
  if (status === invalid || broken) {
    const task = broken ? `, its task ${broken.name} has failed` : '';
    const reason = `Blue/green deployment ${name} is ${status}${task}.${told(statusDetails)}`;
    return { state: 'stuck', reason, remedy: 'Find out why (events of both clusters); undo the step, and start again.' };
  }
  if ([deletingStatus, switchingOver, switchedOver, switchoverFailed].includes(status)) {
    return { state: 'stuck', reason: `Somebody else has gone on with blue/green deployment ${name}: it is ${status}.`, remedy: planAgain };
  }
  const open = tasks.filter((task) => task.status !== completed).map((task) => `${task.name} ${task.status}`);
  const isReady = status === available && open.length === 0 && memberStatuses.every((each) => each === available);
  if (isReady && green && isAtRest(green)) return { state: 'done', summary: `${green.name} follows with ${green.engineVersion}` };
  const what = open.length > 0 ? `; ${open.slice(0, 2).join(', ')}` : green ? `; ${restlessOf(green)}` : '';
  return { state: 'moving', summary: `blue/green deployment ${name} is ${status}${what}`, begun: true };
}

/** What a signed switchover rests on. */
export type SwitchoverFacts = {
  deployment: string;
  name: string;
  blueResourceId: string;
  greenResourceId: string;
  engineVersion: string;
  timeoutSeconds: number;
};

/** What was seen, and what this try knows of itself. */
export interface SwitchoverScene {
  deployment: BlueGreen | undefined;
  /** The cluster that has the name of the target now. */
  database: Database;
  /** How long ago this try has sent its request; undefined where it has not. */
  askedMsAgo: number | undefined;
  /** Whether an earlier switchover had failed when it did: that RDS says so is no news then. */
  failedBefore: boolean;
}

/**
 * How a switchover stands. It is over where the status says so *and* the cluster of the name is the green one: neither is believed alone.
 * Once it was asked for it is not asked for again by this try. Pure.
 */
export function switchoverStanding(
  facts: SwitchoverFacts,
  { deployment, database, askedMsAgo, failedBefore }: SwitchoverScene,
): BlueGreenStanding {
  const { name } = facts;
  const isGreen = database.resourceId === facts.greenResourceId;
  if (!isGreen && database.resourceId !== facts.blueResourceId) {
    return { state: 'stuck', reason: `Cluster ${database.name} is neither the blue nor the green one of the plan.`, remedy: planAgain };
  }
  const begun = askedMsAgo !== undefined;
  if (deployment?.status === switchingOver) return { state: 'moving', summary: `${name} is being switched over`, begun: true };
  if (isGreen) {
    // The deployment may have been deleted since.
    const isOver = deployment === undefined || deployment.status === switchedOver;
    if (isOver && isAtRest(database))
      return { state: 'done', summary: `${database.name} is the green cluster, with ${database.engineVersion}` };
    return { state: 'moving', summary: `${database.name} is the green cluster; ${restlessOf(database)}`, begun: true };
  }
  if (!deployment || deployment.id !== facts.deployment) {
    return { state: 'stuck', reason: `Blue/green deployment ${name} is gone, or another one of its name.`, remedy: planAgain };
  }
  const { status, statusDetails } = deployment;
  const hasFailed = status === switchoverFailed && !failedBefore;
  if (begun && !hasFailed && askedMsAgo < unclearMaxMs) {
    return { state: 'moving', summary: 'the switchover was asked for, and nothing shows yet', begun };
  }
  if (begun) {
    const what =
      status === switchoverFailed
        ? 'RDS has given up the switchover and rolled it back'
        : `Nothing shows of the switchover: ${name} is ${status}`;
    const reason = `${what}; ${database.name} is the blue cluster as before.${told(statusDetails)}`;
    return { state: 'stuck', reason, remedy: 'Find out why (events of both clusters); then try again (`holdpoint retry`), or abort.' };
  }
  if (status !== available && status !== switchoverFailed) {
    return { state: 'stuck', reason: `Blue/green deployment ${name} is ${status}.${told(statusDetails)}`, remedy: planAgain };
  }
  return { state: 'todo', summary: `${database.name} is the blue cluster`, begun };
}

/** What a signed deletion rests on; `deployment` is null where there is nothing to delete. */
export type BlueGreenDeletionFacts = {
  deployment: string | null;
  name: string;
  /** The cluster that goes with it: the green one before a switchover, the old one after it. */
  doomed: { name: string; resourceId: string } | null;
  kind: 'green' | 'old';
  finalSnapshot: string | null;
};

/** What of a deletion comes next. */
export type DeletionStanding = BlueGreenStanding & { next?: 'deployment' | 'instances' | 'cluster' };

/** How a deletion stands: first the deployment goes, then the instances of the old cluster, then that itself. Pure. */
export function deletionStanding(
  facts: BlueGreenDeletionFacts,
  { deployment, doomed }: { deployment: BlueGreen | undefined; doomed: (Database & { isProtected: boolean }) | undefined },
): DeletionStanding {
  const { name, kind } = facts;
  if (facts.deployment === null) return { state: 'done', summary: `there is no blue/green deployment ${name}` };
  if (deployment && deployment.id === facts.deployment) {
    const { status } = deployment;
    if (status === deletingStatus) return { state: 'moving', summary: `blue/green deployment ${name} is being deleted`, begun: true };
    if (status === switchingOver || (status === switchedOver) !== (kind === 'old')) {
      return { state: 'stuck', reason: `Blue/green deployment ${name} is ${status}: it is not as it was planned.`, remedy: planAgain };
    }
    return { state: 'todo', next: 'deployment', summary: `blue/green deployment ${name} is ${status}`, begun: false };
  }
  if (!doomed || doomed.resourceId !== facts.doomed?.resourceId) return { state: 'done', summary: `blue/green deployment ${name} is gone` };
  const { status, instances } = doomed;
  if (kind === 'green' || status === 'deleting') return { state: 'moving', summary: `cluster ${doomed.name} is ${status}`, begun: true };
  if (doomed.isProtected) {
    const reason = `Cluster ${doomed.name} has deletion protection by now: somebody wants to keep it.`;
    return { state: 'stuck', reason, remedy: 'Ask who has given it that; then try again (`holdpoint retry`), or leave the step out.' };
  }
  const staying = instances.filter((instance) => instance.status !== 'deleting');
  const summary = `cluster ${doomed.name} is ${status}, ${staying.length} instances stay`;
  if (staying.some((instance) => instance.status !== 'available') || status !== 'available')
    return { state: 'moving', summary, begun: true };
  return { state: 'todo', next: staying.length > 0 ? 'instances' : 'cluster', summary, begun: true };
}

/** Whether a cluster and all of its instances are available. */
export function isAtRest({ status, instances }: Database): boolean {
  return status === 'available' && instances.length > 0 && instances.every((instance) => instance.status === 'available');
}

/** What differs between the two sides, in sentences for whoever signs the switchover. */
export function differencesBetween(blue: Database, green: Database): string[] {
  const classes = ({ instances }: Database): string =>
    instances
      .map(({ instanceClass }) => instanceClass)
      .sort()
      .join(', ');
  const differ = (what: string, one: string, other: string): string[] => (one === other ? [] : [`${what}: ${one} now, ${other} after it.`]);
  return [
    ...differ('Engine version', blue.engineVersion, green.engineVersion),
    ...differ('Instances', classes(blue), classes(green)),
    ...differ('Promotion tiers', tiersOf(blue), tiersOf(green)),
  ];
}

function tiersOf({ instances }: Database): string {
  return instances
    .map(({ promotionTier }) => promotionTier)
    .sort((one, other) => one - other)
    .join(', ');
}

function restlessOf({ name, status, instances }: Database): string {
  const waiting = instances
    .filter((instance) => instance.status !== 'available')
    .map((instance) => `${instance.name} is ${instance.status}`);
  return status === 'available' && waiting.length > 0 ? waiting.join(', ') : `cluster ${name} is ${status}`;
}

function told(details: string): string {
  return details === '' ? '' : ` RDS says "${details}"`;
}

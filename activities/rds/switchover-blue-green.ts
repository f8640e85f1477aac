import type { ActionContext, Observation } from '../../domain/action.ts';
import {
  differencesBetween,
  isAtRest,
  switchedOver,
  switchoverFailed,
  switchoverStanding,
  type BlueGreen,
  type BlueGreenStanding,
  type SwitchoverFacts,
} from '../../domain/database/blue-green.ts';
import { writerOf, type Database } from '../../domain/database/database.ts';
import { expectedBlueGreen } from '../../domain/plan/expected.ts';
import type { Blocker } from '../../domain/plan/plan.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { observationOf } from './observation.ts';
import { followMeasured, measurementNote } from './outage-measurement.ts';
import { readClone, readDatabase, readMaintenance } from './read.ts';
import { readBlueGreen } from './read-blue-green.ts';
import { isRefusal } from './refusal.ts';

const estimateMs = 3 * 60_000;
const checkpointMs = 1_000;
const noWayBack =
  'The old cluster stays as it was at that moment and is read-only: whoever goes back to it by hand loses what was written since.';

type Input = ActionInput<'rds.switchoverBlueGreen'>;
/** What a try remembers of itself. */
type Memory = { retry: number; askedAtMs: number | null; failedBefore: boolean };

/**
 * `rds.switchoverBlueGreen`: the green cluster takes the place and the name of the blue one. RDS is asked once; what has come of it is read
 * from the deployment and from the cluster that has the name.
 */
export function switchoverBlueGreenAction(clients: Clients): AnyAction {
  return defineAction<Input, SwitchoverFacts>({
    declaration: actions['rds.switchoverBlueGreen'],
    plan: (input, context) => planSwitchover(clients, input, context),
    observe: ({ facts }, context) => observeSwitchover(clients, facts, context),
    act: ({ facts }, context) => switchOver(clients, facts, context),
    follow: async ({ facts }, given) => {
      const database = await readDatabase(clients, given.target);
      const isOver = facts.deployment === '' || database.resourceId === facts.greenResourceId;
      return followMeasured(clients, given, {
        writer: isOver ? undefined : writerOf(database)?.name,
        observe: (context) => observeSwitchover(clients, facts, context),
        act: (context, ready) => switchOver(clients, facts, context, ready),
      });
    },
    undo: async ({ facts }, _context, seen) => {
      if (facts.deployment === '') return { nothing: 'Nothing was switched over.' };
      return isUntouched(seen) ? { nothing: 'No switchover has been begun.' } : { noUndo: noWayBack };
    },
  });
}

async function planSwitchover(clients: Clients, input: Input, context: ActionContext): Promise<PlanOf<SwitchoverFacts>> {
  const { target, expected = [] } = context;
  const { name, timeoutSeconds } = input;
  const object = `Database/${target.name}`;
  const database = await readDatabase(clients, target);
  const deployment = await readBlueGreen(clients, target, name);
  const blueResourceId = database.resourceId;
  const facts: SwitchoverFacts = {
    deployment: '',
    name,
    blueResourceId,
    greenResourceId: blueResourceId,
    engineVersion: database.engineVersion,
    timeoutSeconds,
  };
  const plan = { ...emptyPlan(facts), outputs: { engineVersion: database.engineVersion } };
  const coming = deployment ? undefined : expectedBlueGreen(expected, name);
  if (!deployment && !coming) {
    return { ...plan, notes: [`There is no blue/green deployment ${name}: nothing is switched over.`] };
  }
  if (deployment?.status === switchedOver) return { ...plan, notes: [`${name} has been switched over already.`] };
  const version = coming?.engineVersion ?? '';
  const changed = (after: string) => [
    { object, change: 'switch over', before: `blue: ${database.engineVersion}`, after: `green: ${after}` },
  ];
  const risks = risksOf(object);
  const notes = [measurementNote(await clients.probe(target))];
  const expects = [{ change: 'blue-green-switched' as const, deployment: name }];
  if (!deployment) return { ...plan, outputs: { engineVersion: version }, effects: changed(version), risks, notes, expects, estimateMs };
  const green = await readClone(clients, target, deployment.target);
  const found: SwitchoverFacts = {
    ...{ ...facts, deployment: deployment.id },
    ...{ greenResourceId: green?.resourceId ?? '', engineVersion: green?.engineVersion ?? '' },
  };
  const lines = green ? differencesBetween(database, green) : [];
  return {
    ...{
      ...plan,
      facts: found,
      outputs: { engineVersion: found.engineVersion },
      effects: changed(found.engineVersion),
      risks,
      expects,
      estimateMs,
    },
    blockers: await blockersOf(clients, { object, deployment, database, green }, context),
    notes: [
      ...lines,
      `RDS switches over only if the green cluster has caught up within ${timeoutSeconds} s; else it rolls back by itself.`,
      ...(deployment.statusDetails === '' ? [] : [`RDS says of it: "${deployment.statusDetails}"`]),
      ...notes,
    ],
  };
}

function risksOf(object: string): { object: string; risk: string }[] {
  const writes = 'Writes are refused in both clusters until the green one has caught up and has the name; connections are cut.';
  return [
    { object, risk: writes },
    { object, risk: noWayBack },
  ];
}

async function blockersOf(
  clients: Clients,
  { object, deployment, database, green }: { object: string; deployment: BlueGreen; database: Database; green: Database | undefined },
  { target, run }: ActionContext,
): Promise<Blocker[]> {
  const found: Blocker[] = [];
  const add = (reason: string, remedy: string): void => void found.push({ object, reason, remedy });
  const { name, tasks, status, memberStatuses } = deployment;
  if (run !== '' && deployment.run !== run)
    add(`Blue/green deployment ${name} was not made by this run.`, 'Have it made by a run, or switch it over by hand.');
  if (deployment.source !== target.name)
    add(`Blue/green deployment ${name} is of ${deployment.source}, not of ${target.name}.`, 'Check the name.');
  const open = tasks.filter((task) => task.status !== 'COMPLETED').map((task) => task.name);
  const isReady = ['AVAILABLE', 'SWITCHOVER_FAILED'].includes(status) && memberStatuses.every((each) => each === status);
  if (!isReady || open.length > 0) {
    const what = open.length > 0 ? `, and ${open.join(', ')} is not done` : '';
    add(`Blue/green deployment ${name} is ${status}${what}.`, 'Wait until all of it is AVAILABLE, then plan again.');
  }
  for (const cluster of [database, green]) {
    if (!cluster) add('Its green cluster cannot be found.', 'Find out who has deleted it; delete the deployment and make it anew.');
    else if (!isAtRest(cluster))
      add(`Cluster ${cluster.name} or one of its instances is not available.`, 'Wait until all are, then plan again.');
  }
  const due = await readMaintenance(
    clients,
    target,
    database.instances.map((instance) => instance.name),
  );
  for (const [which, pending] of due) {
    add(`Maintenance of ${which} has its time already: ${pending.join(', ')}.`, 'Let it pass, or move it; then plan again.');
  }
  return found;
}

async function look(
  clients: Clients,
  facts: SwitchoverFacts,
  { target, checkpoint, retry }: ActionContext,
): Promise<{ standing: BlueGreenStanding; memory: Memory }> {
  const [database, deployment] = [await readDatabase(clients, target), await readBlueGreen(clients, target, facts.name)];
  const kept = checkpoint.read() as Memory | undefined;
  const isFailed = deployment?.status === switchoverFailed;
  const { askedAtMs, failedBefore } = kept?.retry === retry ? kept : { askedAtMs: null, failedBefore: isFailed };
  const memory: Memory = { retry, askedAtMs, failedBefore };
  const askedMsAgo = memory.askedAtMs === null ? undefined : Date.now() - memory.askedAtMs;
  return { standing: switchoverStanding(facts, { deployment, database, askedMsAgo, failedBefore }), memory };
}

async function observeSwitchover(clients: Clients, facts: SwitchoverFacts, context: ActionContext): Promise<Observation> {
  const { engineVersion } = facts;
  if (facts.deployment === '')
    return observationOf({ state: 'done', summary: 'nothing is switched over' }, { engineVersion }, 'switchovers');
  const { standing, memory } = await look(clients, facts, context);
  context.checkpoint.write(memory);
  return observationOf(standing, { engineVersion }, 'switchovers');
}

/** That it was asked for is written down first, and is safe when the request goes out. */
async function switchOver(
  clients: Clients,
  facts: SwitchoverFacts,
  context: ActionContext,
  ready: () => Promise<void> = async () => undefined,
): Promise<void> {
  const { target, checkpoint, signal } = context;
  const { memory } = await look(clients, facts, context);
  checkpoint.write({ ...memory, askedAtMs: Date.now() });
  await Promise.all([context.wait(checkpointMs), ready()]);
  try {
    // A second ago it was as planned.
    const [database, deployment] = [await readDatabase(clients, target), await readBlueGreen(clients, target, facts.name)];
    const standing = switchoverStanding(facts, { deployment, database, askedMsAgo: undefined, failedBefore: true });
    if (standing.state === 'stuck') throw stuckError(standing);
    if (standing.state !== 'todo') return;
    signal.throwIfAborted();
  } catch (error) {
    checkpoint.write({ ...memory, askedAtMs: null });
    throw error;
  }
  const { changes } = await clients.rds(target.region);
  const request = { BlueGreenDeploymentIdentifier: facts.deployment, SwitchoverTimeout: facts.timeoutSeconds };
  await changes.switchoverBlueGreenDeployment(request).catch((error: unknown) => {
    if (isRefusal(error)) checkpoint.write({ ...memory, askedAtMs: null });
    throw awsError(error, `SwitchoverBlueGreenDeployment ${facts.name}`, target);
  });
}

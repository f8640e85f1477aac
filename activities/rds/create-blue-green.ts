import type { ActionContext, Undo } from '../../domain/action.ts';
import { creationStanding, type BlueGreenStanding } from '../../domain/database/blue-green.ts';
import { runTag } from '../../domain/database/clone.ts';
import { replacement, writerOf, type Database } from '../../domain/database/database.ts';
import type { Blocker } from '../../domain/plan/plan.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { observationOf } from './observation.ts';
import { readClone, readCluster, readDatabase, readUpgradeTargets } from './read.ts';
import { readBlueGreen, readBlueGreens } from './read-blue-green.ts';

/** A copy of every instance is made, upgraded and fed: hours for a large cluster. */
const estimateMs = 60 * 60_000;

type Input = ActionInput<'rds.createBlueGreen'>;
type Facts = { databaseResourceId: string; name: string; engineVersion: string };

/**
 * `rds.createBlueGreen`: makes a green cluster that follows an Aurora cluster, with another engine version. Its name tells whether RDS has
 * been asked already.
 */
export function createBlueGreenAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['rds.createBlueGreen'],
    plan: (input, context) => planCreation(clients, input, context),
    observe: async ({ facts }, context) => {
      return observationOf(await look(clients, facts, context), { deployment: facts.name }, 'deployments');
    },
    act: ({ facts }, context) => create(clients, facts, context),
    undo: async ({ facts }, context, seen) => undoCreation(clients, facts, context, seen !== undefined && isUntouched(seen)),
  });
}

async function planCreation(clients: Clients, { name, engineVersion }: Input, context: ActionContext): Promise<PlanOf<Facts>> {
  const { target } = context;
  const database = await readDatabase(clients, target);
  const facts: Facts = { databaseResourceId: database.resourceId, name, engineVersion };
  const plan = { ...emptyPlan(facts), outputs: { deployment: name } };
  const deployments = await readBlueGreens(clients, target);
  const own = deployments.find((one) => one.name === name);
  if (!own && database.engineVersion === engineVersion) {
    return { ...plan, notes: [`${target.name} has ${engineVersion} already: no green cluster is made.`] };
  }
  const standing = await look(clients, facts, context);
  const made = [{ change: 'blue-green' as const, deployment: name, engineVersion }];
  if (standing.state === 'done') return { ...plan, notes: [`Blue/green deployment ${name} of this run is there already.`], expects: made };
  const object = `Database/${target.name}`;
  const others = deployments.filter((one) => one.name !== name && [one.source, one.target].includes(target.name));
  return {
    ...plan,
    effects: [{ object, change: 'make a green cluster', before: database.engineVersion, after: `${name}, with ${engineVersion}` }],
    blockers: [
      ...(standing.state === 'stuck' ? [{ object, reason: standing.reason, remedy: standing.remedy }] : []),
      ...others.map((one) => ({
        object,
        reason: `It is part of the blue/green deployment ${one.name} already.`,
        remedy: 'Finish that one, or delete it if nobody needs it; then plan again.',
      })),
      ...stateBlockers(object, database),
      ...(await versionBlockers(clients, object, database, engineVersion, context)),
    ],
    notes: [
      `Each of its ${database.instances.length} instances gets a green one, which costs as much as it does until it is deleted.`,
      'RDS refuses a cluster without logical replication (PostgreSQL) or a binary log (MySQL) in its parameter group.',
    ],
    expects: made,
    estimateMs,
    undoEstimateMs: 10 * 60_000,
  };
}

function stateBlockers(object: string, database: Database): Blocker[] {
  const writer = writerOf(database);
  const found: Blocker[] = [];
  if (database.status !== 'available') {
    found.push({
      object,
      reason: `Its status is ${database.status}, not available.`,
      remedy: 'Wait until it is available, then plan again.',
    });
  }
  if (writer?.parameterGroupStatus !== 'in-sync') {
    const reason = `The parameter group of its writer is ${writer?.parameterGroupStatus ?? 'not known'}: RDS makes no green cluster of it.`;
    found.push({ object, reason, remedy: 'Restart the writer (or fail over), so that it runs with its parameters; then plan again.' });
  }
  return found;
}

async function versionBlockers(
  clients: Clients,
  object: string,
  database: Database,
  engineVersion: string,
  { target }: ActionContext,
): Promise<Blocker[]> {
  if (engineVersion === database.engineVersion) return [];
  const versions = (await readUpgradeTargets(clients, target, database)).map(({ version }) => version);
  if (versions.includes(engineVersion)) return [];
  const remedy = versions.length === 0 ? 'RDS names no newer version of it.' : `Choose one of ${versions.join(', ')}.`;
  return [{ object, reason: `RDS does not upgrade ${database.engine} ${database.engineVersion} to ${engineVersion}.`, remedy }];
}

async function look(clients: Clients, { name }: Facts, { target, run }: ActionContext): Promise<BlueGreenStanding> {
  const deployment = await readBlueGreen(clients, target, name);
  const green = deployment && deployment.target !== '' ? await readClone(clients, target, deployment.target) : undefined;
  return creationStanding(run, name, deployment, green);
}

async function create(clients: Clients, facts: Facts, context: ActionContext): Promise<void> {
  const { target, run, signal } = context;
  const standing = await look(clients, facts, context);
  if (standing.state === 'stuck') throw stuckError(standing);
  if (standing.state !== 'todo') return;
  const other = replacement(await readDatabase(clients, target), facts.databaseResourceId);
  if (other) throw stuckError({ state: 'stuck', ...other });
  const { DBClusterArn: Source } = await readCluster(clients, target);
  const { changes } = await clients.rds(target.region);
  signal.throwIfAborted();
  const Tags = [{ Key: runTag, Value: run }];
  await changes
    .createBlueGreenDeployment({ BlueGreenDeploymentName: facts.name, Source, TargetEngineVersion: facts.engineVersion, Tags })
    .catch((error: unknown) => {
      // Whose it is, the next look says.
      if (error instanceof Error && error.name === 'BlueGreenDeploymentAlreadyExistsFault') return;
      throw awsError(error, `CreateBlueGreenDeployment ${facts.name}`, target);
    });
}

async function undoCreation(clients: Clients, { name }: Facts, { target, run }: ActionContext, untouched: boolean): Promise<Undo> {
  const deployment = await readBlueGreen(clients, target, name);
  if (untouched && !deployment) return { nothing: 'No green cluster has been made.' };
  if (deployment?.run !== run) return { nothing: `There is no blue/green deployment ${name} of this run.` };
  return [{ uses: 'rds.deleteBlueGreen', with: { name } }];
}

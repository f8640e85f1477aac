import type { ActionContext, Observation, Undo } from '../../domain/action.ts';
import { cloneStanding, cloneTag, isCloneOf, runTag, type CloneStanding } from '../../domain/database/clone.ts';
import { replacement, writerOf } from '../../domain/database/database.ts';
import type { Blocker } from '../../domain/plan/plan.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { observationOf } from './observation.ts';
import { readClone, readCluster, readDatabase } from './read.ts';

const estimateMs = 12 * 60_000;

type Input = ActionInput<'rds.clone'>;
type Facts = { databaseResourceId: string; name: string; engine: string; instanceClass: string };

/**
 * `rds.clone`: makes a clone of an Aurora cluster with one instance, for a restore drill. Names tell whether RDS has been asked already:
 * what is there with the tags of this run is this run's.
 */
export function cloneAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['rds.clone'],
    plan: (input, context) => planClone(clients, input, context),
    observe: async ({ facts }, context) => observationOfClone(facts, await look(clients, facts, context)),
    act: ({ facts }, context) => makeClone(clients, facts, context),
    undo: ({ facts }, context, seen) => undoClone(clients, facts, context, seen),
  });
}

async function planClone(clients: Clients, input: Input, context: ActionContext): Promise<PlanOf<Facts>> {
  const { target } = context;
  const database = await readDatabase(clients, target);
  const { name } = input;
  const instanceClass = input.instanceClass ?? writerOf(database)?.instanceClass ?? '';
  const facts: Facts = { databaseResourceId: database.resourceId, name, engine: database.engine, instanceClass };
  const plan = { ...emptyPlan(facts), outputs: { clone: name, instance: instanceOfClone(name) } };
  const standing = await look(clients, facts, context);
  if (standing.state === 'done') return { ...plan, notes: [`Clone ${name} of this run is there already.`] };
  const object = `Database/${name}`;
  const blockers: Blocker[] = [];
  if (standing.state === 'stuck') blockers.push({ object, reason: standing.reason, remedy: standing.remedy });
  if (database.status !== 'available') {
    const reason = `The status of ${target.name} is ${database.status}, not available.`;
    blockers.push({ object, reason, remedy: 'Wait until it is available, then plan again.' });
  }
  return {
    ...plan,
    effects: [{ object, change: `clone ${target.name}`, before: 'not there', after: `${name} with one ${instanceClass}` }],
    blockers,
    notes: [
      'It shares the pages of its source, and costs what is changed in either, and its instance, until it is deleted.',
      'It has the users, passwords, subnets and security groups of its source: whoever reaches the one reaches the other.',
    ],
    estimateMs,
    undoEstimateMs: estimateMs,
  };
}

async function look(clients: Clients, { databaseResourceId, name }: Facts, { target, run }: ActionContext): Promise<CloneStanding> {
  return cloneStanding({ name, run, databaseResourceId }, await readClone(clients, target, name));
}

function observationOfClone({ name }: Facts, standing: CloneStanding): Observation {
  const isOpen = standing.state === 'todo' || standing.state === 'moving';
  const told = isOpen ? { ...standing, begun: standing.state === 'moving' || standing.next === 'instance' } : standing;
  return observationOf(told, { clone: name, instance: instanceOfClone(name) }, 'clones');
}

function instanceOfClone(name: string): string {
  return `${name}-1`;
}

async function makeClone(clients: Clients, facts: Facts, context: ActionContext): Promise<void> {
  const { target, run, signal } = context;
  const standing = await look(clients, facts, context);
  if (standing.state === 'stuck') throw stuckError(standing);
  if (standing.state !== 'todo') return;
  const other = replacement(await readDatabase(clients, target), facts.databaseResourceId);
  if (other) throw stuckError({ state: 'stuck', ...other });
  const { changes } = await clients.rds(target.region);
  const Tags = [
    { Key: runTag, Value: run },
    { Key: cloneTag, Value: facts.databaseResourceId },
  ];
  signal.throwIfAborted();
  if (standing.next === 'instance') {
    const { name, engine, instanceClass } = facts;
    const names = { DBInstanceIdentifier: instanceOfClone(name), DBClusterIdentifier: name };
    await changes
      .createDBInstance({ ...names, Engine: engine, DBInstanceClass: instanceClass, Tags })
      .catch(unlessThere(`CreateDBInstance ${names.DBInstanceIdentifier}`, 'DBInstanceAlreadyExistsFault', target));
    return;
  }
  const source = await readCluster(clients, target);
  await changes
    .restoreDBClusterToPointInTime({
      ...{ SourceDBClusterIdentifier: target.name, DBClusterIdentifier: facts.name },
      ...{ RestoreType: 'copy-on-write', UseLatestRestorableTime: true, DeletionProtection: false, Tags },
      // What is left out is that of the account, not that of the source.
      DBSubnetGroupName: source.DBSubnetGroup,
      DBClusterParameterGroupName: source.DBClusterParameterGroup,
      VpcSecurityGroupIds: source.VpcSecurityGroups?.flatMap(({ VpcSecurityGroupId: id }) => id ?? []),
    })
    .catch(unlessThere(`RestoreDBClusterToPointInTime ${facts.name}`, 'DBClusterAlreadyExistsFault', target));
}

/** That it is there already is seen by the next look, with whose it is. */
function unlessThere(call: string, fault: string, target: ActionContext['target']): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof Error && error.name === fault)) throw awsError(error, call, target);
  };
}

async function undoClone(clients: Clients, facts: Facts, { target, run }: ActionContext, seen?: Observation): Promise<Undo> {
  if (isUntouched(seen)) return { nothing: 'No clone has been made.' };
  const clone = await readClone(clients, target, facts.name);
  if (!clone || !isCloneOf(clone, facts.databaseResourceId) || clone.tags.get(runTag) !== run) {
    return { nothing: `There is no clone ${facts.name} of this run.` };
  }
  return [{ uses: 'rds.deleteClone', with: { name: facts.name } }];
}

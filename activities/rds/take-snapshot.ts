import type { ActionContext, Observation } from '../../domain/action.ts';
import { runTag } from '../../domain/database/clone.ts';
import { replacement } from '../../domain/database/database.ts';
import { digestOf } from '../../domain/plan/plan.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, stuckError, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { readDatabase, readSnapshot } from './read.ts';

const estimateMs = 10 * 60_000;
/** A name has 63 characters at most, and begins with that of the cluster. */
const clusterPartMax = 40;
const digestPartLength = 12;
/** Snapshots of earlier tries count; of more than these nobody asks. */
const earlierTriesMax = 10;

type Input = ActionInput<'rds.takeSnapshot'>;
type Facts = { databaseResourceId: string };

/**
 * `rds.takeSnapshot`: takes a snapshot of an Aurora cluster. Its name is made of run, step and try: however often RDS is asked, there is
 * one.
 */
export function takeSnapshotAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['rds.takeSnapshot'],
    plan: (_input, context) => planSnapshot(clients, context),
    observe: ({ facts }, context) => observeSnapshot(clients, facts, context),
    act: ({ facts }, context) => takeSnapshot(clients, facts, context),
    undo: async () => ({ nothing: 'A snapshot that was taken stays: nothing uses it, and it may be needed.' }),
  });
}

async function planSnapshot(clients: Clients, context: ActionContext): Promise<PlanOf<Facts>> {
  const { target, retry } = context;
  const database = await readDatabase(clients, target);
  const object = `Database/${target.name}`;
  const plan = emptyPlan({ databaseResourceId: database.resourceId });
  const own = await readSnapshot(clients, target, nameOf(context, retry));
  if (own?.status === 'available') return { ...plan, notes: [`Snapshot ${nameOf(context, retry)} of this step is there already.`] };
  const reason = `Its status is ${database.status}, not available.`;
  return {
    ...plan,
    effects: [{ object, change: 'take a snapshot', before: 'none of this run', after: `named ${prefixOf(target.name)}-…` }],
    blockers: database.status === 'available' ? [] : [{ object, reason, remedy: 'Wait until it is available, then plan again.' }],
    notes: ['The snapshot stays until somebody deletes it, and costs what it holds.'],
    estimateMs,
  };
}

async function observeSnapshot(clients: Clients, facts: Facts, context: ActionContext): Promise<Observation> {
  const { target, retry } = context;
  for (let attempt = retry; attempt >= Math.max(0, retry - earlierTriesMax); attempt -= 1) {
    const name = nameOf(context, attempt);
    const found = await readSnapshot(clients, target, name);
    if (!found) continue;
    if (found.databaseResourceId !== facts.databaseResourceId) {
      const reason = `Snapshot ${name} is of another cluster of the name ${target.name}.`;
      return { state: 'stuck', reason, remedy: 'Find out who has replaced the cluster; abort the run and plan again.' };
    }
    const { status, percent, createdAt } = found;
    const summary = `snapshot ${name} is ${status}, ${percent} %`;
    const progress = { summary, done: percent, total: 100, unit: 'percent', items: [] };
    if (status === 'available') return { state: 'done', outputs: { snapshot: name, createdAt }, progress };
    if (status !== 'failed') return { state: 'moving', progress };
    if (attempt === retry) {
      const remedy = `Find out why (events of the cluster), delete ${name}, and try again (\`holdpoint retry\`).`;
      return { state: 'stuck', reason: `RDS could not take the snapshot ${name}: it is failed.`, remedy };
    }
  }
  const progress = { summary: 'no snapshot of this step yet', done: 0, total: 100, unit: 'percent', items: [] };
  return { state: 'todo', progress, untouched: true };
}

async function takeSnapshot(clients: Clients, facts: Facts, context: ActionContext): Promise<void> {
  const { target, run, retry, signal } = context;
  const database = await readDatabase(clients, target);
  const other = replacement(database, facts.databaseResourceId);
  if (other) throw stuckError({ state: 'stuck', ...other });
  signal.throwIfAborted();
  const name = nameOf(context, retry);
  const { changes } = await clients.rds(target.region);
  const Tags = [{ Key: runTag, Value: run }];
  await changes
    .createDBClusterSnapshot({ DBClusterIdentifier: target.name, DBClusterSnapshotIdentifier: name, Tags })
    .catch((error: unknown) => {
      // The name is of this try alone: it is the one that was asked for before.
      if (error instanceof Error && error.name === 'DBClusterSnapshotAlreadyExistsFault') return;
      throw awsError(error, `CreateDBClusterSnapshot ${name}`, target);
    });
}

function prefixOf(cluster: string): string {
  return `${cluster.slice(0, clusterPartMax).replace(/-$/, '')}-holdpoint`;
}

/** The same for every attempt of one try of a step. */
function nameOf({ target, run, step }: ActionContext, retry: number): string {
  const digest = digestOf({ run, step, retry }).slice('sha256:'.length);
  return `${prefixOf(target.name)}-${digest.slice(0, digestPartLength)}`;
}

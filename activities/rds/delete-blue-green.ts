import type { ActionContext } from '../../domain/action.ts';
import {
  deletionStanding,
  switchedOver,
  type BlueGreen,
  type BlueGreenDeletionFacts,
  type DeletionStanding,
} from '../../domain/database/blue-green.ts';
import type { CloneSeen } from '../../domain/database/clone.ts';
import { expectedBlueGreen } from '../../domain/plan/expected.ts';
import { digestOf, type Blocker } from '../../domain/plan/plan.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { observationOf } from './observation.ts';
import { readClone, readDatabase } from './read.ts';
import { readBlueGreen } from './read-blue-green.ts';

const estimateMs = 15 * 60_000;
const clusterPartMax = 35;
const digestPartLength = 12;
/** Aurora user guide, "Switching a blue/green deployment": the former cluster is renamed so. */
const oldName = /-old\d+$/;

type Input = ActionInput<'rds.deleteBlueGreen'>;
type Facts = BlueGreenDeletionFacts;

/**
 * `rds.deleteBlueGreen`: deletes a blue/green deployment that Holdpoint has made, and the cluster that is not needed any more: before a
 * switchover the green one, after it the old one, of which a final snapshot stays.
 */
export function deleteBlueGreenAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['rds.deleteBlueGreen'],
    plan: (input, context) => planDeletion(clients, input, context),
    observe: async ({ facts }, context) => {
      return observationOf((await look(clients, facts, context)).standing, outputsOf(facts), 'deployments');
    },
    act: ({ facts }, context) => deleteNext(clients, facts, context),
    undo: async ({ facts }, _context, seen) => {
      if (facts.deployment === null) return { nothing: `There was no blue/green deployment ${facts.name}.` };
      return isUntouched(seen) ? { nothing: 'Nothing has been deleted.' } : { noUndo: `Deployment ${facts.name} is gone, or going.` };
    },
  });
}

function outputsOf({ finalSnapshot }: Facts): { finalSnapshot: string } {
  return { finalSnapshot: finalSnapshot ?? '' };
}

async function planDeletion(clients: Clients, { name }: Input, context: ActionContext): Promise<PlanOf<Facts>> {
  const { target, run, step, expected = [] } = context;
  const deployment = await readBlueGreen(clients, target, name);
  const none: Facts = { deployment: null, name, doomed: null, kind: 'old', finalSnapshot: null };
  const object = `Database/${target.name}`;
  if (!deployment) {
    const plan = { ...emptyPlan(none), outputs: outputsOf(none) };
    if (!expectedBlueGreen(expected, name)) return { ...plan, notes: [`There is no blue/green deployment ${name}: nothing is deleted.`] };
    const effects = [{ object, change: 'delete', before: 'the old cluster', after: 'gone, with a final snapshot' }];
    return { ...plan, effects, estimateMs };
  }
  const kind = deployment.status === switchedOver || isExpectedSwitched(expected, name) ? 'old' : 'green';
  const isOld = kind === 'old';
  const which = isOld ? oldClusterOf(deployment, target.name) : deployment.target;
  const doomed = which === '' ? undefined : await readClone(clients, target, which);
  const digest = digestOf({ run, step, name }).slice('sha256:'.length, 'sha256:'.length + digestPartLength);
  const finalSnapshot = isOld ? `${target.name.slice(0, clusterPartMax).replace(/-$/, '')}-final-${digest}` : null;
  const facts: Facts = {
    ...{ deployment: deployment.id, name, kind, finalSnapshot },
    doomed: doomed ? { name: doomed.name, resourceId: doomed.resourceId } : null,
  };
  const gone = doomed ? `${doomed.name} with ${doomed.instances.map((instance) => instance.name).join(', ')}` : 'no cluster';
  const after = finalSnapshot === null ? 'gone' : `gone; snapshot ${target.name}-final-…`;
  const lost = isOld
    ? 'The old cluster is gone after that: what it has is in its final snapshot only.'
    : 'The green cluster is gone after that, with what was written to it.';
  return {
    ...emptyPlan(facts),
    outputs: outputsOf(facts),
    effects: [{ object, change: 'delete', before: gone, after }],
    blockers: await blockersOf(clients, { object, deployment, doomed, kind }, context),
    risks: [{ object, risk: lost }],
    estimateMs,
  };
}

function isExpectedSwitched(expected: NonNullable<ActionContext['expected']>, name: string): boolean {
  return expected.some((one) => one.change === 'blue-green-switched' && one.deployment === name);
}

function oldClusterOf({ source, target: other }: BlueGreen, target: string): string {
  return [source, other, `${target}-old1`].find((one) => one !== target && oldName.test(one)) ?? '';
}

async function blockersOf(
  clients: Clients,
  { object, deployment, doomed, kind }: { object: string; deployment: BlueGreen; doomed: CloneSeen | undefined; kind: 'green' | 'old' },
  { target }: ActionContext,
): Promise<Blocker[]> {
  const found: Blocker[] = [];
  const add = (reason: string, remedy: string): void => void found.push({ object, reason, remedy });
  if (![deployment.source, deployment.target].includes(target.name)) {
    add(`Blue/green deployment ${deployment.name} has nothing to do with ${target.name}.`, 'Check the name.');
  }
  if (deployment.run === undefined) {
    add(
      `Blue/green deployment ${deployment.name} was not made by Holdpoint: it lacks the tag that says so.`,
      'Delete it by hand, if it is to go.',
    );
  }
  const serving = await readDatabase(clients, target);
  if (doomed?.resourceId === serving.resourceId)
    add(`${doomed.name} is the cluster that serves.`, 'Abort the run, and find out how that came.');
  if (doomed?.isProtected === true) {
    const which = kind === 'old' ? 'old' : 'green';
    add(
      `The ${which} cluster ${doomed.name} has deletion protection.`,
      'Take the protection away by hand when nobody needs it; then plan again.',
    );
  }
  return found;
}

async function look(
  clients: Clients,
  facts: Facts,
  { target }: ActionContext,
): Promise<{ standing: DeletionStanding; doomed: CloneSeen | undefined }> {
  const deployment = await readBlueGreen(clients, target, facts.name);
  const doomed = facts.doomed ? await readClone(clients, target, facts.doomed.name) : undefined;
  return { standing: deletionStanding(facts, { deployment, doomed }), doomed };
}

async function deleteNext(clients: Clients, facts: Facts, context: ActionContext): Promise<void> {
  const { target, signal } = context;
  const { standing, doomed } = await look(clients, facts, context);
  if (standing.state === 'stuck') throw stuckError(standing);
  if (standing.state !== 'todo') return;
  signal.throwIfAborted();
  const { changes } = await clients.rds(target.region);
  const failed = (call: string) => (error: unknown) => Promise.reject(awsError(error, call, target));
  if (standing.next === 'deployment') {
    const request = { BlueGreenDeploymentIdentifier: facts.deployment ?? '', ...(facts.kind === 'green' && { DeleteTarget: true }) };
    await changes.deleteBlueGreenDeployment(request).catch(failed(`DeleteBlueGreenDeployment ${facts.name}`));
    return;
  }
  if (!doomed) return;
  if (standing.next === 'instances') {
    for (const { name: DBInstanceIdentifier, status } of doomed.instances) {
      if (status === 'deleting') continue;
      signal.throwIfAborted();
      await changes.deleteDBInstance({ DBInstanceIdentifier }).catch(failed(`DeleteDBInstance ${DBInstanceIdentifier}`));
    }
    return;
  }
  const request = { DBClusterIdentifier: doomed.name, FinalDBSnapshotIdentifier: facts.finalSnapshot ?? undefined };
  await changes.deleteDBCluster(request).catch(failed(`DeleteDBCluster ${doomed.name}`));
}

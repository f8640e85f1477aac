import type { ActionContext, Observation, Undo } from '../../domain/action.ts';
import { instanceOf, writerOf, type Database, type DatabaseInstance } from '../../domain/database/database.ts';
import { classSetting, instanceClassStanding, otherReaders, type InstanceClassFacts } from '../../domain/database/instance-class.ts';
import { isOfferedIn, notOffered } from '../../domain/database/offered-class.ts';
import { expectedWriter } from '../../domain/plan/expected.ts';
import type { Blocker, Risk } from '../../domain/plan/plan.ts';
import type { Target } from '../../domain/target.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { noInstance, observationOf } from './observation.ts';
import { readDatabase, readOfferedClasses } from './read.ts';

/** RDS user guide, "Modifying a DB instance": the instance restarts on another machine, which takes some minutes. */
const estimateMs = 8 * 60_000;

type Input = ActionInput<'rds.modifyInstance'>;

/** `rds.modifyInstance`: gives a reader of an Aurora cluster another class, at once. A writer is never changed. */
export function modifyInstanceAction(clients: Clients): AnyAction {
  return defineAction<Input, InstanceClassFacts>({
    declaration: actions['rds.modifyInstance'],
    plan: (input, context) => planChange(clients, input, context),
    observe: ({ facts }, context) => observeChange(clients, facts, context),
    act: ({ facts }, context) => change(clients, facts, context),
    undo: ({ facts }, context, seen) => undoChange(clients, facts, context, seen),
  });
}

async function planChange(clients: Clients, input: Input, context: ActionContext): Promise<PlanOf<InstanceClassFacts>> {
  const { target, expected = [] } = context;
  const database = await readDatabase(clients, target);
  const object = `DatabaseInstance/${input.instance}`;
  const instance = instanceOf(database, input.instance);
  const { instanceClass: to, otherReadersMin, waitForChange } = input;
  const from = waitForChange ? null : (instance?.instanceClass ?? '');
  const identity = { name: input.instance, resourceId: instance?.resourceId ?? '' };
  const facts: InstanceClassFacts = { databaseResourceId: database.resourceId, instance: identity, from, to, otherReadersMin };
  const plan = { ...emptyPlan(facts), outputs: { instance: input.instance, instanceClass: to } };
  if (!instance) return { ...plan, blockers: [noInstance(input.instance, target.name)] };
  if (instanceClassStanding(facts, database).state === 'done') return { ...plan, notes: [`${instance.name} is ${to} already.`] };
  const writer = expectedWriter(expected) ?? writerOf(database)?.name;
  return {
    ...plan,
    effects: [{ object, change: 'change its class', before: waitForChange ? 'being changed' : instance.instanceClass, after: to }],
    blockers: [
      ...blockersOf(object, instance, { database, writer }, input),
      ...(await offerBlockers(clients, context.target, { object, instance, engine: database.engine }, to)),
    ],
    risks: risksOf(object, instance, database),
    estimateMs,
    undoEstimateMs: estimateMs,
  };
}

/** `writer` is the one that earlier steps will have left. */
function blockersOf(
  object: string,
  instance: DatabaseInstance,
  { database, writer }: { database: Database; writer: string | undefined },
  { otherReadersMin, waitForChange }: Input,
): Blocker[] {
  const blockers: Blocker[] = [];
  const add = (reason: string, remedy: string): void => void blockers.push({ object, reason, remedy });
  if (writer === undefined) add('RDS names no single writer of the cluster.', 'Wait until it has one, then plan again.');
  if (instance.name === writer) {
    const remedy = 'Change the readers, fail over to one of them (`rds.failover`), and change this one then.';
    add('It is the writer: while its class is changed, writes are refused for minutes.', remedy);
  }
  if (waitForChange) return blockers;
  if (instance.status !== 'available' && !isBeingFailedOver(instance, writer)) {
    add(`Its status is ${instance.status}, not available.`, 'Wait until it is available, then plan again.');
  }
  if (instance.pendingChanges.length > 0) {
    const names = instance.pendingChanges.join(', ');
    const others = instance.pendingChanges.some((setting) => setting !== classSetting);
    const reason = `Changes of it wait for its maintenance window: ${names}. A change at once applies ${others ? 'all of them' : 'that'}.`;
    add(reason, 'Have them applied or taken back first, then plan again.');
  }
  const readers = database.instances.filter(({ name }) => name !== instance.name && name !== writer);
  const left = readers.filter(({ status, isWriter }) => status === 'available' || isWriter).length;
  if (left < otherReadersMin) {
    const reason = `${left} other readers are available while it is changed; at least ${otherReadersMin} are asked for.`;
    add(reason, 'Add a reader or wait for one, or have people sign for fewer (`otherReadersMin`).');
  }
  return blockers;
}

/** RDS would refuse the request in the middle of the runbook, with other instances changed already. */
async function offerBlockers(
  clients: Clients,
  target: Target,
  { object, instance, engine }: { object: string; instance: DatabaseInstance; engine: string },
  instanceClass: string,
): Promise<Blocker[]> {
  const { zone, engineVersion } = instance;
  const offered = await readOfferedClasses(clients, target, { engine, engineVersion, instanceClass });
  if (isOfferedIn(offered, instanceClass, zone)) return [];
  const all = await readOfferedClasses(clients, target, { engine, engineVersion });
  return [{ object, ...notOffered({ instanceClass, zone, engine, engineVersion }, all) }];
}

/** A writer that an earlier step fails over from is available now; the other way round it is not planned. */
function isBeingFailedOver({ isWriter, name }: DatabaseInstance, writer: string | undefined): boolean {
  return isWriter && name !== writer;
}

function risksOf(object: string, { name }: DatabaseInstance, database: Database): Risk[] {
  const cut = 'Connections to it are cut, and it takes no reads for some minutes; its cache is empty after that.';
  const none = 'No other reader takes reads meanwhile: the reader endpoint leads to the writer.';
  return [{ object, risk: cut }, ...(otherReaders(database, name).length === 0 ? [{ object, risk: none }] : [])];
}

async function observeChange(clients: Clients, facts: InstanceClassFacts, { target }: ActionContext): Promise<Observation> {
  const outputs = { instance: facts.instance.name, instanceClass: facts.to };
  return observationOf(instanceClassStanding(facts, await readDatabase(clients, target)), outputs, 'instances');
}

/** A request that is sent twice asks for the same class twice, which RDS answers by doing nothing. */
async function change(clients: Clients, facts: InstanceClassFacts, { target, signal }: ActionContext): Promise<void> {
  const { name } = facts.instance;
  const { changes } = await clients.rds(target.region);
  const standing = instanceClassStanding(facts, await readDatabase(clients, target));
  if (standing.state === 'stuck') throw stuckError(standing);
  if (standing.state !== 'todo') return;
  signal.throwIfAborted();
  await changes
    .modifyDBInstance({ DBInstanceIdentifier: name, DBInstanceClass: facts.to, ApplyImmediately: true })
    .catch((error: unknown) => Promise.reject(awsError(error, `ModifyDBInstance of ${name}`, target)));
}

async function undoChange(clients: Clients, facts: InstanceClassFacts, { target }: ActionContext, seen?: Observation): Promise<Undo> {
  const { instance, from, to, otherReadersMin } = facts;
  if (from === null) return { noUndo: `The class of ${instance.name} before that is not known.` };
  if (from === to) return { nothing: `${instance.name} was ${to} before.` };
  if (isUntouched(seen)) return { nothing: `No change of ${instance.name} has been begun.` };
  const present = instanceOf(await readDatabase(clients, target), instance.name);
  if (present?.resourceId !== instance.resourceId) return { noUndo: `${instance.name} is no instance of the cluster any more.` };
  const isAtRest = present.status === 'available' && !present.pendingChanges.includes(classSetting);
  if (isAtRest && present.instanceClass !== from && present.instanceClass !== to) {
    return { nothing: `${instance.name} is ${present.instanceClass} by now, which somebody else has asked for.` };
  }
  const waitForChange = !isAtRest || seen !== undefined;
  return [{ uses: 'rds.modifyInstance', with: { instance: instance.name, instanceClass: from, otherReadersMin, waitForChange } }];
}

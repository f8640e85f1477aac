import type { ActionContext, Observation, Undo } from '../../domain/action.ts';
import { certificateStanding, type CertificateFacts } from '../../domain/database/certificate.ts';
import { instanceOf, type DatabaseInstance } from '../../domain/database/database.ts';
import type { Blocker, Risk } from '../../domain/plan/plan.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { noInstance, observationOf } from './observation.ts';
import { readCertificateAuthorities, readDatabase, rotatesWithoutRestart } from './read.ts';

const estimateMs = 2 * 60_000;

type Input = ActionInput<'rds.rotateCertificate'>;

/** `rds.rotateCertificate`: gives an instance of an Aurora cluster a certificate of another authority of RDS, at once. */
export function rotateCertificateAction(clients: Clients): AnyAction {
  return defineAction<Input, CertificateFacts>({
    declaration: actions['rds.rotateCertificate'],
    plan: (input, context) => planRotation(clients, input, context),
    observe: async ({ facts }, { target }) => {
      const outputs = { instance: facts.instance.name, certificateAuthority: facts.to };
      return observationOf(certificateStanding(facts, await readDatabase(clients, target)), outputs, 'instances');
    },
    act: ({ facts }, context) => rotate(clients, facts, context),
    undo: ({ facts }, context, seen) => undoRotation(clients, facts, context, seen),
  });
}

async function planRotation(clients: Clients, input: Input, { target }: ActionContext): Promise<PlanOf<CertificateFacts>> {
  const { instance: name, certificateAuthority: to } = input;
  const database = await readDatabase(clients, target);
  const instance = instanceOf(database, name);
  const object = `DatabaseInstance/${name}`;
  const restarts = !(await rotatesWithoutRestart(clients, target, database));
  const identity = { name, resourceId: instance?.resourceId ?? '' };
  const facts = { databaseResourceId: database.resourceId, instance: identity, from: instance?.certificateAuthority ?? '', to, restarts };
  const plan = { ...emptyPlan<CertificateFacts>(facts), outputs: { instance: name, certificateAuthority: to } };
  if (!instance) return { ...plan, blockers: [noInstance(name, target.name)] };
  if (certificateStanding(facts, database).state === 'done') return { ...plan, notes: [`${name} has a certificate of ${to} already.`] };
  const authorities = await readCertificateAuthorities(clients, target);
  const wanted = authorities.find((one) => one.name === to);
  return {
    ...plan,
    effects: [{ object, change: 'change its certificate authority', before: instance.certificateAuthority, after: to }],
    blockers: [
      ...blockersOf(object, instance, restarts),
      ...(wanted ? [] : [{ object, reason: `RDS has no ${to} in ${target.region}.`, remedy: choiceOf(authorities) }]),
    ],
    risks: risksOf(object, to, restarts),
    notes: wanted ? [`${to} is valid until ${wanted.validTill}.`] : [],
    estimateMs,
    undoEstimateMs: estimateMs,
  };
}

function choiceOf(authorities: readonly { name: string }[]): string {
  return `Choose one of ${authorities.map(({ name }) => name).join(', ')}.`;
}

function blockersOf(object: string, instance: DatabaseInstance, restarts: boolean): Blocker[] {
  const found: Blocker[] = [];
  const add = (reason: string, remedy: string): void => void found.push({ object, reason, remedy });
  if (instance.status !== 'available') add(`Its status is ${instance.status}, not available.`, 'Wait until it is, then plan again.');
  if (instance.pendingChanges.length > 0) {
    const names = instance.pendingChanges.join(', ');
    const reason = `Changes of it wait for its maintenance window: ${names}. A change at once applies all of them.`;
    add(reason, 'Have them applied or taken back first, then plan again.');
  }
  if (restarts && instance.isWriter) {
    const reason = 'It is the writer, and its engine version must restart for another certificate: writes would be refused.';
    add(reason, 'Change the readers, fail over to one of them (`rds.failover`), and change this one then.');
  }
  return found;
}

function risksOf(object: string, to: string, restarts: boolean): Risk[] {
  const trust = `Clients that verify its certificate and do not trust ${to} can make no new connection to it.`;
  const restart = 'It restarts: its connections are cut, and it takes no reads for some seconds.';
  return [{ object, risk: trust }, ...(restarts ? [{ object, risk: restart }] : [])];
}

/** A request that is sent twice asks for the same authority twice, which RDS answers by doing nothing. */
async function rotate(clients: Clients, facts: CertificateFacts, { target, signal }: ActionContext): Promise<void> {
  const standing = certificateStanding(facts, await readDatabase(clients, target));
  if (standing.state === 'stuck') throw stuckError(standing);
  if (standing.state !== 'todo') return;
  signal.throwIfAborted();
  const { name } = facts.instance;
  const { changes } = await clients.rds(target.region);
  const wanted = { CACertificateIdentifier: facts.to, CertificateRotationRestart: facts.restarts, ApplyImmediately: true };
  await changes
    .modifyDBInstance({ DBInstanceIdentifier: name, ...wanted })
    .catch((error: unknown) => Promise.reject(awsError(error, `ModifyDBInstance of ${name}`, target)));
}

async function undoRotation(clients: Clients, facts: CertificateFacts, { target }: ActionContext, seen?: Observation): Promise<Undo> {
  const { instance, from, to } = facts;
  if (from === to) return { nothing: `${instance.name} had a certificate of ${to} before.` };
  if (isUntouched(seen)) return { nothing: `No change of ${instance.name} has been begun.` };
  const present = instanceOf(await readDatabase(clients, target), instance.name);
  if (present?.resourceId !== instance.resourceId) return { noUndo: `${instance.name} is no instance of the cluster any more.` };
  return [{ uses: 'rds.rotateCertificate', with: { instance: instance.name, certificateAuthority: from } }];
}

import { ActivateCertificateAuthorityCommand, type EKSClient } from '@aws-sdk/client-eks';
import type { ActionContext, Observation, Undo } from '../../../domain/action.ts';
import { activationProblem, datesOf, rollbackProblem, signerOf, successorOf } from '../../../domain/certificate-authority/rotation.ts';
import type { Blocker } from '../../../domain/plan/plan.ts';
import { firstNames } from '../../../domain/text.ts';
import type { Target } from '../../../domain/target.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { clusterBlockers, clusterFacts, readCluster, replacedCluster, type ClusterFacts } from '../cluster.ts';
import { readUpdates, updateInProgress } from '../update/read-updates.ts';
import {
  askForAuthorityUpdate,
  blockerOf,
  inFlightBlocker,
  objectOf,
  observeUpdateInProgress,
  observeUpdateToAsk,
  progressOf,
  readAuthorities,
  type TokenRequest,
} from './authorities.ts';
import { findingsOfNodes, notesOfUnread, readTrusting, risksOfBundles, type Trusting } from './trusting.ts';

const estimateMs = 5 * 60_000;
/** For how long nodes and APIs may be unwell after the change: a node that has lost the cluster is told after 40 s, and may come back. */
const unwellMaxMs = 10 * 60_000;

type Input = ActionInput<'eks.activateCertificateAuthority'>;
type Facts = ClusterFacts & {
  from: string;
  /** The one that is to sign; equal to `from` where nothing is to be done. */
  to: string;
  /** Whether nodes and APIs have to be well before and after. What is rolled back may be what has made them unwell. */
  judgesHealth: boolean;
  waitForUpdate: boolean;
};

/** `eks.activateCertificateAuthority`: another certificate authority signs, the successor or, for a limited time, the one before. */
export function activateCertificateAuthorityAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['eks.activateCertificateAuthority'],
    plan: (input, context) => planActivation(clients, input, context),
    observe: ({ facts }, context) => observeActivation(clients, facts, context),
    act: ({ facts }, context) => activate(clients, facts, context),
    undo: ({ facts }, context, seen) => undoActivation(clients, facts, context, seen),
  });
}

async function planActivation(clients: Clients, input: Input, { target }: ActionContext): Promise<PlanOf<Facts>> {
  const cluster = await readCluster(clients, target);
  const authorities = await readAuthorities(clients, target);
  const inFlight = updateInProgress(await readUpdates(clients, target));
  const activating = authorities.find(({ signing }) => signing === 'ACTIVATING');
  // What is being activated will sign when this step begins, which waits for it; also where its update has ended since they were read.
  const awaited = input.waitForUpdate ? activating : undefined;
  const signer = awaited ?? signerOf(authorities);
  const { certificateAuthority: wanted, outgoing } = input;
  const isGone = outgoing !== undefined && signer !== undefined && signer.id !== outgoing;
  const to = wanted === undefined ? successorOf(authorities) : authorities.find(({ id }) => id === wanted);
  const from = signer?.id ?? '';
  const facts: Facts = { ...clusterFacts(cluster), from, to: from, judgesHealth: false, waitForUpdate: input.waitForUpdate };
  const plan = { ...emptyPlan(facts), notes: datesOf(authorities), outputs: { certificateAuthority: facts.to } };
  const hasBeenRotated = wanted === undefined && !to && outgoing === undefined && authorities.length > 1;
  if (isGone || hasBeenRotated || (signer !== undefined && to?.id === signer.id)) {
    return { ...plan, notes: [`${facts.to} signs already: nothing is activated.`, ...plan.notes] };
  }
  if (!to || !signer) return { ...plan, blockers: [nothingToActivate(target, wanted)] };
  const trusting = await readTrusting(clients, target);
  const older = findingsOfNodes(trusting, to, target, input.olderNodes === 'accept');
  const isBack = Date.parse(to.createdAt) < Date.parse(signer.createdAt);
  return {
    ...plan,
    facts: { ...facts, to: to.id, judgesHealth: !isBack },
    effects: [{ object: `Cluster/${target.name}`, change: 'have another certificate authority sign', before: signer.id, after: to.id }],
    risks: [...older.risks, ...risksOfBundles(trusting, signer, to)],
    blockers: [
      ...clusterBlockers(cluster),
      ...(input.waitForUpdate ? [] : inFlightBlocker(target, inFlight)),
      ...blockerOf(objectOf(target, to.id), awaited ? undefined : activationProblem(to, authorities)),
      ...older.blockers,
      ...(isBack ? [] : unwellBlockers(trusting)),
    ],
    notes: [
      ...plan.notes,
      ...notesOfUnread(trusting),
      `EKS goes back to ${signer.id} for a limited time only (\`rollbackAvailable\`), and as long as it is not deleted.`,
    ],
    outputs: { certificateAuthority: to.id, previous: signer.id },
    expects: [{ change: 'signer', certificateAuthority: to.id }],
    estimateMs,
  };
}

function nothingToActivate(target: Target, wanted: string | undefined): Blocker {
  if (wanted !== undefined) {
    const reason = `The cluster has no certificate authority ${wanted}.`;
    return { object: objectOf(target, wanted), reason, remedy: 'Look at them with `aws eks list-certificate-authorities`.' };
  }
  const reason = 'It has no successor of the certificate authority that signs.';
  return { object: `Cluster/${target.name}`, reason, remedy: 'Append one first (`eks.createCertificateAuthority`), above a hold.' };
}

/** What is not well before cannot show whether the change has done harm. */
function unwellBlockers({ unwell }: Trusting): Blocker[] {
  if (unwell.length === 0) return [];
  const reason = `${firstNames(unwell)}: not Ready or not Available before the change.`;
  return [{ object: unwell[0] ?? '', reason, remedy: 'Repair or remove them first, then plan again.' }];
}

async function observeActivation(clients: Clients, facts: Facts, context: ActionContext): Promise<Observation> {
  const { target } = context;
  const cluster = await readCluster(clients, target);
  const replaced = replacedCluster(cluster, facts);
  if (replaced) return replaced;
  const { from, to, waitForUpdate } = facts;
  const authorities = await readAuthorities(clients, target);
  const wanted = authorities.find(({ id }) => id === to);
  const signer = signerOf(authorities);
  const progress = progressOf(`${signer?.id ?? 'none'} signs`, signer?.id === to);
  if (!wanted) {
    const reason = `The certificate authority ${to} has been deleted since the plan was made.`;
    return { state: 'stuck', reason, remedy: 'Find out who deleted it; abort the run and plan again.', progress };
  }
  // While another one is being activated, the one that signs is about to stop.
  const coming = authorities.find(({ id, signing }) => id !== to && signing === 'ACTIVATING');
  if (wanted.signing === 'IN_USE' && !coming) return observeHealth(clients, facts, context);
  if (wanted.signing === 'ACTIVATING') return { state: 'moving', progress: progressOf(`${to} is being activated`, false) };
  const updates = await readUpdates(clients, target);
  const underWay = observeUpdateInProgress(updates, to, context, waitForUpdate, progress);
  if (underWay) return underWay;
  // Its update has ended since they were read.
  if (coming) return { state: 'moving', progress: progressOf(`${coming.id} is being activated`, false) };
  if (signer && signer.id !== from) {
    const reason = `${signer.id} signs now, neither ${from} as it was planned nor ${to}.`;
    return { state: 'stuck', reason, remedy: 'Find out who has activated it; abort the run and plan again.', progress };
  }
  return observeUpdateToAsk(updates, to, context, progress);
}

/** It is done when nothing has come to harm. What is unwell for too long is told by name, while EKS can still go back. */
async function observeHealth(
  clients: Clients,
  { from, to, judgesHealth }: Facts,
  { target, checkpoint, retry }: ActionContext,
): Promise<Observation> {
  const unwell = judgesHealth ? (await readTrusting(clients, target)).unwell : [];
  if (unwell.length === 0) {
    const outputs = { certificateAuthority: to, ...(from !== to && { previous: from }) };
    return { state: 'done', outputs, progress: progressOf(`${to} signs`, true) };
  }
  const progress = progressOf(`${to} signs; not Ready or not Available: ${firstNames(unwell)}`, false);
  const seen = (checkpoint.read() ?? {}) as { unwellSinceMs?: number; retry?: number };
  // Who has it tried again gives it the whole time anew.
  const { unwellSinceMs = Date.now() } = seen.retry === retry ? seen : {};
  checkpoint.write({ unwellSinceMs, retry });
  if (Date.now() - unwellSinceMs < unwellMaxMs) return { state: 'moving', progress };
  const reason = `Since ${to} signs, these are not Ready or not Available: ${firstNames(unwell)}.`;
  const remedy = 'Have it undone (`holdpoint undo`) while EKS says rollbackAvailable, or repair them and try again (`holdpoint retry`).';
  return { state: 'stuck', reason, remedy, progress };
}

function activate(clients: Clients, { from, to, waitForUpdate }: Facts, context: ActionContext): Promise<void> {
  const wanted = {
    call: `ActivateCertificateAuthority ${to}`,
    request: { activateCertificateAuthority: to, from },
    waitForUpdate,
    send: (eks: EKSClient, request: TokenRequest) =>
      eks.send(new ActivateCertificateAuthorityCommand({ ...request, certificateAuthorityId: to })),
  };
  return askForAuthorityUpdate(clients, wanted, context);
}

async function undoActivation(clients: Clients, facts: Facts, { target }: ActionContext, seen?: Observation): Promise<Undo> {
  const { from, to } = facts;
  if (from === to) return { nothing: `${to} signed before.` };
  if (isUntouched(seen)) return { nothing: `No activation has been begun: ${from} signs as before.` };
  const authorities = await readAuthorities(clients, target);
  const before = authorities.find(({ id }) => id === from);
  const after = authorities.find(({ id }) => id === to);
  if (!before) return { noUndo: `The certificate authority ${from} has been deleted.` };
  const problem = after?.signing === 'IN_USE' ? rollbackProblem(before, after) : undefined;
  if (problem) return { noUndo: problem.reason };
  const input = { certificateAuthority: from, olderNodes: 'accept', waitForUpdate: true };
  return [{ uses: 'eks.activateCertificateAuthority', with: input }];
}

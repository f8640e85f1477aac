import { DeleteCertificateAuthorityCommand, type EKSClient } from '@aws-sdk/client-eks';
import type { ActionContext, Observation, Undo } from '../../../domain/action.ts';
import { datesOf, deletionProblem, signerOf, type CertificateAuthority } from '../../../domain/certificate-authority/rotation.ts';
import { expectedSigner, type ExpectedChange } from '../../../domain/plan/expected.ts';
import type { Risk } from '../../../domain/plan/plan.ts';
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
import { findingsOfNodes, notesOfUnread, readTrusting, risksOfBundles } from './trusting.ts';

const estimateMs = 5 * 60_000;

type Input = ActionInput<'eks.deleteCertificateAuthority'>;
type Facts = ClusterFacts & { certificateAuthority: string; waitForUpdate: boolean };

/** `eks.deleteCertificateAuthority`: the cluster does not trust a certificate authority any more. */
export function deleteCertificateAuthorityAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['eks.deleteCertificateAuthority'],
    plan: (input, context) => planDeletion(clients, input, context),
    observe: ({ facts }, context) => observeDeletion(clients, facts, context),
    act: ({ facts }, context) => remove(clients, facts, context),
    undo: async ({ facts }, _context, seen) => undoDeletion(facts, seen),
  });
}

async function planDeletion(clients: Clients, input: Input, { target, expected = [] }: ActionContext): Promise<PlanOf<Facts>> {
  const { certificateAuthority: id, waitForUpdate } = input;
  const cluster = await readCluster(clients, target);
  const authorities = asExpected(await readAuthorities(clients, target), expected);
  const going = authorities.find((authority) => authority.id === id);
  const plan = { ...emptyPlan<Facts>({ ...clusterFacts(cluster), certificateAuthority: id, waitForUpdate }), notes: datesOf(authorities) };
  const outputs = { certificateAuthority: id };
  if (!going) return { ...plan, outputs, notes: [`The cluster has no certificate authority ${id} (any more).`, ...plan.notes] };
  const signer = signerOf(authorities);
  const isOutgoing = signer !== undefined && Date.parse(going.createdAt) < Date.parse(signer.createdAt);
  const trusting = await readTrusting(clients, target);
  // Without a successor that has not signed yet, no node can be too old for what stays.
  const older = isOutgoing ? findingsOfNodes(trusting, signer, target, input.olderNodes === 'accept') : { risks: [], blockers: [] };
  const inFlight = updateInProgress(await readUpdates(clients, target));
  return {
    ...plan,
    outputs,
    effects: [{ object: objectOf(target, id), change: 'delete the certificate authority' }],
    risks: isOutgoing ? [goneForGood(target, going, signer), ...older.risks, ...risksOfBundles(trusting, going, signer)] : [],
    blockers: [
      ...clusterBlockers(cluster),
      ...(waitForUpdate ? [] : inFlightBlocker(target, inFlight)),
      ...blockerOf(objectOf(target, id), waitForUpdate && inFlight ? undefined : deletionProblem(going, authorities)),
      ...older.blockers,
    ],
    notes: [...plan.notes, ...notesOfUnread(trusting)],
    estimateMs,
  };
}

/** The authorities as they will be when what comes before this step has been done. */
function asExpected(authorities: CertificateAuthority[], expected: readonly ExpectedChange[]): CertificateAuthority[] {
  const signer = expectedSigner(expected);
  if (signer === undefined) return authorities;
  return authorities.map((authority) => ({ ...authority, signing: authority.id === signer ? 'IN_USE' : 'NOT_USED' }));
}

function goneForGood(target: Target, { id }: CertificateAuthority, signer: CertificateAuthority): Risk {
  return {
    object: objectOf(target, id),
    risk: `Certificates that it has signed are trusted no more, and EKS does not go back from ${signer.id} to it.`,
    remedy: 'Wait until clients with such certificates have new ones.',
  };
}

async function observeDeletion(clients: Clients, facts: Facts, context: ActionContext): Promise<Observation> {
  const { target } = context;
  const { certificateAuthority: id, waitForUpdate } = facts;
  const replaced = replacedCluster(await readCluster(clients, target), facts);
  if (replaced) return replaced;
  const authorities = await readAuthorities(clients, target);
  const going = authorities.find((authority) => authority.id === id);
  if (!going) return { state: 'done', outputs: { certificateAuthority: id }, progress: progressOf(`${id} is deleted`, true) };
  const progress = progressOf(`${id}: ${going.signing}, distribution ${going.distribution}`, false);
  if (going.distribution === 'DELETING') return { state: 'moving', progress };
  // Read before the updates, which may have ended since.
  if (going.distribution === 'IN_PROGRESS' && waitForUpdate) return { state: 'moving', progress };
  const updates = await readUpdates(clients, target);
  const underWay = observeUpdateInProgress(updates, id, context, waitForUpdate, progress);
  if (underWay) return underWay;
  const problem = deletionProblem(going, authorities);
  if (problem) return { state: 'stuck', ...problem, progress };
  return observeUpdateToAsk(updates, id, context, progress);
}

function remove(clients: Clients, { certificateAuthority: id, waitForUpdate }: Facts, context: ActionContext): Promise<void> {
  const wanted = {
    call: `DeleteCertificateAuthority ${id}`,
    request: { deleteCertificateAuthority: id },
    waitForUpdate,
    send: (eks: EKSClient, request: TokenRequest) =>
      eks.send(new DeleteCertificateAuthorityCommand({ ...request, certificateAuthorityId: id })),
  };
  return askForAuthorityUpdate(clients, wanted, context);
}

function undoDeletion({ certificateAuthority: id }: Facts, seen?: Observation): Undo {
  if (isUntouched(seen)) return { nothing: `The certificate authority ${id} has not been deleted.` };
  return { noUndo: `EKS does not bring the certificate authority ${id} back.` };
}

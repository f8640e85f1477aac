import { CreateCertificateAuthorityCommand, type EKSClient } from '@aws-sdk/client-eks';
import type { ActionContext, Observation, Undo } from '../../../domain/action.ts';
import { datesOf, olderNodes, signerOf, successorOf, type CertificateAuthority } from '../../../domain/certificate-authority/rotation.ts';
import { counted } from '../../../domain/text.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { clusterBlockers, clusterFacts, readCluster, replacedCluster, type ClusterFacts } from '../cluster.ts';
import { readUpdates, updateInProgress } from '../update/read-updates.ts';
import {
  askForAuthorityUpdate,
  blockerOf,
  failedUpdate,
  inFlightBlocker,
  objectOf,
  progressOf,
  readAuthorities,
  type TokenRequest,
} from './authorities.ts';
import { readTrusting } from './trusting.ts';

/** EKS does not say how long the distribution takes. */
const estimateMs = 10 * 60_000;

type Input = ActionInput<'eks.createCertificateAuthority'>;
type Facts = ClusterFacts & {
  /** The one that signs. */
  signer: string;
  /** Those that there were: another one is the successor. */
  known: string[];
  /** The successor that there is already, or the authority that signs in the place of the one that was to go: nothing is appended. */
  existing: string | null;
};

/** `eks.createCertificateAuthority`: the cluster trusts a second certificate authority, which signs nothing yet. */
export function createCertificateAuthorityAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['eks.createCertificateAuthority'],
    plan: (input, context) => planCreation(clients, input, context),
    observe: ({ facts }, context) => observeCreation(clients, facts, context),
    act: ({ facts }, context) => create(clients, facts, context),
    undo: ({ facts }, context, seen) => undoCreation(clients, facts, context, seen),
  });
}

async function planCreation(clients: Clients, { outgoing }: Input, { target }: ActionContext): Promise<PlanOf<Facts>> {
  const cluster = await readCluster(clients, target);
  const authorities = await readAuthorities(clients, target);
  const signer = signerOf(authorities);
  const successor = successorOf(authorities);
  const isGone = outgoing !== undefined && signer !== undefined && signer.id !== outgoing;
  const existing = isGone ? signer.id : (successor?.id ?? null);
  const facts: Facts = { ...clusterFacts(cluster), signer: signer?.id ?? '', known: authorities.map(({ id }) => id).sort(), existing };
  const plan = { ...emptyPlan(facts), notes: datesOf(authorities) };
  if (isGone) {
    return { ...plan, notes: [`${signer.id} signs now, not ${outgoing}: nothing is appended.`, ...plan.notes] };
  }
  if (successor) {
    const said = `The successor ${successor.id} is there already (${successor.createdBy}, ${successor.createdAt}): nothing is appended.`;
    const isBad = successor.distribution !== 'COMPLETE' && successor.distribution !== 'IN_PROGRESS';
    const reason = `The distribution of the successor is ${successor.distribution}.`;
    const remedy = 'Delete it (`eks.deleteCertificateAuthority`), then plan again.';
    return {
      ...plan,
      notes: [said, ...plan.notes],
      blockers: isBad ? blockerOf(objectOf(target, successor.id), { reason, remedy }) : [],
      outputs: { certificateAuthority: successor.id },
    };
  }
  const { nodes } = await readTrusting(clients, target);
  // Whatever is there now is older than what is still to come.
  const groups = olderNodes(nodes, { createdAt: '9999-12-31T00:00:00Z' } as CertificateAuthority, target.name);
  const inFlight = updateInProgress(await readUpdates(clients, target));
  const [retired] = authorities.filter(({ id }) => id !== signer?.id);
  const full = { reason: `It is still trusted, and EKS takes two at most.`, remedy: 'Delete it first (`eks.deleteCertificateAuthority`).' };
  const unsigned = { reason: 'EKS names no certificate authority that signs.', remedy: 'Look at the cluster in EKS, then plan again.' };
  return {
    ...plan,
    effects: [
      { object: `Cluster/${target.name}`, change: 'append a second certificate authority, which is trusted and signs nothing yet' },
    ],
    blockers: [
      ...clusterBlockers(cluster),
      ...inFlightBlocker(target, inFlight),
      ...(retired ? blockerOf(objectOf(target, retired.id), full) : []),
      ...(signer ? [] : blockerOf(`Cluster/${target.name}`, unsigned)),
    ],
    notes: [
      ...plan.notes,
      ...groups.map(
        ({ owner, nodes: names }) =>
          `${owner}: ${counted(names.length, 'node trusts', 'nodes trust')} the present bundle only, and must be replaced.`,
      ),
      'Kubeconfigs and clients outside the cluster that carry its bundle need the new one; Holdpoint cannot see them.',
    ],
    estimateMs,
  };
}

async function observeCreation(clients: Clients, facts: Facts, context: ActionContext): Promise<Observation> {
  const { target, acted } = context;
  const cluster = await readCluster(clients, target);
  const replaced = replacedCluster(cluster, facts);
  if (replaced) return replaced;
  const authorities = await readAuthorities(clients, target);
  const successor = authorities.find(({ id }) => (facts.existing === null ? !facts.known.includes(id) : id === facts.existing));
  if (!successor) {
    if (facts.existing !== null) {
      const reason = `The certificate authority ${facts.existing} has been deleted since the plan was made.`;
      return { state: 'stuck', reason, remedy: 'Find out who deleted it; abort the run and plan again.' };
    }
    const progress = progressOf('not appended yet', false);
    return acted ? { state: 'moving', progress } : { state: 'todo', progress, untouched: cluster.status === 'ACTIVE' };
  }
  const { id, distribution } = successor;
  const progress = progressOf(`${id}: distribution ${distribution}`, distribution === 'COMPLETE');
  if (distribution === 'COMPLETE') return { state: 'done', outputs: { certificateAuthority: id }, progress };
  if (distribution === 'IN_PROGRESS') return { state: 'moving', progress };
  const remedy = 'Delete it (`eks.deleteCertificateAuthority`), then try again (`holdpoint retry`).';
  const failed = failedUpdate(await readUpdates(clients, target), id);
  const reason = failed?.reason ?? `The distribution of the certificate authority ${id} is ${distribution}.`;
  return { state: 'stuck', reason, remedy, progress };
}

function create(clients: Clients, facts: Facts, context: ActionContext): Promise<void> {
  const wanted = {
    call: `CreateCertificateAuthority ${context.target.name}`,
    request: { createCertificateAuthority: facts.signer },
    waitForUpdate: false,
    send: (eks: EKSClient, request: TokenRequest) => eks.send(new CreateCertificateAuthorityCommand(request)),
  };
  return askForAuthorityUpdate(clients, wanted, context);
}

async function undoCreation(clients: Clients, facts: Facts, { target }: ActionContext, seen?: Observation): Promise<Undo> {
  if (facts.existing !== null) return { nothing: `The certificate authority ${facts.existing} was there before.` };
  if (isUntouched(seen)) return { nothing: `No certificate authority of ${target.name} has been appended.` };
  const made = (await readAuthorities(clients, target)).find(({ id }) => !facts.known.includes(id));
  if (!made) return { nothing: `${target.name} has no other certificate authority than before.` };
  return [{ uses: 'eks.deleteCertificateAuthority', with: { certificateAuthority: made.id, waitForUpdate: true } }];
}

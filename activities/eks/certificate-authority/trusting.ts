import type { V1Node } from '@kubernetes/client-node';
import { olderNodes, type CertificateAuthority, type NodeOfRotation } from '../../../domain/certificate-authority/rotation.ts';
import { pinnedTo, type TrustBundle } from '../../../domain/certificate-authority/trust-bundle.ts';
import type { Blocker, Risk } from '../../../domain/plan/plan.ts';
import type { Target } from '../../../domain/target.ts';
import { counted, firstNames } from '../../../domain/text.ts';
import type { Clients } from '../../clients.ts';
import { kinds } from '../../kubernetes/client/kinds.ts';
import type { Kind } from '../../kubernetes/client/list.ts';
import { apiServiceIsAvailable, listNodes, listUnlessDenied, nodeIsReady } from '../../kubernetes/client/read.ts';

/** What in a cluster has to do with its certificate authorities, as far as it can be read. */
export interface Trusting {
  nodes: NodeOfRotation[];
  /** Nodes that are not Ready and aggregated APIs that are not Available, as objects; sorted. */
  unwell: string[];
  bundles: TrustBundle[];
  /** What could not be read, in the plural, and why. */
  unread: string[];
}

/** Reads only. Throws `kubernetes-…` errors where the nodes cannot be read. */
export async function readTrusting(clients: Clients, target: Target): Promise<Trusting> {
  const apis = await clients.kubernetes(target);
  const unread: string[] = [];
  const readIfAllowed = <Item>(kind: Kind<Item>): Promise<Item[]> => listUnlessDenied(apis, target.name, kind, unread);
  const nodes = await listNodes(apis, target.name);
  const apiServices = await readIfAllowed(kinds.apiServices);
  const validating = await readIfAllowed(kinds.validatingWebhooks);
  const mutating = await readIfAllowed(kinds.mutatingWebhooks);
  const webhooks = [
    ...validating.map((each) => ({ kind: 'ValidatingWebhookConfiguration', ...each })),
    ...mutating.map((each) => ({ kind: 'MutatingWebhookConfiguration', ...each })),
  ];
  return {
    nodes: nodes.map(nodeOf),
    unwell: [
      ...nodes.filter((node) => !nodeIsReady(node)).map(({ metadata }) => `Node/${metadata?.name ?? ''}`),
      ...apiServices.filter((api) => !apiServiceIsAvailable(api)).map(({ metadata }) => `APIService/${metadata?.name ?? ''}`),
    ].sort(),
    bundles: [
      ...apiServices.map(({ metadata, spec }) => ({ object: `APIService/${metadata?.name ?? ''}`, data: spec?.caBundle ?? '' })),
      ...webhooks.flatMap(({ kind, metadata, webhooks: calls = [] }) =>
        calls.map(({ clientConfig }) => ({ object: `${kind}/${metadata?.name ?? ''}`, data: clientConfig?.caBundle ?? '' })),
      ),
    ],
    unread,
  };
}

function nodeOf({ metadata }: V1Node): NodeOfRotation {
  // On the wire times are texts.
  const createdAt = String(metadata?.creationTimestamp ?? '');
  return { name: metadata?.name ?? '', createdAt, labels: metadata?.labels ?? {} };
}

/** Nodes that may trust the old bundle only: risks where people sign for them, blockers otherwise. */
export function findingsOfNodes(
  { nodes }: Trusting,
  successor: CertificateAuthority,
  target: Target,
  accepted: boolean,
): { risks: Risk[]; blockers: Blocker[] } {
  const groups = olderNodes(nodes, successor, target.name);
  const remedy = 'Replace them first: `node-group-rotation` for a node group of EKS, drift or expiry for a NodePool.';
  const risk = `Its nodes may trust the certificate authorities from before ${successor.id} only, and lose the cluster.`;
  if (accepted)
    return { blockers: [], risks: groups.map(({ owner, nodes: names }) => ({ object: owner, risk, detail: firstNames(names), remedy })) };
  const reason = (names: readonly string[]): string =>
    `${counted(names.length, 'node')} may be older than ${successor.id}, and not trust it: ${firstNames(names)}.`;
  return { risks: [], blockers: groups.map(({ owner, nodes: names }) => ({ object: owner, reason: reason(names), remedy })) };
}

/** Webhooks and API services that trust the outgoing authority and not its successor. */
export function risksOfBundles({ bundles }: Trusting, outgoing: CertificateAuthority, successor: CertificateAuthority): Risk[] {
  return pinnedTo(bundles, outgoing, successor).map((object) => ({
    object,
    risk: `Its caBundle has ${outgoing.id} and not ${successor.id}: calls fail once its server has a certificate of the successor.`,
    remedy: 'Put the new bundle of the cluster into it.',
  }));
}

/** What the plan could not look at, for whoever signs. */
export function notesOfUnread({ unread }: Trusting): string[] {
  const seen = 'Kubeconfigs and clients outside the cluster that carry its bundle cannot be seen: give them the new one first.';
  return [...unread.map((title) => `The ${title} could not be read, so nothing is known of them.`), seen];
}

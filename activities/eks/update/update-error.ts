import type { ErrorCode, ErrorDetail } from '@aws-sdk/client-eks';
import { ownValue } from '../../../domain/map.ts';
import { cut } from '../../../domain/visible.ts';
import { messageCharactersMax } from '../../failure.ts';

/** What a code means, and what to do, in the words of the person who has to mend it. */
interface Explanation {
  meaning: string;
  remedy: string;
}

/** Every code of a failed update of a cluster, a node group, an add-on or an authority (EKS API, ErrorDetail). */
export const updateErrors: Readonly<Record<ErrorCode, Explanation>> = {
  AccessDenied: {
    meaning: 'EKS may not do what the update needs with the role of the cluster, the nodes or the add-on',
    remedy: 'Mend the role that the message names, then try again.',
  },
  AdmissionRequestDenied: { meaning: 'an admission webhook denied a change', remedy: 'Mend the webhook or its policy, then try again.' },
  ClusterUnreachable: {
    meaning: 'EKS could not reach the Kubernetes API',
    remedy: 'Check webhooks and network policy of the control plane, then try again.',
  },
  ConfigurationConflict: {
    meaning: 'settings contradict each other, or objects of an add-on were changed by others',
    remedy: 'Read the message of EKS; mend the settings, or say whose values count (`resolveConflicts`); then try again.',
  },
  EniLimitReached: {
    meaning: 'the account has no network interfaces left',
    remedy: 'Raise the quota or remove unused interfaces, then try again.',
  },
  InsufficientFreeAddresses: {
    meaning: 'the subnets have no free IP addresses left',
    remedy: 'Free addresses or add subnets, then try again.',
  },
  InsufficientNumberOfReplicas: {
    meaning: 'too few replicas run of an add-on',
    remedy: 'Find out with `kubectl get events -n kube-system` why its pods do not run, then try again.',
  },
  IpNotAvailable: { meaning: 'a subnet has no free IP address left', remedy: 'Free addresses or add subnets, then try again.' },
  K8sResourceNotFound: { meaning: 'an object in the cluster is missing', remedy: 'Restore what the message names, then try again.' },
  NodeCreationFailure: {
    meaning: 'new nodes did not join or did not become Ready',
    remedy: 'Check the node role, the subnets and the launch template of the node group, and the log of one new instance; then try again.',
  },
  OperationNotPermitted: {
    meaning: 'the service role, or the service-linked role of EKS, may not do what is needed',
    remedy: 'Mend the permissions of the cluster role, or of AWSServiceRoleForAmazonEKSNodegroup for a node group; then try again.',
  },
  PodEvictionFailure: {
    meaning: 'pods could not be evicted within 15 minutes a node: a budget is too tight, or a pod tolerates every taint',
    remedy:
      'Find the budget with `kubectl get pdb -A` (ALLOWED DISRUPTIONS 0), give it room, then try again; `force: true` would override it.',
  },
  SecurityGroupNotFound: {
    meaning: 'a security group no longer exists',
    remedy: 'A cluster: name other groups (`aws eks update-cluster-config`). A node group: make a new one. Then try again.',
  },
  SubnetNotFound: {
    meaning: 'a subnet no longer exists',
    remedy: 'A cluster: name other subnets of its VPC (`aws eks update-cluster-config`). A node group: make a new one. Then try again.',
  },
  Unknown: {
    meaning: 'EKS gives no cause',
    remedy: 'Look at the health of the cluster, the node group or the add-on in EKS, then try again; ask AWS if it fails again.',
  },
  UnsupportedAddonModification: {
    meaning: 'the add-on does not take this change in its present state',
    remedy: 'Read the message of EKS; take back what was changed in the objects of the add-on by hand, then try again.',
  },
  VpcIdNotFound: {
    meaning: 'the VPC no longer exists',
    remedy: 'Nothing brings it back: make a new cluster, or a new node group, in a VPC that exists.',
  },
};

/** What the errors of a failed update mean and what to do, for people. */
export function explainUpdateErrors(errors: readonly ErrorDetail[]): { reason: string; remedy: string } {
  if (errors.length === 0) return { reason: 'EKS gives no error', remedy: updateErrors.Unknown.remedy };
  const reasons = errors.map(({ errorCode = 'Unknown', errorMessage, resourceIds = [] }) => {
    const meaning = explanationOf(errorCode)?.meaning ?? 'a code that Holdpoint does not know';
    const objects = resourceIds.length > 0 ? ` (${resourceIds.join(', ')})` : '';
    return `${errorCode}: ${meaning}${errorMessage ? `; EKS says "${cut(errorMessage, messageCharactersMax)}"` : ''}${objects}`;
  });
  const remedies = new Set(errors.map(({ errorCode = 'Unknown' }) => (explanationOf(errorCode) ?? updateErrors.Unknown).remedy));
  return { reason: reasons.join('; '), remedy: [...remedies].join(' ') };
}

/** EKS may have codes that this version of its SDK does not know. */
function explanationOf(code: string): Explanation | undefined {
  return ownValue<Explanation>(updateErrors, code);
}

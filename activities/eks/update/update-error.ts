import type { ErrorDetail } from '@aws-sdk/client-eks';
import { cut } from '../../../domain/visible.ts';
import { messageCharactersMax } from '../../failure.ts';

/** Codes of a failed update (EKS API, ErrorDetail) in the words of the person who has to mend it. */
const explanations: Record<string, { meaning: string; remedy: string }> = {
  PodEvictionFailure: {
    meaning: 'pods could not be evicted within 15 minutes a node: a budget is too tight, or a pod tolerates every taint',
    remedy:
      'Find the budget with `kubectl get pdb -A` (ALLOWED DISRUPTIONS 0), give it room, then try again; `force: true` would override it.',
  },
  NodeCreationFailure: {
    meaning: 'new nodes did not join or did not become Ready',
    remedy: 'Check the node role, the subnets and the launch template of the node group, and the log of one new instance; then try again.',
  },
  AsgInstanceLaunchFailures: {
    meaning: 'the Auto Scaling group could not launch instances',
    remedy: 'Check quota and capacity of the instance type in these zones, then try again.',
  },
  InsufficientFreeAddresses: {
    meaning: 'the subnets have no free IP addresses left',
    remedy: 'Free addresses or add subnets, then try again.',
  },
  IpNotAvailable: { meaning: 'a subnet has no free IP address left', remedy: 'Free addresses or add subnets, then try again.' },
  EniLimitReached: {
    meaning: 'the account has no network interfaces left',
    remedy: 'Raise the quota or remove unused interfaces, then try again.',
  },
  AccessDenied: { meaning: 'the node role or the cluster role may not do what is needed', remedy: 'Mend the role, then try again.' },
  OperationNotPermitted: {
    meaning: 'the service-linked role of EKS may not do what is needed',
    remedy: 'Mend the permissions of AWSServiceRoleForAmazonEKSNodegroup, then try again.',
  },
  SubnetNotFound: { meaning: 'a subnet of the node group no longer exists', remedy: 'Make a new node group with subnets that exist.' },
  SecurityGroupNotFound: { meaning: 'a security group no longer exists', remedy: 'Restore it, or make a new node group.' },
  VpcIdNotFound: { meaning: 'the VPC no longer exists', remedy: 'Make a new node group in a VPC that exists.' },
  ClusterUnreachable: {
    meaning: 'EKS could not reach the Kubernetes API',
    remedy: 'Check webhooks and network policy of the control plane, then try again.',
  },
  InsufficientNumberOfReplicas: { meaning: 'too few replicas run', remedy: 'Run more replicas, then try again.' },
  ConfigurationConflict: {
    meaning: 'settings contradict each other',
    remedy: 'Read the message of EKS, mend the settings, then try again.',
  },
  AdmissionRequestDenied: { meaning: 'an admission webhook denied a change', remedy: 'Mend the webhook or its policy, then try again.' },
  UnsupportedAddonModification: {
    meaning: 'the add-on does not take this change in its present state',
    remedy: 'Read the message of EKS; take back what was changed in the objects of the add-on by hand, then try again.',
  },
  K8sResourceNotFound: { meaning: 'an object in the cluster is missing', remedy: 'Restore what the message names, then try again.' },
  Unknown: { meaning: 'EKS gives no cause', remedy: 'Look at the health of the node group and its Auto Scaling group, then try again.' },
};

/** What the errors of a failed update mean and what to do, for people. */
export function explainUpdateErrors(errors: readonly ErrorDetail[]): { reason: string; remedy: string } {
  if (errors.length === 0) return { reason: 'EKS gives no error', remedy: explanations.Unknown?.remedy ?? '' };
  const reasons = errors.map(({ errorCode = 'Unknown', errorMessage, resourceIds = [] }) => {
    const meaning = explanations[errorCode]?.meaning ?? 'a code that Holdpoint does not know';
    const objects = resourceIds.length > 0 ? ` (${resourceIds.join(', ')})` : '';
    return `${errorCode}: ${meaning}${errorMessage ? `; EKS says "${cut(errorMessage, messageCharactersMax)}"` : ''}${objects}`;
  });
  const unknown = explanations.Unknown?.remedy ?? '';
  const remedies = new Set(errors.map(({ errorCode = 'Unknown' }) => explanations[errorCode]?.remedy ?? unknown));
  return { reason: reasons.join('; '), remedy: [...remedies].join(' ') };
}

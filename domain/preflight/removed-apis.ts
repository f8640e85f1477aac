import { minorVersionOf } from '../version/version.ts';

/** Kinds that an API version does not serve any more, from which minor version of Kubernetes 1 on, and what takes their place. */
interface Removal {
  apiVersion: string;
  /** All kinds of the API version where it is left out. */
  kinds?: readonly string[];
  sinceMinor: number;
  instead: string;
}

/** Source: https://kubernetes.io/docs/reference/using-api/deprecation-guide/ */
const removals: readonly Removal[] = [
  { apiVersion: 'extensions/v1beta1', kinds: ['Ingress'], sinceMinor: 22, instead: 'networking.k8s.io/v1' },
  { apiVersion: 'extensions/v1beta1', kinds: ['PodSecurityPolicy'], sinceMinor: 16, instead: 'Pod Security Admission' },
  { apiVersion: 'extensions/v1beta1', kinds: ['NetworkPolicy'], sinceMinor: 16, instead: 'networking.k8s.io/v1' },
  { apiVersion: 'extensions/v1beta1', sinceMinor: 16, instead: 'apps/v1' },
  { apiVersion: 'apps/v1beta1', sinceMinor: 16, instead: 'apps/v1' },
  { apiVersion: 'apps/v1beta2', sinceMinor: 16, instead: 'apps/v1' },
  {
    apiVersion: 'admissionregistration.k8s.io/v1beta1',
    kinds: ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'],
    sinceMinor: 22,
    instead: 'admissionregistration.k8s.io/v1',
  },
  { apiVersion: 'apiextensions.k8s.io/v1beta1', sinceMinor: 22, instead: 'apiextensions.k8s.io/v1' },
  { apiVersion: 'apiregistration.k8s.io/v1beta1', sinceMinor: 22, instead: 'apiregistration.k8s.io/v1' },
  { apiVersion: 'authentication.k8s.io/v1beta1', kinds: ['TokenReview'], sinceMinor: 22, instead: 'authentication.k8s.io/v1' },
  { apiVersion: 'authorization.k8s.io/v1beta1', sinceMinor: 22, instead: 'authorization.k8s.io/v1' },
  {
    apiVersion: 'certificates.k8s.io/v1beta1',
    kinds: ['CertificateSigningRequest'],
    sinceMinor: 22,
    instead: 'certificates.k8s.io/v1',
  },
  { apiVersion: 'coordination.k8s.io/v1beta1', kinds: ['Lease'], sinceMinor: 22, instead: 'coordination.k8s.io/v1' },
  { apiVersion: 'networking.k8s.io/v1beta1', kinds: ['Ingress', 'IngressClass'], sinceMinor: 22, instead: 'networking.k8s.io/v1' },
  { apiVersion: 'rbac.authorization.k8s.io/v1beta1', sinceMinor: 22, instead: 'rbac.authorization.k8s.io/v1' },
  { apiVersion: 'scheduling.k8s.io/v1beta1', sinceMinor: 22, instead: 'scheduling.k8s.io/v1' },
  {
    apiVersion: 'storage.k8s.io/v1beta1',
    kinds: ['CSIDriver', 'CSINode', 'StorageClass', 'VolumeAttachment'],
    sinceMinor: 22,
    instead: 'storage.k8s.io/v1',
  },
  { apiVersion: 'batch/v1beta1', sinceMinor: 25, instead: 'batch/v1' },
  { apiVersion: 'discovery.k8s.io/v1beta1', sinceMinor: 25, instead: 'discovery.k8s.io/v1' },
  { apiVersion: 'events.k8s.io/v1beta1', sinceMinor: 25, instead: 'events.k8s.io/v1' },
  { apiVersion: 'autoscaling/v2beta1', sinceMinor: 25, instead: 'autoscaling/v2' },
  { apiVersion: 'policy/v1beta1', kinds: ['PodSecurityPolicy'], sinceMinor: 25, instead: 'Pod Security Admission' },
  { apiVersion: 'policy/v1beta1', kinds: ['PodDisruptionBudget'], sinceMinor: 25, instead: 'policy/v1' },
  { apiVersion: 'node.k8s.io/v1beta1', sinceMinor: 25, instead: 'node.k8s.io/v1' },
  { apiVersion: 'flowcontrol.apiserver.k8s.io/v1beta1', sinceMinor: 26, instead: 'flowcontrol.apiserver.k8s.io/v1' },
  { apiVersion: 'autoscaling/v2beta2', sinceMinor: 26, instead: 'autoscaling/v2' },
  { apiVersion: 'storage.k8s.io/v1beta1', kinds: ['CSIStorageCapacity'], sinceMinor: 27, instead: 'storage.k8s.io/v1' },
  { apiVersion: 'flowcontrol.apiserver.k8s.io/v1beta2', sinceMinor: 29, instead: 'flowcontrol.apiserver.k8s.io/v1' },
  { apiVersion: 'flowcontrol.apiserver.k8s.io/v1beta3', sinceMinor: 32, instead: 'flowcontrol.apiserver.k8s.io/v1' },
];

/** Why a kind is not served by a version of Kubernetes in an API version; undefined where it is, or nothing is known of it. */
export function removalOf(apiVersion: string, kind: string, version: string): { since: string; instead: string } | undefined {
  const target = minorVersionOf(version);
  const found = removals.find((one) => one.apiVersion === apiVersion && (one.kinds?.includes(kind) ?? true));
  if (!found || target?.major !== 1 || target.minor < found.sinceMinor) return undefined;
  return { since: `1.${found.sinceMinor}`, instead: found.instead };
}

/** Whether a version of Kubernetes serves nothing (any more) of a `group/version`. */
export function isWhollyRemoved(apiVersion: string, version: string): boolean {
  const own = removals.filter((one) => one.apiVersion === apiVersion);
  const minor = minorVersionOf(version)?.minor ?? 0;
  return own.some(({ kinds }) => kinds === undefined) && own.every(({ sinceMinor }) => minor >= sinceMinor);
}

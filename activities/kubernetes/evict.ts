import type { PodView } from '../../domain/pod.ts';
import { kubernetesCode, kubernetesError, kubernetesMessage } from '../failure.ts';
import type { KubernetesApis } from './connect.ts';

/** What came of asking for an eviction. */
export type EvictionAnswer =
  | { answer: 'evicted' }
  /** It no longer exists, or another pod has its name now. */
  | { answer: 'gone' }
  /** A budget, a webhook or a race stands in the way for now. */
  | { answer: 'blocked'; reason: string };

/**
 * Asks the API server to evict exactly this pod: its UID is a precondition, so that a StatefulSet's new pod of the same
 * name is never taken for the old one. Answers after pkg/registry/core/pod/storage/eviction.go.
 * Throws `kubernetes-…` errors where the answer is unknown or a person must look.
 */
export async function evictPod({ core }: KubernetesApis, cluster: string, pod: PodView): Promise<EvictionAnswer> {
  const { namespace, name, uid } = pod;
  try {
    await core.createNamespacedPodEviction({
      namespace,
      name,
      body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { namespace, name }, deleteOptions: { preconditions: { uid } } },
    });
    return { answer: 'evicted' };
  } catch (error) {
    return readRefusal(error, `evict pod ${namespace}/${name}`, cluster);
  }
}

function readRefusal(error: unknown, call: string, cluster: string): EvictionAnswer {
  const code = kubernetesCode(error);
  const reason = kubernetesMessage(error);
  if (code === 404 || code === 409) return { answer: 'gone' };
  if (code === 429) return { answer: 'blocked', reason };
  if (code === 500 && reason.includes('more than one PodDisruptionBudget')) return { answer: 'blocked', reason };
  // An admission webhook that denies answers 400 or 403 and may change its mind; missing permission does not.
  if ((code === 400 || code === 403) && reason.includes('admission webhook')) return { answer: 'blocked', reason };
  if (code === 403 && reason.includes('being terminated')) return { answer: 'blocked', reason };
  throw kubernetesError(error, call, cluster);
}

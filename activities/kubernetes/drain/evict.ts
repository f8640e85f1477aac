import { ApiException, type V1DeleteOptions } from '@kubernetes/client-node';
import type { PodView } from '../../../domain/drain/pod.ts';
import type { EvictionAnswer } from '../../../domain/drain/requests.ts';
import { isDeniedByAdmission, kubernetesCode, kubernetesError, kubernetesMessage, withoutFullStop } from '../../failure.ts';
import { apiPath, type KubernetesApis } from '../client/connect.ts';
import { retryAfterMs } from '../client/patience.ts';

const reasonCharactersMax = 300;
/**
 * Asks the API server to evict exactly this pod: its UID is a precondition, so that a StatefulSet's new pod of the same
 * name is never taken for the old one. `asSeen`: and only if nothing about it has changed since it was seen, as an eviction of
 * before may have been granted without anybody knowing. That is for doubts only: where something else has changed, the budget is
 * spent for nothing for two minutes. Answers after pkg/registry/core/pod/storage/eviction.go.
 * Throws `kubernetes-…` errors where the answer is unknown or a person must look.
 */
export async function evictPod(
  apis: KubernetesApis,
  cluster: string,
  { namespace, name, uid, version }: PodView,
  { gracePeriodSeconds, asSeen = false }: { gracePeriodSeconds?: number; asSeen?: boolean } = {},
): Promise<EvictionAnswer> {
  const preconditions = { uid, ...(asSeen && { resourceVersion: version }) };
  const deleteOptions: V1DeleteOptions = { preconditions, ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }) };
  try {
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { namespace, name }, deleteOptions };
    await apis.request('POST', apiPath`/api/v1/namespaces/${namespace}/pods/${name}/eviction`, { body });
    return { answer: 'evicted' };
  } catch (error) {
    return readRefusal(error, `evict pod ${namespace}/${name}`, cluster);
  }
}

/** Deletes exactly this pod, past its budget, with so long to end instead of its own time; 0 is by force. Throws `kubernetes-…` errors. */
export async function deletePod(
  apis: KubernetesApis,
  cluster: string,
  { namespace, name, uid }: PodView,
  graceSeconds?: number,
): Promise<EvictionAnswer> {
  try {
    const body: V1DeleteOptions = { preconditions: { uid }, ...(graceSeconds !== undefined && { gracePeriodSeconds: graceSeconds }) };
    await apis.request('DELETE', apiPath`/api/v1/namespaces/${namespace}/pods/${name}`, { body });
    return { answer: 'evicted' };
  } catch (error) {
    return readRefusal(error, `delete pod ${namespace}/${name}`, cluster);
  }
}

function readRefusal(error: unknown, call: string, cluster: string): EvictionAnswer {
  const code = kubernetesCode(error);
  const message = kubernetesMessage(error);
  const reason = message.length > reasonCharactersMax ? `${message.slice(0, reasonCharactersMax)}…` : withoutFullStop(message);
  const other = { answer: 'blocked', by: 'other', reason, retryAfterMs: retryAfterMs(error) } as const;
  // A webhook denies with any code it likes, 404, 409 and 500 among them, and may change its mind; so may a policy.
  if (isDeniedByAdmission(error)) return other;
  if (code === 404) return { answer: 'gone' };
  if (code === 409) return { answer: 'changed' };
  if (code === 429) return isBudget(error) ? { ...other, by: 'budget' } : other;
  if (code === 500 && message.includes('more than one PodDisruptionBudget')) return other;
  throw kubernetesError(error, call, cluster);
}

/** The API server's flow control answers 429 too, without naming a budget as cause. */
function isBudget(error: unknown): boolean {
  const body: unknown = error instanceof ApiException ? error.body : undefined;
  const text = typeof body === 'string' ? body : JSON.stringify(body ?? '');
  return text.includes('DisruptionBudget') || text.includes('disruption budget');
}

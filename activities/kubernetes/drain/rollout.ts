import type { V1Deployment } from '@kubernetes/client-node';
import type { PodView } from '../../../domain/drain/pod.ts';
import type { EvictionAnswer } from '../../../domain/drain/requests.ts';
import { kubernetesCode, kubernetesError } from '../../failure.ts';
import { apiPath, type KubernetesApis } from '../client/connect.ts';

/** In the pod template: whoever finds its own mark there has rolled the Deployment out already. */
const rolloutAnnotation = 'holdpoint.dev/rolled-out-for';
const fieldManager = 'holdpoint';

/**
 * Rolls the Deployment of a pod out anew, so that its next pod is Ready before this one ends (as `kubectl rollout restart` does);
 * once for each pod, however often it is called. Throws `kubernetes-…` errors.
 */
export async function rollOut(apis: KubernetesApis, cluster: string, { namespace, owner, uid }: PodView): Promise<EvictionAnswer> {
  const name = owner?.name ?? '';
  try {
    const path = apiPath`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
    const { metadata, spec } = await apis.request<V1Deployment>('GET', path);
    if (spec?.template.metadata?.annotations?.[rolloutAnnotation] === uid) return { answer: 'evicted' };
    const template = { metadata: { annotations: { [rolloutAnnotation]: uid } } };
    const body = { metadata: { resourceVersion: metadata?.resourceVersion }, spec: { template } };
    await apis.request('PATCH', path, { query: { fieldManager }, body });
    return { answer: 'evicted' };
  } catch (error) {
    const code = kubernetesCode(error);
    if (code === 404) return { answer: 'gone' };
    if (code === 409)
      return { answer: 'blocked', by: 'other', reason: `Deployment ${namespace}/${name} is being changed by somebody else` };
    throw kubernetesError(error, `roll out deployment ${namespace}/${name}`, cluster);
  }
}

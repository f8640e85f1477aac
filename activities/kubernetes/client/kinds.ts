import type {
  V1APIService,
  V1DaemonSet,
  V1Deployment,
  V1MutatingWebhookConfiguration,
  V1Node,
  V1PersistentVolume,
  V1Pod,
  V1PodDisruptionBudget,
  V1StatefulSet,
  V1ValidatingWebhookConfiguration,
  V1VolumeAttachment,
} from '@kubernetes/client-node';
import type { Kind } from './list.ts';
import { sharedValue } from './shared-values.ts';

/** The kinds of objects that are listed and watched, as they are on the wire: times are texts there. */
export const kinds = {
  // Whose a cordon is, they tell.
  nodes: { ...kindOf<V1Node>('nodes', '/api/v1/nodes'), readsManagedFields: true },
  pods: viewedAs(kindOf<V1Pod>('pods', '/api/v1/pods'), withSharedLabels),
  budgets: kindOf<V1PodDisruptionBudget>('pod disruption budgets', '/apis/policy/v1/poddisruptionbudgets'),
  deployments: kindOf<V1Deployment>('deployments', '/apis/apps/v1/deployments'),
  statefulSets: kindOf<V1StatefulSet>('stateful sets', '/apis/apps/v1/statefulsets'),
  daemonSets: kindOf<V1DaemonSet>('daemon sets', '/apis/apps/v1/daemonsets'),
  attachments: kindOf<V1VolumeAttachment>('volume attachments', '/apis/storage.k8s.io/v1/volumeattachments'),
  apiServices: kindOf<V1APIService>('API services', '/apis/apiregistration.k8s.io/v1/apiservices'),
  validatingWebhooks: kindOf<V1ValidatingWebhookConfiguration>(
    'validating webhooks',
    '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
  ),
  mutatingWebhooks: kindOf<V1MutatingWebhookConfiguration>(
    'mutating webhooks',
    '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations',
  ),
  volumes: kindOf<V1PersistentVolume>('persistent volumes', '/api/v1/persistentvolumes'),
};

function kindOf<Item>(title: string, path: string): Kind<Item> {
  return { title, path, view: (object) => object as Item };
}

function withSharedLabels(pod: V1Pod): V1Pod {
  if (pod.metadata?.labels) pod.metadata.labels = sharedValue(pod.metadata.labels);
  return pod;
}

/** The same kind, of which only as much is kept as a view of it holds. */
export function viewedAs<Item, View>(kind: Kind<Item>, view: (item: Item) => View): Kind<View> {
  return { ...kind, view: (object) => view(kind.view(object)) };
}

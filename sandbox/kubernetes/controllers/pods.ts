import { createHash } from 'node:crypto';
import type { ControllerContext } from '../controller.ts';
import { cloneJson } from '../json.ts';
import { parseQuantity } from '../quantity.ts';
import type { KubernetesObject, Pod, PodSpec, PodTemplate, Toleration } from '../objects.ts';
import type { NewObject } from '../store.ts';

/** The letters that Kubernetes makes names and hashes of: none that could form a word. */
const safeAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** How many suffixes are tried for one pod; of 14 million, a taken one is rare and a second in a row all but unheard of. */
const suffixesMax = 10;

/** A name for a pod of an owner that no other pod of the namespace has. */
export function freePodName({ store, random }: ControllerContext, { metadata }: KubernetesObject): string {
  for (let attempt = 0; attempt < suffixesMax; attempt++) {
    const name = `${metadata.name}-${random.text(5, safeAlphabet)}`;
    if (!store.get('pods', metadata.namespace ?? '', name)) return name;
  }
  throw new Error(`no free name was found for a pod of ${metadata.name} in ${suffixesMax} attempts`);
}

/** Tells in an event that a controller has made a pod for an owner. */
export function reportCreated(context: ControllerContext, owner: KubernetesObject, pod: string, component: string): void {
  context.recordEvent(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${pod}`, component);
}

/** A short hash of a pod template, for the labels that tell its revisions apart. */
export function templateHash(template: PodTemplate): string {
  const digest = createHash('sha256').update(JSON.stringify(template)).digest();
  return [...digest.subarray(0, 9)].map((byte) => safeAlphabet[byte % safeAlphabet.length] ?? '').join('');
}

/** A pod made from the template of its owner; `labels` and `tolerations` come on top. */
export function newPod(
  owner: KubernetesObject,
  template: PodTemplate,
  name: string,
  extra: { labels?: Record<string, string>; tolerations?: Toleration[]; spec?: Partial<PodSpec> } = {},
): NewObject<Pod> {
  const { apiVersion, kind, metadata } = owner;
  const { name: ownerName, uid } = metadata;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      generateName: `${metadata.name}-`,
      namespace: metadata.namespace,
      labels: { ...template.metadata?.labels, ...extra.labels },
      ...(template.metadata?.annotations ? { annotations: { ...template.metadata.annotations } } : {}),
      ownerReferences: [{ apiVersion, kind, name: ownerName, uid, controller: true, blockOwnerDeletion: true }],
    },
    spec: withDefaults({ ...cloneJson(template.spec), ...extra.spec }, extra.tolerations ?? []),
    status: { phase: 'Pending' },
  };
}

/** A pod's spec with what the API server fills in. */
export function withDefaults(spec: PodSpec, tolerations: Toleration[] = []): PodSpec {
  const all = [...(spec.tolerations ?? []), ...tolerations];
  const defaults = { restartPolicy: 'Always', schedulerName: 'default-scheduler', terminationGracePeriodSeconds: 30 };
  return { ...defaults, ...spec, ...(all.length > 0 ? { tolerations: all } : {}) };
}

/** What a pod takes of its node: CPU cores and bytes of memory that its containers request. */
export function requestsOf(spec: PodSpec): { cpu: number; memory: number } {
  let cpu = 0;
  let memory = 0;
  for (const { resources } of spec.containers) {
    cpu += parseQuantity(resources?.requests?.cpu);
    memory += parseQuantity(resources?.requests?.memory);
  }
  return { cpu, memory };
}

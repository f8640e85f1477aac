import { withDefaults } from './controllers/pods.ts';
import { badRequest, forbidden, invalid, notFound } from './errors.ts';
import { cloneJson } from './json.ts';
import { keyOf } from './objects.ts';
import type {
  Deployment,
  Job,
  KubernetesObject,
  LabelSelector,
  Namespace,
  Pod,
  PodDisruptionBudget,
  PodTemplate,
  Service,
} from './objects.ts';
import { apiVersionOf } from './resources.ts';
import type { ResourceDefinition } from './resources.ts';
import { matchesSelector } from './selectors.ts';
import type { Store } from './store.ts';

const namePattern = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
const nameLengthMax = 253;

/** An object as it came in a request; nothing is known of it but that it is a JSON object. */
export type Manifest = Partial<Omit<KubernetesObject, 'metadata'>> & { metadata?: Partial<KubernetesObject['metadata']> };

/** Throws an ApiError (400) if the object is not of the kind under whose address it came. */
export function checkKind(definition: ResourceDefinition, manifest: Manifest): void {
  const apiVersion = apiVersionOf(definition);
  if (manifest.apiVersion !== undefined && manifest.apiVersion !== '' && manifest.apiVersion !== apiVersion) {
    throw badRequest(`the API version in the data (${manifest.apiVersion}) does not match the expected API version (${apiVersion})`);
  }
  if (manifest.kind !== undefined && manifest.kind !== '' && manifest.kind !== definition.kind) {
    throw badRequest(`${manifest.kind} in version "${definition.version}" cannot be handled as a ${definition.kind}`);
  }
}

/** Throws an ApiError if nothing may be made in a namespace: 404 if there is none, 403 if it is being deleted. */
export function checkNamespace(store: Store, definition: ResourceDefinition, namespace: string, name: string): void {
  const found = store.get('namespaces', '', namespace);
  if (!found) throw notFound({ group: '', resource: 'namespaces' }, namespace);
  if (found.status.phase !== 'Terminating') return;
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  const cause = { reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' };
  throw forbidden(definition, name, why, [cause]);
}

/** The CustomResourceDefinition of NodePools says so (karpenter.sh/v1). */
const disruptionDefault = { consolidateAfter: '0s', budgets: [{ nodes: '10%' }] };

/** The status of a new object until its controller has looked at it. */
const firstStatus = {
  // Those of the seed answer.
  apiservices: { conditions: [{ type: 'Available', status: 'True', reason: 'Passed' }] },
  persistentvolumeclaims: { phase: 'Pending' },
  persistentvolumes: { phase: 'Available' },
  poddisruptionbudgets: { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 },
  volumeattachments: { attached: false },
};

/** Fills in what the API server fills in, on a new object. */
export function applyDefaults(definition: ResourceDefinition, object: KubernetesObject): void {
  const spec = (object.spec ?? {}) as Record<string, unknown>;
  switch (definition.resource) {
    case 'pods':
      object.spec = withDefaults((object as Pod).spec);
      object.status = { phase: 'Pending' };
      break;
    case 'deployments': {
      const strategy = completeStrategy(spec.strategy as Deployment['spec']['strategy'] | undefined);
      object.spec = { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600, ...spec, strategy };
      object.status = {};
      break;
    }
    case 'replicasets':
      object.spec = { replicas: 1, ...spec };
      object.status = { replicas: 0 };
      break;
    case 'statefulsets':
      object.spec = { replicas: 1, podManagementPolicy: 'OrderedReady', updateStrategy: { type: 'RollingUpdate' }, ...spec };
      object.status = { replicas: 0, availableReplicas: 0 };
      break;
    case 'daemonsets':
      object.spec = { updateStrategy: { type: 'RollingUpdate' }, ...spec };
      object.status = { currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0 };
      break;
    case 'nodepools':
      object.spec = { ...spec, disruption: { ...disruptionDefault, ...(spec.disruption as object) } };
      break;
    case 'namespaces':
      object.metadata.labels = { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name };
      object.spec = { finalizers: ['kubernetes'] };
      (object as Namespace).status = { phase: 'Active' };
      break;
    case 'nodes':
      object.spec ??= {};
      object.status ??= {};
      break;
    case 'jobs':
      object.spec = { completions: 1, parallelism: 1, backoffLimit: 6, ...spec };
      completeJob(object as Job);
      break;
    case 'apiservices':
    case 'persistentvolumeclaims':
    case 'persistentvolumes':
    case 'poddisruptionbudgets':
    case 'volumeattachments':
      object.status = cloneJson(firstStatus[definition.resource]);
      break;
    case 'services':
      object.spec = completeService(object as Service);
      object.status = { loadBalancer: {} };
      break;
    case 'validatingadmissionpolicies':
      object.spec = { failurePolicy: 'Fail', ...spec };
      object.status = {};
      break;
    case 'configmaps':
    case 'cronjobs':
    case 'customresourcedefinitions':
    case 'endpointslices':
    case 'ingresses':
    case 'mutatingwebhookconfigurations':
    case 'secrets':
    case 'validatingadmissionpolicybindings':
    case 'storageclasses':
    case 'validatingwebhookconfigurations':
    case 'events':
      break;
  }
}

/** The API server has the pods of a job found by the job's name and marks their template. */
function completeJob(job: Job): void {
  const { template } = job.spec;
  const labels = { ...template.metadata?.labels, 'batch.kubernetes.io/job-name': job.metadata.name, 'job-name': job.metadata.name };
  job.spec.template = { ...template, metadata: { ...template.metadata, labels } };
  job.spec.selector ??= { matchLabels: { 'batch.kubernetes.io/job-name': job.metadata.name } };
  job.status = {};
}

/** Services have an address of their own; that it is always the same for a name costs nothing here. */
function completeService({ metadata, spec }: Service): Service['spec'] {
  let hash = 0;
  for (const letter of keyOf({ metadata })) hash = (hash * 31 + letter.charCodeAt(0)) & 0xffff;
  const ports = (spec.ports ?? []).map((port) => ({ protocol: 'TCP', targetPort: port.port, ...port }));
  const defaults = { type: 'ClusterIP', sessionAffinity: 'None', clusterIP: `10.100.${hash >> 8}.${hash & 0xff}` };
  return { ...defaults, ...spec, ...(ports.length > 0 ? { ports } : {}) };
}

function completeStrategy(strategy: Deployment['spec']['strategy'] | undefined): Deployment['spec']['strategy'] {
  const type = strategy?.type ?? 'RollingUpdate';
  if (type !== 'RollingUpdate') return { type };
  return { type, rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%', ...strategy?.rollingUpdate } };
}

/** Throws an ApiError (422) if an object breaks a rule that the sandbox rests on. */
export function validate(definition: ResourceDefinition, object: KubernetesObject): void {
  const { name } = object.metadata;
  const reject = (field: string, why: string): never => {
    throw invalid(definition.group, definition.kind, name, field, why);
  };
  if (!namePattern.test(name) || name.length > nameLengthMax) {
    const rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'";
    reject('metadata.name', `Invalid value: "${name}": ${rule}`);
  }
  switch (definition.resource) {
    case 'pods':
      if (((object as Partial<Pod>).spec?.containers ?? []).length === 0) reject('spec.containers', 'Required value');
      break;
    case 'deployments':
    case 'replicasets':
    case 'statefulsets':
    case 'daemonsets':
      validateWorkload(object.spec as { selector?: LabelSelector; template?: PodTemplate }, reject);
      break;
    case 'poddisruptionbudgets':
      validateBudget((object as PodDisruptionBudget).spec, reject);
      break;
    case 'jobs':
      validateJob((object as Job).spec, reject);
      break;
    case 'namespaces':
    case 'nodes':
    case 'configmaps':
    case 'cronjobs':
    case 'nodepools':
    case 'customresourcedefinitions':
    case 'ingresses':
    case 'mutatingwebhookconfigurations':
    case 'secrets':
    case 'services':
    case 'endpointslices':
    case 'validatingadmissionpolicies':
    case 'validatingadmissionpolicybindings':
    case 'storageclasses':
    case 'validatingwebhookconfigurations':
    case 'events':
    case 'persistentvolumes':
    case 'persistentvolumeclaims':
    case 'volumeattachments':
    case 'apiservices':
      break;
  }
}

type Reject = (field: string, why: string) => never;

function validateWorkload({ selector, template }: { selector?: LabelSelector; template?: PodTemplate }, reject: Reject): void {
  if (!selector) reject('spec.selector', 'Required value');
  if ((template?.spec.containers ?? []).length === 0) reject('spec.template.spec.containers', 'Required value');
  if (!matchesSelector(selector, template?.metadata?.labels)) {
    reject('spec.template.metadata.labels', 'Invalid value: `selector` does not match template `labels`');
  }
}

function validateJob({ template }: Partial<Job['spec']>, reject: Reject): void {
  if ((template?.spec.containers ?? []).length === 0) reject('spec.template.spec.containers', 'Required value');
  const policy = template?.spec.restartPolicy ?? 'Always';
  if (!jobRestartPolicies.includes(policy)) {
    reject('spec.template.spec.restartPolicy', `Unsupported value: "${policy}": supported values: "OnFailure", "Never"`);
  }
}

const jobRestartPolicies: readonly string[] = ['OnFailure', 'Never'];
const unhealthyPodPolicies: readonly string[] = ['AlwaysAllow', 'IfHealthyBudget'];

/** What is wrong with a number or a percentage of pods. */
function problemOfShare(value: number | string): string | undefined {
  if (typeof value === 'number') return value >= 0 ? undefined : 'must be greater than or equal to 0';
  if (!/^[0-9]+%$/.test(value)) {
    const rule = "a valid percent string must be a numeric string followed by an ending '%'";
    return `${rule} (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')`;
  }
  return Number.parseInt(value, 10) <= 100 ? undefined : 'must not be greater than 100%';
}

function validateBudget(spec: PodDisruptionBudget['spec'], reject: Reject): void {
  const { minAvailable, maxUnavailable, unhealthyPodEvictionPolicy } = spec;
  if (minAvailable !== undefined && maxUnavailable !== undefined) {
    reject('spec', `Invalid value: ${JSON.stringify(spec)}: minAvailable and maxUnavailable cannot be both set`);
  }
  if (unhealthyPodEvictionPolicy !== undefined && !unhealthyPodPolicies.includes(unhealthyPodEvictionPolicy)) {
    const supported = unhealthyPodPolicies.map((policy) => JSON.stringify(policy)).join(', ');
    reject('spec.unhealthyPodEvictionPolicy', `Unsupported value: "${unhealthyPodEvictionPolicy}": supported values: ${supported}`);
  }
  for (const [field, value] of Object.entries({ minAvailable, maxUnavailable })) {
    const problem = problemOfShare(value ?? 0);
    if (problem !== undefined) reject(`spec.${field}`, `Invalid value: ${JSON.stringify(value)}: ${problem}`);
  }
}

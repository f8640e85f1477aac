import { Environment } from '@marcbachmann/cel-js';
import { ApiError } from './errors.ts';
import type { KubernetesObject, ResourceRule, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding } from './objects.ts';
import type { ResourceDefinition } from './resources.ts';
import { matchesSelector } from './selectors.ts';
import type { Store } from './store.ts';

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE';

/** A request before what it asks for is done. */
export interface Admission {
  definition: ResourceDefinition;
  namespace: string;
  name: string;
  subresource: string;
  operation: Operation;
  /** What is to be; null where it is to be deleted. */
  object: object | null;
  oldObject: object | null;
  dryRun: boolean;
}

const environment = new Environment({ unlistedVariablesAreDyn: true, homogeneousAggregateLiterals: false });

const codes: Readonly<Record<string, number>> = { Unauthorized: 401, Forbidden: 403, RequestEntityTooLarge: 413, Invalid: 422 };

/**
 * Throws an ApiError in the words of the API server where a ValidatingAdmissionPolicy of the cluster denies a request of a client: 422
 * unless the policy names another reason. Parameters, variables and actions other than `Deny` are left out.
 */
export function checkPolicies(store: Store, admission: Admission): void {
  for (const binding of store.list('validatingadmissionpolicybindings')) {
    const policy = store.get('validatingadmissionpolicies', '', binding.spec.policyName);
    if (policy && binding.spec.validationActions.includes('Deny') && concerns(store, policy, binding, admission))
      judge(policy, binding, admission);
  }
}

function concerns(
  store: Store,
  { spec }: ValidatingAdmissionPolicy,
  binding: ValidatingAdmissionPolicyBinding,
  admission: Admission,
): boolean {
  const rules = spec.matchConstraints?.resourceRules ?? [];
  if (!rules.some((rule) => matchesRule(rule, admission))) return false;
  const labels = store.get('namespaces', '', admission.namespace)?.metadata.labels;
  const selectors = [spec.matchConstraints?.namespaceSelector, binding.spec.matchResources?.namespaceSelector];
  // What lies in no namespace is meant whatever the selector says.
  return admission.namespace === '' || selectors.every((selector) => selector === undefined || matchesSelector(selector, labels));
}

function matchesRule(
  { apiGroups, apiVersions, operations, resources }: ResourceRule,
  { definition, subresource, operation }: Admission,
): boolean {
  const has = (list: readonly string[], value: string): boolean => list.includes('*') || list.includes(value);
  const { group, version, resource } = definition;
  const full = subresource === '' ? resource : `${resource}/${subresource}`;
  const isMeant =
    resources.includes('*/*') ||
    resources.includes(full) ||
    (subresource === '' ? resources.includes('*') : resources.includes(`${resource}/*`) || resources.includes(`*/${subresource}`));
  return has(apiGroups, group) && has(apiVersions, version) && has(operations, operation) && isMeant;
}

function judge({ metadata, spec }: ValidatingAdmissionPolicy, binding: KubernetesObject, admission: Admission): void {
  const { object, oldObject, operation, name, namespace, subresource, dryRun, definition } = admission;
  const resource = { group: definition.group, version: definition.version, resource: definition.resource };
  const userInfo = { username: 'sandbox', groups: ['system:authenticated'] };
  const request = { operation, name, namespace, subResource: subresource, resource, dryRun, userInfo };
  const scope = withWholeNumbers({ object, oldObject, request }) as Record<string, unknown>;
  const deny = (message: string, reason = 'Invalid'): never => {
    throw denied(
      admission,
      `ValidatingAdmissionPolicy '${metadata.name}' with binding '${binding.metadata.name}' denied request: ${message}`,
      reason,
    );
  };
  const holds = (expression: string): boolean => {
    try {
      return environment.evaluate(expression, scope) === true;
    } catch (error) {
      if (spec.failurePolicy === 'Ignore') return true;
      const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
      return deny(`expression '${expression}' resulted in error: ${why}`);
    }
  };
  if (!(spec.matchConditions ?? []).every(({ expression }) => holds(expression))) return;
  for (const { expression, message, reason } of spec.validations ?? []) {
    if (!holds(expression)) deny(message ?? `failed expression: ${expression}`, reason);
  }
}

function denied({ definition, name }: Admission, why: string, reason: string): ApiError {
  const { group, resource } = definition;
  const qualified = group === '' ? resource : `${resource}.${group}`;
  const details = { name, ...(group === '' ? {} : { group }), kind: resource, causes: [{ message: why }] };
  return new ApiError(codes[reason] ?? 422, reason, `${qualified} "${name}" is forbidden: ${why}`, details);
}

/** CEL tells whole numbers from others, JSON does not. */
function withWholeNumbers(value: unknown): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(withWholeNumbers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withWholeNumbers(inner)]));
}

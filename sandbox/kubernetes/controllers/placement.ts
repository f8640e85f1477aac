import type { Node, NodeSelectorTerm, PersistentVolume, PodSpec, Taint, Toleration } from '../objects.ts';

export const unschedulableTaint = 'node.kubernetes.io/unschedulable';
export const notReadyTaint = 'node.kubernetes.io/not-ready';

/** Whether a toleration covers a taint. */
function tolerates({ key, operator, value, effect }: Toleration, taint: Taint): boolean {
  if (effect !== undefined && effect !== '' && effect !== taint.effect) return false;
  if (key === undefined || key === '') return operator === 'Exists';
  return key === taint.key && (operator === 'Exists' || (value ?? '') === (taint.value ?? ''));
}

/** The taint that keeps a pod off a node, if there is one. */
export function repellingTaint(node: Node, tolerations: Toleration[] | undefined): Taint | undefined {
  const repels = (taint: Taint): boolean =>
    taint.effect !== 'PreferNoSchedule' && !(tolerations ?? []).some((one) => tolerates(one, taint));
  // The taint of a cordon follows a moment later; until then the cordon itself counts.
  const cordon: Taint = { key: unschedulableTaint, effect: 'NoSchedule' };
  if (node.spec.unschedulable === true && repels(cordon)) return cordon;
  return node.spec.taints?.find(repels);
}

function matchesExpression(value: string | undefined, operator: string, values: string[]): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
    default:
      return false;
  }
}

function matchesTerm(node: Node, { matchExpressions = [], matchFields = [] }: NodeSelectorTerm): boolean {
  if (matchExpressions.length === 0 && matchFields.length === 0) return false;
  const labels = node.metadata.labels ?? {};
  return (
    matchExpressions.every(({ key, operator, values }) => matchesExpression(labels[key], operator, values ?? [])) &&
    matchFields.every(({ operator, values }) => matchesExpression(node.metadata.name, operator, values ?? []))
  );
}

/** Whether a node is one that the pod's nodeSelector and required node affinity ask for. */
export function isWanted(node: Node, { nodeSelector, affinity }: PodSpec): boolean {
  if (!Object.entries(nodeSelector ?? {}).every(([key, value]) => node.metadata.labels?.[key] === value)) return false;
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return !required || required.nodeSelectorTerms.some((term) => matchesTerm(node, term));
}

/** Whether a volume can be used on a node. */
export function isUsableOn(node: Node, { spec }: PersistentVolume): boolean {
  const required = spec.nodeAffinity?.required;
  return !required || required.nodeSelectorTerms.some((term) => matchesTerm(node, term));
}

/** The one node that a daemon pod is meant for. */
export function boundTarget({ affinity }: PodSpec): string | undefined {
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return terms?.[0]?.matchFields?.find(({ key }) => key === 'metadata.name')?.values?.[0];
}

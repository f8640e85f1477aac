import { labelOf, requirementHolds, selectorMatches, type SelectorRequirement } from './selector.ts';

/** A requirement of a node selector. */
export type NodeRequirement = SelectorRequirement;

/** One way to satisfy a node selector: all of its requirements must hold (core/v1 NodeSelectorTerm). */
export interface NodeSelectorTerm {
  matchExpressions?: readonly NodeRequirement[];
  matchFields?: readonly NodeRequirement[];
}

/** A taint of a node (core/v1 Taint). */
export interface Taint {
  key: string;
  value?: string;
  effect: string;
}

/** What a pod puts up with (core/v1 Toleration). */
export interface Toleration {
  key?: string;
  operator?: string;
  value?: string;
  effect?: string;
}

/** What node selectors and tolerations are matched against. */
export interface SelectableNode {
  name: string;
  labels: Readonly<Record<string, string>>;
  taints: readonly Taint[];
  /** False for a node that is cordoned. */
  schedulable: boolean;
}

const cordonTaint: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };
const integerPattern = /^[+-]?\d+$/;

/**
 * Whether a node satisfies one of the terms, as a required node affinity or a volume asks for it. No terms and a term without
 * requirements match nothing; an operator we do not know matches nothing either, so that no place is promised that may be none.
 * After component-helpers, scheduling/corev1/nodeaffinity.
 */
export function matchesTerms(node: SelectableNode, terms: readonly NodeSelectorTerm[]): boolean {
  return terms.some(({ matchExpressions = [], matchFields = [] }) => {
    if (matchExpressions.length + matchFields.length === 0) return false;
    const labelsMatch = matchExpressions.every((requirement) => holds(requirement, labelOf(node.labels, requirement.key)));
    // The API server lets through no other field.
    return labelsMatch && matchFields.every((requirement) => requirement.key === 'metadata.name' && holds(requirement, node.name));
  });
}

function holds(requirement: NodeRequirement, value: string | undefined): boolean {
  const { operator, values = [] } = requirement;
  if (operator === 'Gt') return compare(value, values) > 0;
  if (operator === 'Lt') return compare(value, values) < 0;
  return requirementHolds(requirement, value) ?? false;
}

/** Negative, zero or positive like the difference; NaN, which is neither, where one of them is no integer. */
function compare(value: string | undefined, [bound, ...others]: readonly string[]): number {
  if (value === undefined || bound === undefined || others.length > 0) return NaN;
  if (!integerPattern.test(value) || !integerPattern.test(bound)) return NaN;
  const difference = BigInt(value) - BigInt(bound);
  return difference > 0n ? 1 : difference < 0n ? -1 : 0;
}

/** Whether a node has all labels of a pod's nodeSelector. */
export function matchesNodeSelector(node: SelectableNode, selector: Readonly<Record<string, string>>): boolean {
  return selectorMatches({ matchLabels: selector }, node.labels);
}

/** The taint that keeps pods with these tolerations off a node, a cordon included; undefined where they may come. */
export function repellingTaint(node: SelectableNode, tolerations: readonly Toleration[]): Taint | undefined {
  const taints = node.schedulable ? node.taints : [cordonTaint, ...node.taints];
  return taints.find(({ effect, ...taint }) => {
    const keepsOff = effect === 'NoSchedule' || effect === 'NoExecute';
    return keepsOff && !tolerations.some((toleration) => tolerates(toleration, { effect, ...taint }));
  });
}

/** After core/v1 Toleration.ToleratesTaint; an operator we do not know tolerates nothing. */
function tolerates({ key = '', operator = '', value = '', effect = '' }: Toleration, taint: Taint): boolean {
  if (effect !== '' && effect !== taint.effect) return false;
  if (key !== '' && key !== taint.key) return false;
  if (operator === 'Exists') return true;
  // Without a key only Exists is valid, and means every taint.
  return (operator === '' || operator === 'Equal') && key !== '' && value === (taint.value ?? '');
}

/** A taint as kubectl writes it: `dedicated=search:NoSchedule`. */
export function taintText({ key, value = '', effect }: Taint): string {
  return `${key}${value === '' ? '' : `=${value}`}:${effect}`;
}

/** The terms of a node selector in words: `zone in (a, b), or disk exists`. */
export function termsText(terms: readonly NodeSelectorTerm[]): string {
  const texts = terms.map(({ matchExpressions = [], matchFields = [] }) =>
    [...matchExpressions, ...matchFields].map(requirementText).join(' and '),
  );
  return texts.join(', or ');
}

function requirementText({ key, operator, values = [] }: NodeRequirement): string {
  const list = values.join(', ');
  switch (operator) {
    case 'In':
      return values.length === 1 ? `${key}=${list}` : `${key} in (${list})`;
    case 'NotIn':
      return values.length === 1 ? `${key}!=${list}` : `${key} not in (${list})`;
    case 'Exists':
      return `${key} present`;
    case 'DoesNotExist':
      return `${key} absent`;
    case 'Gt':
      return `${key}>${list}`;
    case 'Lt':
      return `${key}<${list}`;
    default:
      return `${key} ${operator} (${list})`;
  }
}

import { ownValue } from '../map.ts';

/** What a selector asks of one label or field (meta/v1 LabelSelectorRequirement, core/v1 NodeSelectorRequirement). */
export interface SelectorRequirement {
  key: string;
  operator: string;
  values?: readonly string[];
}

/** A Kubernetes label selector (meta/v1 LabelSelector): all of it must match. */
export interface LabelSelector {
  matchLabels?: Readonly<Record<string, string>>;
  matchExpressions?: readonly SelectorRequirement[];
}

/**
 * Whether labels match a selector as the API server reads it. In policy/v1 an empty selector matches every pod of the
 * namespace and an absent one matches none. An operator we do not know is taken as a match: a budget that
 * may protect a pod is heeded.
 */
export function selectorMatches(selector: LabelSelector | undefined, labels: Readonly<Record<string, string>>): boolean {
  if (selector === undefined) return false;
  const equal = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labelOf(labels, key) === value);
  return equal && (selector.matchExpressions ?? []).every((one) => requirementHolds(one, labelOf(labels, one.key)) ?? true);
}

/** Whether a value, or its absence, is what a requirement asks for; undefined where the operator is none of the four of label selectors. */
export function requirementHolds({ operator, values = [] }: SelectorRequirement, value: string | undefined): boolean | undefined {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return undefined;
  }
}

/** The value of a label; undefined where there is none. One may be called `constructor`, which every object seems to have. */
export function labelOf(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  return ownValue(labels, key);
}

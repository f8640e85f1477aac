import type { Aim, ObjectName, Parts } from './snapshot.ts';

/**
 * `error`: the upgrade fails, or something is lost by it. `warning`: it may disturb somebody. `note`: good to know.
 */
export type Severity = 'error' | 'warning' | 'note';

/** The severities, the worst first. */
export const severities: readonly Severity[] = ['error', 'warning', 'note'];

/** What a rule has to say of one object. */
export interface Found {
  /** As people write it: `Deployment/shop/web`, `Nodegroup/blue`. */
  object: string;
  severity: Severity;
  why: string;
  remedy: string;
}

/** One problem of one object, with the check that has found it. */
export interface Finding extends Found {
  /** `<check>:<object>`: by this name it is waived. */
  name: string;
  check: string;
  /** Where the rule comes from. */
  source: string;
}

/** One rule over a cluster as it was read. */
export interface Check {
  /** Such as `single-replica`. */
  name: string;
  /** What it looks for, in a few words. */
  title: string;
  severity: string;
  source: string;
  /** The parts without which it cannot be made. */
  reads: readonly (keyof Parts)[];
  find(parts: Parts, aim: Aim): Found[];
}

/** Makes a check whose rule sees the parts that it reads, and no others. */
export function defineCheck<Name extends keyof Parts>(
  check: Omit<Check, 'reads' | 'find'> & { reads: readonly Name[]; find: (parts: Pick<Parts, Name>, aim: Aim) => Found[] },
): Check {
  return check;
}

/** An object as findings name it. */
export function objectText({ kind, namespace, name }: ObjectName): string {
  return namespace === '' ? `${kind}/${name}` : `${kind}/${namespace}/${name}`;
}

/** Whether whoever runs the cluster does not write what is in a namespace. */
export function isSystemNamespace(namespace: string): boolean {
  return ['kube-system', 'kube-public', 'kube-node-lease'].includes(namespace);
}

/** Some names, and how many more there are. */
export function someOf(names: readonly string[], shownMax = 5): string {
  const shown = names.slice(0, shownMax).join(', ');
  return names.length > shownMax ? `${shown} and ${names.length - shownMax} more` : shown;
}

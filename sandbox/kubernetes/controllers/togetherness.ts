import { hasEnded } from '../objects.ts';
import type { Node, Pod, PodAffinityTerm, TopologySpreadConstraint } from '../objects.ts';
import { matchesSelector } from '../selectors.ts';
import type { Store } from '../store.ts';
import { isWanted } from './placement.ts';

/** Why a node does not do for a pod because of the pods that are placed already; undefined where it does. */
export type TogethernessRule = (node: Node) => string | undefined;

const antiAffinity = "node(s) didn't match pod anti-affinity rules";
const antiAffinityOfOthers = "node(s) didn't satisfy existing pods anti-affinity rules";
const affinity = "node(s) didn't match pod affinity rules";
const spread = "node(s) didn't match pod topology spread constraints";
const spreadWithoutLabel = `${spread} (missing required label)`;

/**
 * The required affinity, anti-affinity and topology spread of a pod, and the anti-affinity of the others against it. `repelling` are the
 * pods that have such a rule. Undefined where there is nothing to heed, as for most pods.
 */
export function togethernessOf(store: Store, pod: Pod, repelling: Iterable<Pod>): TogethernessRule | undefined {
  const { affinity: asked, topologySpreadConstraints = [] } = pod.spec;
  const apart = asked?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  const together = asked?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  const constraints = topologySpreadConstraints.filter(({ whenUnsatisfiable }) => whenUnsatisfiable === 'DoNotSchedule');
  const rules: TogethernessRule[] = [
    // In the order of the scheduler, whose first reason is told.
    ...constraints.map((constraint) => spreadRule(store, pod, constraint)),
    ...together.map((term) => togetherRule(store, pod, term)),
    ...apart.map((term) => apartRule(store, pod, term)),
    ...[...repelling].flatMap((other) => repelledBy(store, pod, other)),
  ];
  if (rules.length === 0) return undefined;
  return (node) => {
    for (const rule of rules) {
      const reason = rule(node);
      if (reason !== undefined) return reason;
    }
    return undefined;
  };
}

/** Whether a pod keeps others away from where it is. */
export function repels({ spec }: Pod): boolean {
  return (spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).length > 0;
}

function isMeant({ labelSelector, namespaces }: PodAffinityTerm, owner: Pod, other: Pod): boolean {
  const among = namespaces ?? [owner.metadata.namespace ?? ''];
  return among.includes(other.metadata.namespace ?? '') && matchesSelector(labelSelector, other.metadata.labels);
}

function domainOf(node: Node | undefined, key: string): string | undefined {
  return node?.metadata.labels?.[key];
}

/** The domains of a topology in which placed pods are that a term means. */
function domainsOf(store: Store, pod: Pod, term: PodAffinityTerm): Set<string | undefined> {
  const namespaces = term.namespaces ?? [pod.metadata.namespace ?? ''];
  const meant = namespaces.flatMap((namespace) => store.inNamespace('pods', namespace)).filter((other) => isMeant(term, pod, other));
  const placed = meant.filter((other) => other.spec.nodeName !== undefined && !hasEnded(other));
  return new Set(placed.map(({ spec }) => domainOf(store.get('nodes', '', spec.nodeName ?? ''), term.topologyKey)));
}

function repelledBy(store: Store, pod: Pod, other: Pod): TogethernessRule[] {
  const terms = other.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  const here = store.get('nodes', '', other.spec.nodeName ?? '');
  return terms
    .filter((term) => isMeant(term, other, pod))
    .map(({ topologyKey }) => {
      const taken = domainOf(here, topologyKey);
      return (node) => (taken !== undefined && domainOf(node, topologyKey) === taken ? antiAffinityOfOthers : undefined);
    });
}

function apartRule(store: Store, pod: Pod, term: PodAffinityTerm): TogethernessRule {
  const taken = domainsOf(store, pod, term);
  taken.delete(undefined);
  return (node) => (taken.has(domainOf(node, term.topologyKey)) ? antiAffinity : undefined);
}

function togetherRule(store: Store, pod: Pod, term: PodAffinityTerm): TogethernessRule {
  const wanted = domainsOf(store, pod, term);
  wanted.delete(undefined);
  // The first of pods that want to be with their own kind may go anywhere.
  const isFirst = wanted.size === 0 && isMeant(term, pod, pod);
  return (node) => {
    const domain = domainOf(node, term.topologyKey);
    return domain !== undefined && (isFirst || wanted.has(domain)) ? undefined : affinity;
  };
}

/** Domains are counted as the scheduler does by default: those of nodes that the pod may go to, whatever their taints. */
function spreadRule(
  store: Store,
  pod: Pod,
  { maxSkew, topologyKey, labelSelector, minDomains = 1 }: TopologySpreadConstraint,
): TogethernessRule {
  const counts = new Map<string, number>();
  for (const node of store.list('nodes')) {
    const domain = domainOf(node, topologyKey);
    if (domain !== undefined && isWanted(node, pod.spec)) counts.set(domain, 0);
  }
  for (const other of store.inNamespace('pods', pod.metadata.namespace ?? '')) {
    const domain = domainOf(store.get('nodes', '', other.spec.nodeName ?? ''), topologyKey);
    const before =
      domain === undefined || hasEnded(other) || other.metadata.deletionTimestamp !== undefined ? undefined : counts.get(domain);
    if (domain !== undefined && before !== undefined && matchesSelector(labelSelector, other.metadata.labels))
      counts.set(domain, before + 1);
  }
  const least = counts.size < minDomains ? 0 : Math.min(...counts.values());
  const self = matchesSelector(labelSelector, pod.metadata.labels) ? 1 : 0;
  return (node) => {
    const domain = domainOf(node, topologyKey);
    if (domain === undefined) return spreadWithoutLabel;
    return (counts.get(domain) ?? 0) + self - least > maxSkew ? spread : undefined;
  };
}

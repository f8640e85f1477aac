import { badRequest } from './errors.ts';
import type { KubernetesObject, LabelSelector, Node, Pod, ResourceName, SelectorRequirement } from './objects.ts';

type Labels = Record<string, string> | undefined;

/** Says whether something holds of an object. */
export type Predicate = (object: KubernetesObject) => boolean;

/** How many requirements one selector may have. */
const requirementsMax = 100;

function holds(labels: Labels, { key, operator, values }: SelectorRequirement): boolean {
  const value = labels?.[key];
  switch (operator) {
    case 'In':
      return value !== undefined && (values ?? []).includes(value);
    case 'NotIn':
      return value === undefined || !(values ?? []).includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** Whether labels satisfy a selector object; an empty selector is satisfied by everything, an absent one by nothing. */
export function matchesSelector(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (!selector) return false;
  const equal = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels?.[key] === value);
  return equal && (selector.matchExpressions ?? []).every((requirement) => holds(labels, requirement));
}

const setBased = /^\s*([^\s=!,()]+)\s+(in|notin)\s*\(([^()]*)\)\s*$/;
const equality = /^\s*([^\s=!,()]+)\s*(==|=|!=)\s*([^\s=!,()]*)\s*$/;
const existence = /^\s*(!?)\s*([^\s=!,()]+)\s*$/;

function parseRequirement(text: string): SelectorRequirement {
  const set = setBased.exec(text);
  if (set) {
    const values = (set[3] ?? '').split(',').map((value) => value.trim());
    return { key: set[1] ?? '', operator: set[2] === 'in' ? 'In' : 'NotIn', values };
  }
  const equal = equality.exec(text);
  if (equal) return { key: equal[1] ?? '', operator: equal[2] === '!=' ? 'NotIn' : 'In', values: [equal[3] ?? ''] };
  const exists = existence.exec(text);
  if (exists) return { key: exists[2] ?? '', operator: exists[1] === '!' ? 'DoesNotExist' : 'Exists' };
  throw badRequest(`unable to parse requirement: ${text}`);
}

/** Reads a selector as it stands in a query: `app=web,tier in (a, b),!legacy`. Throws an ApiError (400). */
function parseLabelSelector(text: string): SelectorRequirement[] {
  if (text.trim() === '') return [];
  const parts = text.split(/,(?![^(]*\))/);
  if (parts.length > requirementsMax) throw badRequest(`a label selector may have ${requirementsMax} requirements, not ${parts.length}`);
  return parts.map(parseRequirement);
}

/** A predicate for the `labelSelector` of a query. */
export function labelPredicate(text: string): Predicate {
  const requirements = parseLabelSelector(text);
  return (object) => requirements.every((requirement) => holds(object.metadata.labels, requirement));
}

type FieldReader = (object: KubernetesObject) => string;

const commonFields: Record<string, FieldReader> = {
  'metadata.name': (object) => object.metadata.name,
  'metadata.namespace': (object) => object.metadata.namespace ?? '',
};

function involved(field: string): FieldReader {
  return (object) => {
    const reference = (object as { involvedObject?: Record<string, string> }).involvedObject;
    return reference?.[field] ?? '';
  };
}

const fieldsOf: Partial<Record<ResourceName, Record<string, FieldReader>>> = {
  pods: {
    'spec.nodeName': (object) => (object as Pod).spec.nodeName ?? '',
    'status.phase': (object) => (object as Pod).status.phase,
    'status.podIP': (object) => (object as Pod).status.podIP ?? '',
    'spec.restartPolicy': (object) => (object as { spec: { restartPolicy?: string } }).spec.restartPolicy ?? 'Always',
  },
  nodes: { 'spec.unschedulable': (object) => String((object as Node).spec.unschedulable ?? false) },
  namespaces: { 'status.phase': (object) => (object.status as { phase?: string } | undefined)?.phase ?? '' },
  secrets: { type: (object) => (object as { type?: string }).type ?? '' },
  events: {
    reason: (object) => (object as unknown as { reason: string }).reason,
    type: (object) => (object as unknown as { type: string }).type,
    source: (object) => (object as { source?: { component?: string } }).source?.component ?? '',
    'involvedObject.apiVersion': involved('apiVersion'),
    'involvedObject.kind': involved('kind'),
    'involvedObject.name': involved('name'),
    'involvedObject.namespace': involved('namespace'),
    'involvedObject.uid': involved('uid'),
  },
};

/** A predicate for the `fieldSelector` of a query; throws an ApiError (400) for fields that the resource does not offer. */
export function fieldPredicate(resource: ResourceName, text: string): Predicate {
  const tests = text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => fieldTest(resource, part));
  return (object) => tests.every((test) => test(object));
}

function fieldTest(resource: ResourceName, part: string): Predicate {
  const parsed = /^\s*([^\s=!]+)\s*(==|=|!=)\s*(.*?)\s*$/.exec(part);
  if (!parsed) throw badRequest(`invalid selector: '${part}'; can't understand '${part}'`);
  const [, field = '', operator, value] = parsed;
  const read = commonFields[field] ?? fieldsOf[resource]?.[field];
  if (!read) throw badRequest(`field label not supported: ${field}`);
  return (object) => (read(object) === value) === (operator !== '!=');
}

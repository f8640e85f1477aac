import { ApiError } from './errors.ts';
import type { ResourceDefinition } from './resources.ts';

/** What a client wants to do. */
export interface Attempt {
  verb: string;
  definition: ResourceDefinition;
  namespace: string;
  name: string;
  /** Empty where it is about the resource itself. */
  subresource: string;
}

/** What clients may do with a cluster: everything but what has been forbidden. Controllers are not asked. */
export class Access {
  private readonly forbidden = new Set<string>();

  /** Forbids verbs on a resource, or on a subresource such as `pods/eviction`, in all namespaces. */
  forbid(group: string, resource: string, ...verbs: string[]): void {
    for (const verb of verbs) this.forbidden.add(`${verb} ${group} ${resource}`);
  }

  allows(verb: string, group: string, resource: string): boolean {
    return !this.forbidden.has(`${verb} ${group} ${resource}`);
  }

  /** Throws an ApiError (403) in the words of the RBAC authorizer for what is forbidden. */
  check({ verb, definition, namespace, name, subresource }: Attempt): void {
    const { group, resource } = definition;
    const full = subresource === '' ? resource : `${resource}/${subresource}`;
    if (this.allows(verb, group, full)) return;
    const about = `${group === '' ? resource : `${resource}.${group}`}${name === '' ? '' : ` "${name}"`}`;
    const scope = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
    const why = `User "sandbox" cannot ${verb} resource "${full}" in API group "${group}" ${scope}`;
    throw new ApiError(403, 'Forbidden', `${about} is forbidden: ${why}`, { ...(name === '' ? {} : { name }), group, kind: resource });
  }
}

const verbsOfMethods: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** The verb by which a request is authorized. */
export function verbOf(method: string, name: string, isWatch: boolean): string {
  return verbsOfMethods[method] ?? (name !== '' ? 'get' : isWatch ? 'watch' : 'list');
}

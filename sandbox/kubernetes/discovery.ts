import { apiVersionOf, resources } from './resources.ts';
import type { ResourceDefinition } from './resources.ts';

const verbs = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];
const subresourceVerbs = ['get', 'patch', 'update'];

interface ApiResource {
  name: string;
  singularName: string;
  namespaced: boolean;
  kind: string;
  verbs: string[];
  group?: string;
  version?: string;
  shortNames?: string[];
  categories?: string[];
}

function apiResources(definition: ResourceDefinition): ApiResource[] {
  const { resource: name, singular: singularName, namespaced, kind, shortNames, categories } = definition;
  const main = { name, singularName, namespaced, kind, verbs, shortNames, ...(categories.length > 0 ? { categories } : {}) };
  const found: ApiResource[] = [main];
  const sub = { singularName: '', namespaced, verbs: subresourceVerbs };
  if (definition.status) found.push({ ...sub, name: `${name}/status`, kind });
  if (definition.scale) found.push({ ...sub, name: `${name}/scale`, kind: 'Scale', group: 'autoscaling', version: 'v1' });
  if (name === 'pods') {
    found.push({ ...sub, name: 'pods/eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] });
  }
  return found;
}

const accessReview: ApiResource = {
  name: 'selfsubjectaccessreviews',
  singularName: 'selfsubjectaccessreview',
  namespaced: false,
  kind: 'SelfSubjectAccessReview',
  verbs: ['create'],
};

function groupVersions(served: readonly ResourceDefinition[]): Map<string, ApiResource[]> {
  const found = new Map<string, ApiResource[]>();
  for (const definition of served) {
    const groupVersion = apiVersionOf(definition);
    found.set(groupVersion, [...(found.get(groupVersion) ?? []), ...apiResources(definition)]);
  }
  return found.set('authorization.k8s.io/v1', [accessReview]);
}

function group(groupVersion: string) {
  const [name = '', version = ''] = groupVersion.split('/');
  const entry = { groupVersion, version };
  return { name, versions: [entry], preferredVersion: entry };
}

/** What `/version` answers for a cluster of a minor version such as `1.33`. */
function versionInfo(version: string): object {
  const [major, minor] = version.split('.');
  const build = { gitCommit: '', gitTreeState: 'clean', buildDate: '2025-09-01T00:00:00Z', platform: 'linux/amd64' };
  return { major, minor, gitVersion: `v${version}.4-eks-99bf8d4`, ...build };
}

/** The answer to a path that tells clients what there is; undefined if the path is none of these. */
export function discover(path: string, version: string, isServed: (definition: ResourceDefinition) => boolean): object | undefined {
  const all = groupVersions(resources.filter(isServed));
  if (path === '/version') return versionInfo(version);
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
  const groups = [...all.keys()].filter((groupVersion) => groupVersion !== 'v1').map(group);
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups };
  const groupVersion = path === '/api/v1' ? 'v1' : path.slice('/apis/'.length);
  const found = all.get(groupVersion);
  if (found) return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: found };
  const single = groups.find(({ name }) => path === `/apis/${name}`);
  return single ? { kind: 'APIGroup', apiVersion: 'v1', ...single } : undefined;
}

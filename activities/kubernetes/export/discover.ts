import pMap from 'p-map';
import { typeNameOf, type LeftOutType, type ServedType } from '../../../domain/backup/export.ts';
import { chooseTypes, type DiscoveredResource, type DiscoveredVersion } from '../../../domain/backup/served-types.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { kubernetesCode, kubernetesError } from '../../failure.ts';
import type { KubernetesApis } from '../client/connect.ts';
import { readPatiently } from '../client/list.ts';

/** Types of which one backup keeps the objects; clusters with hundreds of CustomResourceDefinitions are known. */
export const typesMax = 2_000;
const versionsMax = 1_000;
const requestsAtOnceMax = 8;
/** `componentstatuses` are made up by the server as they are asked for; nobody has stored them. */
const madeUp = ['componentstatuses'];
const namePattern = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const kindPattern = /^[A-Za-z][A-Za-z0-9]{0,252}$/;

/** What a cluster serves. */
export interface ServedTypes {
  types: ServedType[];
  /** All versions in which types are served, by `servedNameOf`. */
  versions: ReadonlySet<string>;
  /** Types whose objects another server keeps (aggregated APIs), by `typeNameOf`. */
  aggregated: ReadonlySet<string>;
  leftOut: LeftOutType[];
}

interface Groups {
  groups: { name: string; versions: { version: string }[]; preferredVersion: { version: string } }[];
}

/**
 * Asks an API server what it serves. A group of an aggregated API that does not answer is left out, and named; one of its own must
 * answer. Throws `kubernetes-…` errors.
 */
export async function discoverTypes(apis: KubernetesApis, cluster: string): Promise<ServedTypes> {
  const get = <Answer>(path: string): Promise<Answer> => readPatiently(() => apis.request<Answer>('GET', path));
  const trying = async <Answer>(call: string, path: string): Promise<Answer> => {
    return get<Answer>(path).catch((error: unknown) => {
      throw kubernetesError(error, call, cluster);
    });
  };
  const services = await trying<{ items: { metadata: { name: string }; spec?: { service?: object | null } }[] }>(
    'list API services',
    '/apis/apiregistration.k8s.io/v1/apiservices',
  );
  const elsewhere = new Set(services.items.filter(({ spec }) => spec?.service).map(({ metadata }) => metadata.name));
  const { groups } = await trying<Groups>('list API groups', '/apis');
  const versions = [{ group: '', version: 'v1' }, ...groups.flatMap(versionsOf)];
  if (versions.length > versionsMax) throw refused(cluster, `it serves more than ${versionsMax} groups in their versions`);
  const leftOut: LeftOutType[] = [];
  const read = async ({ group, version }: { group: string; version: string }): Promise<DiscoveredVersion[]> => {
    const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    try {
      const { resources } = await get<{ resources: DiscoveredResource[] }>(path);
      return [{ group, version, resources }];
    } catch (error) {
      if (!elsewhere.has(`${version}.${group}`)) throw kubernetesError(error, `list what ${group}/${version} serves`, cluster);
      leftOut.push({ type: `*.${group}`, reason: `The aggregated API of ${group}/${version} does not answer (${answerOf(error)}).` });
      return [];
    }
  };
  const discovered = (await pMap(versions, read, { concurrency: requestsAtOnceMax })).flat();
  const types = chooseTypes(discovered).filter(({ group, resource }) => group !== '' || !madeUp.includes(resource));
  if (types.length > typesMax) throw refused(cluster, `it serves more than ${typesMax} types`);
  for (const type of types) requireNames(type, cluster);
  // Whoever reads a backup knows by then in which namespaces objects were being deleted.
  types.sort((one, other) => Number(other.resource === 'namespaces') - Number(one.resource === 'namespaces'));
  const aggregated = types.filter(({ group, version }) => elsewhere.has(`${version}.${group}`)).map(typeNameOf);
  const named = discovered.flatMap(({ group, version, resources }) => {
    return resources.map(({ name }) => servedNameOf({ group, version, resource: name }));
  });
  return { types, versions: new Set(named), aggregated: new Set(aggregated), leftOut };
}

/** A type in one of its versions, such as `v1 deployments.apps`. */
export function servedNameOf(type: Pick<ServedType, 'group' | 'version' | 'resource'>): string {
  return `${type.version} ${typeNameOf(type)}`;
}

/** The preferred version first. */
function versionsOf({ name: group, versions, preferredVersion }: Groups['groups'][number]): { group: string; version: string }[] {
  const others = versions.filter(({ version }) => version !== preferredVersion.version);
  return [preferredVersion, ...others].map(({ version }) => ({ group, version }));
}

/** Names become parts of paths: what a server that is not one says of itself must not lead elsewhere. */
function requireNames({ group, version, resource, kind }: ServedType, cluster: string): void {
  const areNames = [version, resource, ...(group === '' ? [] : [group])].every((name) => namePattern.test(name));
  if (!areNames || !kindPattern.test(kind)) throw refused(cluster, `it serves a type whose name is none: ${JSON.stringify(resource)}`);
}

function refused(cluster: string, cause: string): HoldpointError {
  return new HoldpointError('kubernetes-refused', { call: 'list what is served', cluster, cause });
}

function answerOf(error: unknown): string {
  const code = kubernetesCode(error);
  return code === undefined ? 'no answer' : `HTTP ${code}`;
}

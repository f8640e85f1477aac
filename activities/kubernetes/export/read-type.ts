import { apiVersionOf, typeNameOf, type ServedType } from '../../../domain/backup/export.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { kubernetesError } from '../../failure.ts';
import { apiPath, type KubernetesApis } from '../client/connect.ts';
import { isGone, listLimits, readPatiently, readWhole } from '../client/list.ts';
import { splitList, type SplitList } from './split-list.ts';

const pageSize = 500;
/** Of a page that has more bytes than are read, a smaller part is asked for. */
const pageShrinksBy = 8;
const pagesMax = 100_000;

/** The revision that a backup was begun at is not known any more: the server has compacted it. */
export class RevisionGone extends Error {
  override readonly name = 'RevisionGone';
}

/** An answer that is not of the revision that was asked for. */
export class OtherRevision extends Error {
  override readonly name = 'OtherRevision';
}

/** Where the objects of a type are: in one namespace, or over all of them. */
export function collectionPath({ group, version, resource }: Pick<ServedType, 'group' | 'version' | 'resource'>, namespace = ''): string {
  const root = group === '' ? apiPath`/api/${version}` : apiPath`/apis/${group}/${version}`;
  return namespace === '' ? root + apiPath`/${resource}` : root + apiPath`/namespaces/${namespace}/${resource}`;
}

/** What pages are read with. */
export interface PageReading {
  cluster: string;
  connect: () => Promise<KubernetesApis>;
  signal: AbortSignal;
  /** Reads the objects of one namespace only. */
  namespace?: string;
}

/** One page of a type, and the revision that it shows. */
export interface PageOfType {
  items: Buffer[];
  revision: string;
}

/**
 * Reads all objects of a type page by page: as they were at the given revision, or, without one, at the moment of the first page. Each
 * page must say that revision. Throws RevisionGone, OtherRevision, and `kubernetes-…` errors.
 */
export async function* readType(type: ServedType, revision: string | undefined, reading: PageReading): AsyncGenerator<PageOfType> {
  const call = `list ${typeNameOf(type)}`;
  const begin: Record<string, string> = revision === undefined ? {} : { resourceVersion: revision, resourceVersionMatch: 'Exact' };
  let [size, place, expected] = [pageSize, '', revision];
  const ask = (): Promise<SplitList | undefined> => {
    const asked = askPage(type, { limit: String(size), ...(place === '' ? begin : { continue: place }) }, reading, call);
    // Where something else fails first, nobody waits for it.
    asked.catch(() => undefined);
    return asked;
  };
  let asked = ask();
  for (let page = 0; page < pagesMax; page += 1) {
    const found = await asked;
    if (found === undefined) {
      if (size === 1) throw refused(call, reading.cluster, `one object has more than ${listLimits.pageBytesMax} bytes`);
      size = Math.max(1, Math.floor(size / pageShrinksBy));
      asked = ask();
      continue;
    }
    const { resourceVersion = '', continue: next = '' } = found.envelope.metadata ?? {};
    expected ??= resourceVersion;
    if (resourceVersion !== expected) {
      throw new OtherRevision(`its page ${page + 1} was of revision ${resourceVersion === '' ? 'unknown' : resourceVersion}`);
    }
    if (next !== '' && next === place) throw refused(call, reading.cluster, 'its pages go round in a circle');
    [place, size] = [next, Math.min(pageSize, size * 2)];
    // The server works on the next page while this one is written.
    if (next !== '') asked = ask();
    yield { items: found.items, revision: resourceVersion };
    if (next === '') return;
  }
  throw refused(call, reading.cluster, `more than ${pagesMax} pages`);
}

/** The revision at which a type is listed just now; empty where its server gives none. */
export async function revisionOf(type: ServedType, reading: PageReading): Promise<string> {
  const found = await askPage(type, { limit: '1' }, reading, `list ${typeNameOf(type)}`);
  return found?.envelope.metadata?.resourceVersion ?? '';
}

async function askPage(
  type: ServedType,
  query: Record<string, string>,
  { connect, signal, cluster, namespace }: PageReading,
  call: string,
): Promise<SplitList | undefined> {
  const json = await readPatiently(async () =>
    readWhole(await (await connect()).open(collectionPath(type, namespace), query, signal)),
  ).catch((error: unknown) => {
    signal.throwIfAborted();
    if (isGone(error)) throw new RevisionGone(`${apiVersionOf(type)} ${type.resource}`);
    throw kubernetesError(error, call, cluster);
  });
  if (json === undefined) return undefined;
  const list = splitList(json);
  if (!list) throw refused(call, cluster, 'its answer is no list');
  return list;
}

function refused(call: string, cluster: string, cause: string): HoldpointError {
  return new HoldpointError('kubernetes-refused', { call, cluster, cause });
}

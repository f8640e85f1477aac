import pMap from 'p-map';
import { desiredOf } from '../../../domain/backup/desired.ts';
import { apiVersionOf, typeNameOf, type ServedType } from '../../../domain/backup/export.ts';
import { isPathName } from '../../../domain/backup/object-name.ts';
import { waveOf } from '../../../domain/backup/restorable.ts';
import { isObject, type Json, type JsonObject } from '../../../domain/json.ts';
import { kubernetesCode, kubernetesError } from '../../failure.ts';
import { apiPath, type KubernetesApis } from '../client/connect.ts';
import { readPatiently } from '../client/list.ts';
import { collectionPath } from '../export/read-type.ts';

const requestsAtOnceMax = 8;
const definitionWave = 0;
/** Between the wave of an owner and the next one. */
const ownedLater = 0.5;
const definitionLooksMax = 100;

/** An object that is to be applied. */
export interface Application {
  key: string;
  type: ServedType;
  namespace: string;
  name: string;
  object: JsonObject;
  /** Of the object that is there: it is changed only while it is that one, in that version. Undefined where there is none. */
  live?: { uid: string; resourceVersion: string };
}

/** What applies are sent with. */
export interface Applying {
  connect: () => Promise<KubernetesApis>;
  cluster: string;
  /** The field manager: it marks what this step has applied. */
  manager: string;
  /** Types of the cluster and of the backup, by `apiVersion` and kind, which owners are looked for by. */
  types: readonly ServedType[];
  signal: AbortSignal;
  wait: (ms: number) => Promise<void>;
  onDone: (done: number) => void;
}

/**
 * Applies objects in the order of what they need; owners before those that they own. What is refused is passed over and its error
 * given back: the next look finds it missing. Throws `kubernetes-…` errors that may pass by themselves.
 */
export async function applyAll(applications: readonly Application[], applying: Applying): Promise<{ key: string; error: unknown }[]> {
  const waves = new Map<number, Application[]>();
  for (const application of applications) {
    const wave = waveOfApplication(application, applying.types);
    waves.set(wave, [...(waves.get(wave) ?? []), application]);
  }
  const refused: { key: string; error: unknown }[] = [];
  let done = 0;
  for (const [wave, members] of [...waves].sort(([one], [other]) => one - other)) {
    const applyOne = async (application: Application): Promise<void> => {
      applying.signal.throwIfAborted();
      try {
        await applyObject(application, applying);
      } catch (error) {
        if (kubernetesError(error, `apply ${application.key}`, applying.cluster).consequence === 'retry') throw error;
        refused.push({ key: application.key, error });
      }
      applying.onDone((done += 1));
    };
    await pMap(members, applyOne, { concurrency: requestsAtOnceMax });
    if (wave === definitionWave) await untilEstablished(members, applying);
  }
  return refused;
}

/** What is owned comes after its owners, whatever it is: it has to name the UIDs that they have by then. */
function waveOfApplication({ type, object }: Application, types: readonly ServedType[]): number {
  const owners = ownersOf(object).flatMap((owner) => typeOfOwner(owner, types) ?? []);
  return owners.length === 0 ? waveOf(type) : Math.max(...[type, ...owners].map(waveOf)) + ownedLater;
}

function typeOfOwner({ apiVersion, kind }: JsonObject, types: readonly ServedType[]): ServedType | undefined {
  return types.find((one) => one.kind === kind && apiVersionOf(one) === apiVersion);
}

/** Applies one object, or asks only what would come of it. Throws `kubernetes-…` errors. */
export async function applyObject(application: Application, applying: Applying, dryRun = false): Promise<void> {
  const { type, namespace, name, live } = application;
  const apis = await applying.connect();
  const body = await bodyOf(application, applying);
  const query = {
    fieldManager: applying.manager,
    // What others have set is taken from them where the change was signed, and refused where the object was to be new.
    force: String(live !== undefined),
    ...(dryRun && { dryRun: 'All' }),
  };
  const path = collectionPath(type, namespace) + apiPath`/${name}`;
  await apis.request('PATCH', path, { query, body, applies: true }).catch((error: unknown) => {
    throw kubernetesError(error, `apply ${application.key}`, applying.cluster);
  });
}

async function bodyOf({ object, type, live }: Application, applying: Applying): Promise<JsonObject> {
  const desired = desiredOf(object, type);
  const metadata = isObject(desired.metadata) ? desired.metadata : {};
  const { ownerReferences: _before, ...rest } = metadata;
  const owners = await ownersNow(object, applying);
  const identity: JsonObject = live ? { uid: live.uid, resourceVersion: live.resourceVersion } : {};
  return { ...desired, metadata: { ...rest, ...(owners.length > 0 && { ownerReferences: owners }), ...identity } };
}

function ownersOf(object: JsonObject): JsonObject[] {
  const metadata = isObject(object.metadata) ? object.metadata : {};
  return Array.isArray(metadata.ownerReferences) ? metadata.ownerReferences.filter(isObject) : [];
}

/** The owners with the UIDs that they have now. One that is not there is left out: its object would be deleted at once. */
async function ownersNow(object: JsonObject, { connect, types, cluster }: Applying): Promise<Json[]> {
  const metadata = isObject(object.metadata) ? object.metadata : {};
  const found: Json[] = [];
  for (const owner of ownersOf(object)) {
    const { name } = owner;
    const type = typeOfOwner(owner, types);
    if (!type || !isPathName(name)) continue;
    const namespace = type.namespaced && typeof metadata.namespace === 'string' ? metadata.namespace : '';
    const path = collectionPath(type, namespace) + apiPath`/${name}`;
    const uid = await readPatiently(async () => (await connect()).request<{ metadata: { uid: string } }>('GET', path)).then(
      (live) => live.metadata.uid,
      (error: unknown) => {
        if (kubernetesCode(error) === 404) return undefined;
        throw kubernetesError(error, `read ${typeNameOf(type)} ${name}`, cluster);
      },
    );
    if (uid !== undefined) found.push({ ...owner, uid });
  }
  return found;
}

/** A type is served a moment after its definition is there. What is not established in time is found missing by the next look. */
async function untilEstablished(definitions: readonly Application[], { connect, signal, wait }: Applying): Promise<void> {
  const isEstablished = async ({ type, name }: Application): Promise<boolean> => {
    const path = collectionPath(type) + apiPath`/${name}`;
    const { status } = await (await connect()).request<{ status?: { conditions?: { type: string; status: string }[] } }>('GET', path);
    return status?.conditions?.some((condition) => condition.type === 'Established' && condition.status === 'True') ?? false;
  };
  for (let look = 0; look < definitionLooksMax && !signal.aborted; look += 1) {
    const established = await pMap(definitions, (one) => isEstablished(one).catch(() => false), { concurrency: requestsAtOnceMax });
    if (established.every(Boolean)) return;
    await wait(100);
  }
}

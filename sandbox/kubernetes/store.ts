import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import { alreadyExists, expired, notFound } from './errors.ts';
import { cloneJson, sameJson } from './json.ts';
import { managedFieldsAfter } from './managed-fields.ts';
import { keyOf, timestamp } from './objects.ts';
import type { KubernetesObject, ObjectMeta, Pod, PodDisruptionBudget, ResourceName, ResourceTypes } from './objects.ts';
import { definitionOf, groupResourceOf } from './resources.ts';

/** Who made a change: a client over HTTP, a controller of the cluster, or the cloud beneath it. */
export interface Actor {
  part: 'client' | 'controller' | 'cloud';
  /** The field manager or program of a client, the controller's name, or `eks`. All of kubectl counts as one. */
  name: string;
  /** What the fields that it sets name as their manager; its name where left out. */
  manager?: string;
  verb: 'create' | 'update' | 'delete' | 'evict';
}

/** One change of one object. Objects are never altered in place, so holding on to them is safe. */
export interface Change {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  resource: ResourceName;
  object: KubernetesObject;
  /** The object as it was; absent for ADDED. */
  previous?: KubernetesObject;
  resourceVersion: number;
  /** Simulated time, in milliseconds since 1970. */
  atMs: number;
  actor: Actor;
}

/** An object as a client or controller hands it in: the store fills in the rest of the metadata. */
export type NewObject<T extends KubernetesObject> = Omit<T, 'metadata'> & { metadata: Partial<ObjectMeta> & { name: string } };

/** How many changes can be looked back upon by watches and paged lists. */
const historyChangesMax = 20_000;

/** Where versions begin: no client may take them for small counters. */
const firstResourceVersion = 1000;

/** By what the objects of every resource can be looked up. */
type IndexName = 'namespace' | 'owner' | 'node' | 'label' | 'selector';

function indexKeys(resource: ResourceName, object: KubernetesObject): [IndexName, string][] {
  const { namespace, ownerReferences, labels } = object.metadata;
  const keys: [IndexName, string][] = [];
  if (namespace !== undefined) keys.push(['namespace', namespace]);
  for (const owner of ownerReferences ?? []) keys.push(['owner', owner.uid]);
  if (resource === 'poddisruptionbudgets') keys.push(['selector', selectorIndexKey(object as PodDisruptionBudget)]);
  if (resource !== 'pods') return keys;
  const { nodeName } = (object as Pod).spec;
  if (nodeName !== undefined) keys.push(['node', nodeName]);
  for (const [key, value] of Object.entries(labels ?? {})) keys.push(['label', labelIndexKey(namespace ?? '', key, value)]);
  return keys;
}

/** The key of the `selector` index of budgets: a label that its pods must have, where it asks for any. */
function selectorIndexKey({ metadata: { namespace = '' }, spec }: PodDisruptionBudget): string {
  const [label] = Object.entries(spec.selector?.matchLabels ?? {});
  return label ? labelIndexKey(namespace, ...label) : namespace;
}

/** The key of the `label` index of pods. */
function labelIndexKey(namespace: string, key: string, value: string): string {
  return `${namespace}/${key}=${value}`;
}

/** The objects of one resource with their indexes. */
class Collection {
  readonly objects = new Map<string, KubernetesObject>();
  private readonly indexes = new Map<string, Map<string, KubernetesObject>>();
  private readonly resource: ResourceName;
  private keys: string[] | undefined;
  private sorted: KubernetesObject[] | undefined;

  constructor(resource: ResourceName) {
    this.resource = resource;
  }

  put(key: string, object: KubernetesObject): void {
    const before = this.objects.get(key);
    if (before) this.unindex(key, before);
    else this.keys = undefined;
    this.sorted = undefined;
    this.objects.set(key, object);
    for (const [index, value] of indexKeys(this.resource, object)) {
      const bucket = this.indexes.get(`${index}:${value}`);
      if (bucket) bucket.set(key, object);
      else this.indexes.set(`${index}:${value}`, new Map([[key, object]]));
    }
  }

  drop(key: string): void {
    const before = this.objects.get(key);
    if (!before) return;
    this.unindex(key, before);
    this.objects.delete(key);
    this.keys = undefined;
    this.sorted = undefined;
  }

  lookUp(index: IndexName, value: string): KubernetesObject[] {
    return [...(this.indexes.get(`${index}:${value}`)?.values() ?? [])];
  }

  sizeOf(index: IndexName, value: string): number {
    return this.indexes.get(`${index}:${value}`)?.size ?? 0;
  }

  /** In the order of their keys; the same list as long as nothing has changed. */
  inOrder(): readonly KubernetesObject[] {
    this.keys ??= [...this.objects.keys()].sort();
    this.sorted ??= this.keys.flatMap((key) => this.objects.get(key) ?? []);
    return this.sorted;
  }

  private unindex(key: string, object: KubernetesObject): void {
    for (const [index, value] of indexKeys(this.resource, object)) {
      const bucket = this.indexes.get(`${index}:${value}`);
      bucket?.delete(key);
      if (bucket?.size === 0) this.indexes.delete(`${index}:${value}`);
    }
  }
}

/** The objects of one cluster under one counter of versions, with the recent past for watches. */
export class Store {
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly collections = new Map<ResourceName, Collection>();
  private readonly listeners = new Set<(change: Change) => void>();
  private readonly untold: Change[] = [];
  private telling = false;
  private history: Change[] = [];
  private version = firstResourceVersion;
  private compacted = firstResourceVersion;

  constructor(clock: Clock, random: Random) {
    this.clock = clock;
    this.random = random;
  }

  /** The version of the newest change. */
  get resourceVersion(): number {
    return this.version;
  }

  /** The oldest version from which changes can still be told. */
  get oldestVersion(): number {
    return this.compacted;
  }

  get<R extends ResourceName>(resource: R, namespace: string, name: string): ResourceTypes[R] | undefined {
    return this.collection(resource).objects.get(`${namespace}/${name}`) as ResourceTypes[R] | undefined;
  }

  getByKey<R extends ResourceName>(resource: R, key: string): ResourceTypes[R] | undefined {
    return this.collection(resource).objects.get(key) as ResourceTypes[R] | undefined;
  }

  /** All objects of a resource in the order of their keys. */
  list<R extends ResourceName>(resource: R): readonly ResourceTypes[R][] {
    return this.collection(resource).inOrder() as readonly ResourceTypes[R][];
  }

  inNamespace<R extends ResourceName>(resource: R, namespace: string): ResourceTypes[R][] {
    return this.collection(resource).lookUp('namespace', namespace) as ResourceTypes[R][];
  }

  /** Objects that name the UID among their owners. */
  ownedBy<R extends ResourceName>(resource: R, uid: string): ResourceTypes[R][] {
    return this.collection(resource).lookUp('owner', uid) as ResourceTypes[R][];
  }

  /** The pods of a node, in no particular order. */
  podsOnNode(node: string): Pod[] {
    return this.collection('pods').lookUp('node', node) as Pod[];
  }

  /** Pods that carry all the labels; looks through the rarest of them only. */
  podsWithLabels(namespace: string, labels: Record<string, string>): Pod[] {
    const pods = this.collection('pods');
    const keys = Object.entries(labels).map(([key, value]) => labelIndexKey(namespace, key, value));
    const [rarest] = keys.sort((a, b) => pods.sizeOf('label', a) - pods.sizeOf('label', b));
    if (rarest === undefined) return this.inNamespace('pods', namespace);
    const found = pods.lookUp('label', rarest) as Pod[];
    return found.filter((pod) => Object.entries(labels).every(([key, value]) => pod.metadata.labels?.[key] === value));
  }

  /** The budgets that may cover pods with these labels; others do not. */
  budgetsForLabels(namespace: string, labels: Record<string, string>): PodDisruptionBudget[] {
    const keys = [namespace, ...Object.entries(labels).map(([key, value]) => labelIndexKey(namespace, key, value))];
    return keys.flatMap((key) => this.collection('poddisruptionbudgets').lookUp('selector', key) as PodDisruptionBudget[]);
  }

  /** Calls back after every change, before anything else happens; changes are told in their order. */
  onChange(listener: (change: Change) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Adds an object; throws an ApiError (409) if there is one of that name. */
  create<R extends ResourceName>(resource: R, object: NewObject<ResourceTypes[R]>, actor: Actor): ResourceTypes[R] {
    const created = this.completed(resource, object);
    const key = keyOf(created);
    if (this.collection(resource).objects.has(key)) throw alreadyExists(groupResourceOf(resource), created.metadata.name);
    if (resource === 'pods' && (created as Pod).spec.nodeName !== undefined) {
      // Whoever makes a pod with a node owns that field; the scheduler's binding leaves no trace.
      const made = { manager: actor.manager ?? actor.name, time: timestamp(this.clock.now()) };
      const nothing = { ...created, metadata: { ...created.metadata, labels: {}, annotations: {} }, spec: {} };
      created.metadata.managedFields = managedFieldsAfter(nothing, created, made);
    }
    this.collection(resource).put(key, created);
    this.tell({ type: 'ADDED', resource, object: created, resourceVersion: this.version, actor });
    return created;
  }

  /** The object as create would make it, without making it. */
  completed<R extends ResourceName>(resource: R, object: NewObject<ResourceTypes[R]>): ResourceTypes[R] {
    const metadata: ObjectMeta = {
      ...object.metadata,
      uid: this.random.uuid(),
      resourceVersion: String(++this.version),
      creationTimestamp: timestamp(this.clock.now()),
      ...(definitionOf(resource).generation ? { generation: 1 } : {}),
    };
    return { ...object, metadata } as unknown as ResourceTypes[R];
  }

  /**
   * Changes a copy of an object and puts it in its place; nothing happens if the copy ends up equal.
   * Throws an ApiError (404) if there is none.
   */
  update<R extends ResourceName>(resource: R, key: string, actor: Actor, change: (draft: ResourceTypes[R]) => void): ResourceTypes[R] {
    const previous = this.getByKey(resource, key);
    if (!previous) throw notFound(groupResourceOf(resource), key.slice(key.indexOf('/') + 1));
    const draft = cloneJson(previous);
    change(draft);
    return this.replace(resource, draft, actor);
  }

  /** Puts an object in the place of the one of the same name; nothing happens if they are equal. */
  replace<R extends ResourceName>(resource: R, object: ResourceTypes[R], actor: Actor): ResourceTypes[R] {
    const key = keyOf(object);
    const previous = this.getByKey(resource, key);
    if (!previous) throw notFound(groupResourceOf(resource), object.metadata.name);
    object.metadata.resourceVersion = previous.metadata.resourceVersion;
    if (sameJson(object, previous)) return previous;
    if (resource === 'nodes') {
      const written = { manager: actor.manager ?? actor.name, time: timestamp(this.clock.now()) };
      object.metadata.managedFields = managedFieldsAfter(previous, object, written);
    }
    if (definitionOf(resource).generation && !sameJson(object.spec, previous.spec)) {
      object.metadata.generation = (previous.metadata.generation ?? 0) + 1;
    }
    object.metadata.resourceVersion = String(++this.version);
    this.collection(resource).put(key, object);
    this.tell({ type: 'MODIFIED', resource, object, previous, resourceVersion: this.version, actor });
    return object;
  }

  /** Takes an object away at once; returns it as it last was. */
  remove<R extends ResourceName>(resource: R, key: string, actor: Actor): ResourceTypes[R] | undefined {
    const previous = this.getByKey(resource, key);
    if (!previous) return undefined;
    this.collection(resource).drop(key);
    const object = { ...previous, metadata: { ...previous.metadata, resourceVersion: String(++this.version) } };
    this.tell({ type: 'DELETED', resource, object, previous, resourceVersion: this.version, actor });
    return object;
  }

  /** The changes of a resource after a version; throws an ApiError (410) if they are no longer known. */
  changesSince(resource: ResourceName, version: number): Change[] {
    if (version < this.compacted) throw expired(`too old resource version: ${version} (${this.compacted})`);
    const first = this.firstWhere((change) => change.resourceVersion > version);
    return this.history.slice(first).filter((change) => change.resource === resource);
  }

  /** A resource as it was at a version, in the order of keys; throws an ApiError (410) if that is no longer known. */
  listAt<R extends ResourceName>(resource: R, version: number): readonly ResourceTypes[R][] {
    if (version >= this.version) return this.list(resource);
    const changes = this.changesSince(resource, version).reverse();
    if (changes.length === 0) return this.list(resource);
    const objects = new Map(this.collection(resource).objects);
    for (const { object, previous } of changes) {
      if (previous) objects.set(keyOf(previous), previous);
      else objects.delete(keyOf(object));
    }
    return [...objects.keys()].sort().map((key) => objects.get(key) as ResourceTypes[R]);
  }

  /** An object as it was at a version; throws an ApiError (410) if that is no longer known. */
  getAt<R extends ResourceName>(resource: R, key: string, version: number): ResourceTypes[R] | undefined {
    const since = this.changesSince(resource, version).find(({ object }) => keyOf(object) === key);
    return since ? (since.previous as ResourceTypes[R] | undefined) : this.getByKey(resource, key);
  }

  /** The version that was the newest at a simulated time; the oldest one known for times before that. */
  versionAt(timeMs: number): number {
    const last = this.history[this.firstWhere((change) => change.atMs > timeMs) - 1];
    return last?.resourceVersion ?? this.compacted;
  }

  /** Forgets the past, as the etcd beneath a real API server does now and then. */
  compact(): void {
    this.history = [];
    this.compacted = this.version;
  }

  private collection(resource: ResourceName): Collection {
    let collection = this.collections.get(resource);
    if (!collection) {
      collection = new Collection(resource);
      this.collections.set(resource, collection);
    }
    return collection;
  }

  /** Where in the history something begins to hold that holds ever after. */
  private firstWhere(holds: (change: Change) => boolean): number {
    let low = 0;
    let high = this.history.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const change = this.history[middle];
      if (change && !holds(change)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private tell(told: Omit<Change, 'atMs'>): void {
    const change = { ...told, atMs: this.clock.now().getTime() };
    this.history.push(change);
    if (this.history.length > historyChangesMax * 1.25) {
      const dropped = this.history.splice(0, this.history.length - historyChangesMax);
      this.compacted = dropped.at(-1)?.resourceVersion ?? this.compacted;
    }
    this.untold.push(change);
    if (this.telling) return;
    this.telling = true;
    // A listener may write in its turn: the others must hear of that only after they have heard of what caused it.
    for (let next = this.untold.shift(); next; next = this.untold.shift()) {
      for (const listener of this.listeners) listener(next);
    }
    this.telling = false;
  }
}

import { createHash, type Hash } from 'node:crypto';
import type { FieldDifference } from '../../../domain/backup/desired.ts';
import { typeNameOf, type ExportStatement } from '../../../domain/backup/export.ts';
import type { Json, JsonObject } from '../../../domain/json.ts';
import { getOrAdd } from '../../../domain/map.ts';
import type { Effect, Risk } from '../../../domain/plan/plan.ts';
import { cut } from '../../../domain/visible.ts';
import type { ComparedObject } from './compare.ts';
import type { Application } from './apply.ts';

/** Objects that one restore may change back: each is named in what is signed. */
export const updatesMax = 500;
/** More than so many new objects are told by type and namespace, and signed by their digest. */
const createsNamedMax = 100;
/** Objects whose dry run is sent, and which are therefore kept while a plan is made. */
const triedMax = 200;
const fieldsShownMax = 10;
const valueCharactersMax = 120;
const namesShownMax = 20;

type Existing = NonNullable<Application['live']>;

/** What a restore would do, gathered object by object; of what is only counted nothing is kept. */
export class RestorePlan {
  readonly creates: { key: string; type: string; namespace: string }[] = [];
  readonly updates: { key: string; live: Existing; fields: FieldDifference[]; beyond: FieldDifference[]; isSecret: boolean }[] = [];
  /** The first of them, whole. */
  readonly tried: Application[] = [];
  same = 0;
  /** Updates that were taken out again. */
  readonly left: string[] = [];
  private readonly kept: string[] = [];
  private readonly skipped = new Map<string, { type: string; why: string; names: string[] }>();
  private readonly volumes: string[] = [];
  private readonly hash: Hash = createHash('sha256');
  private readonly existing: 'keep' | 'update';

  constructor(existing: 'keep' | 'update') {
    this.existing = existing;
  }

  get isEmpty(): boolean {
    return this.creates.length + this.updates.length + this.same + this.kept.length + this.skipped.size === 0;
  }

  add(compared: ComparedObject): void {
    const { key, archived, live, fields, beyond, skipped } = compared;
    const { type, namespace, name, object, json } = archived;
    const typeName = typeNameOf(type);
    if (skipped !== undefined) {
      getOrAdd(this.skipped, `${typeName} ${skipped}`, () => ({ type: typeName, why: skipped, names: [] })).names.push(key);
    } else if (!live) {
      this.creates.push({ key, type: typeName, namespace });
      this.hash.update(`${key}\n`).update(json);
      if (typeName === 'persistentvolumes') this.volumes.push(name);
    } else if (fields.length === 0) this.same += 1;
    else if (this.existing === 'keep') this.kept.push(key);
    else this.updates.push({ key, live, fields, beyond, isSecret: typeName === 'secrets' });
    const isApplied = skipped === undefined && (!live || (fields.length > 0 && this.existing === 'update'));
    if (isApplied && this.tried.length < triedMax) {
      this.tried.push({ key, type, namespace, name, object, ...(live && { live }) });
    }
  }

  /** Over the names and contents of all that is made. To be asked once, at the end. */
  digest(): string {
    return `sha256:${this.hash.digest('hex')}`;
  }

  /** Takes an update out of the plan that the server would refuse. */
  leave(key: string, type: string, why: string): void {
    this.left.push(key);
    const index = this.updates.findIndex((update) => update.key === key);
    if (index < 0) return;
    this.updates.splice(index, 1);
    getOrAdd(this.skipped, `${type} ${why}`, () => ({ type, why, names: [] })).names.push(key);
  }

  namespacesTouched(): string[] {
    const namespaces = [...this.creates.map(({ namespace }) => namespace), ...this.updates.map(({ key }) => namespaceIn(key))];
    return [...new Set(namespaces)].filter((namespace) => namespace !== '').sort();
  }

  skips(): { type: string; why: string; names: string[] }[] {
    return [...this.skipped.values()];
  }

  volumesMade(): string[] {
    return this.volumes;
  }

  notes(): string[] {
    const kept = this.kept.length;
    const isLong = this.creates.length + this.updates.length > this.tried.length;
    const beyond = this.updates.filter((update) => update.beyond.length > 0).map(({ key }) => key);
    return [
      ...(kept > 0 ? [`${kept} objects are there and different, and stay as they are (existing: keep): ${listOf(this.kept)}.`] : []),
      ...(beyond.length > 0 ? [`Fields that were added after the backup stay in ${listOf(beyond)}.`] : []),
      ...(isLong ? [`The server was asked beforehand about the first ${this.tried.length} objects only.`] : []),
    ];
  }
}

/** What is signed: each object by itself, or, of many new ones, how many of which type go where. */
export function effectsOf(plan: RestorePlan): Effect[] {
  const { creates, updates } = plan;
  const changes = updates.map(({ key, fields, isSecret }): Effect => {
    const shown = fields.slice(0, fieldsShownMax);
    const more: JsonObject = fields.length > shown.length ? { more: `${fields.length - shown.length} more fields` } : {};
    const valueOf = (value: Json | undefined): Json => (isSecret ? 'a secret' : shortValue(value));
    const before = Object.fromEntries(shown.map((field) => [field.field, valueOf(field.before)]));
    const after = Object.fromEntries(shown.map((field) => [field.field, valueOf(field.after)]));
    return { object: objectOf(key), change: 'change back', before, after: { ...after, ...more } };
  });
  if (creates.length <= createsNamedMax) return [...creates.map(({ key }) => ({ object: objectOf(key), change: 'create' })), ...changes];
  const groups = new Map<string, number>();
  for (const { type, namespace } of creates) {
    const group = `${type}${namespace === '' ? '' : ` in ${namespace}`}`;
    groups.set(group, (groups.get(group) ?? 0) + 1);
  }
  return [...[...groups].map(([object, count]) => ({ object, change: `create ${count}` })), ...changes];
}

/** What is not as it was after a restore, and what an operator has to know. Signed. */
export function risksOf(plan: RestorePlan, statement: ExportStatement, isFromAnother: boolean): Risk[] {
  const skipped = plan.skips().map(({ type, why, names }) => ({
    object: type,
    risk: `is not restored: ${why}`,
    detail: `${names.length}: ${listOf(names)}`,
  }));
  const volumes = plan.volumesMade().map((name) => ({
    object: `PersistentVolume/${name}`,
    risk: 'what it held is not in the backup: only a volume that is still there, or a snapshot of it, has that',
  }));
  const foreign = { object: statement.target, risk: 'the objects are of another cluster, whose addresses and identities may be in them' };
  const mixed = { object: statement.target, risk: 'the backup is not of one revision: its types were read one after another' };
  return [...skipped, ...volumes, ...(isFromAnother ? [foreign] : []), ...(statement.consistency === 'revision' ? [] : [mixed])];
}

/** `deployments.apps shop/web` as an object of a plan: `deployments.apps/shop/web`. */
function objectOf(key: string): string {
  return key.replace(' ', '/');
}

function namespaceIn(key: string): string {
  const path = key.slice(key.indexOf(' ') + 1);
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : '';
}

function shortValue(value: Json | undefined): Json {
  return value === undefined ? 'none' : cut(typeof value === 'string' ? value : JSON.stringify(value), valueCharactersMax);
}

function listOf(names: readonly string[]): string {
  const shown = names.slice(0, namesShownMax).join(', ');
  return names.length > namesShownMax ? `${shown} and ${names.length - namesShownMax} more` : shown;
}

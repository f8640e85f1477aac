import { isObject, type Json } from '../json.ts';

/** Keys whose texts are about Holdpoint, not about whoever uses it; names within them are replaced all the same. */
const toldKeys: ReadonlySet<string> = new Set(
  [
    ['kind', 'uses', 'code', 'phase', 'status', 'state', 'type', 'outcome', 'decision', 'command', 'attempt', 'event', 'how', 'why'],
    ['step', 'id', 'hold', 'parent', 'change', 'unit', 'reason', 'remedy', 'message', 'summary', 'risk', 'detail', 'notice'],
    ['at', 'startedAt', 'endedAt', 'requestedAt', 'expiresAt', 'opensAt', 'closesAt', 'opens', 'closes', 'from', 'until', 'time'],
    ['hash', 'planHash', 'presentHash', 'sha256', 'digest', 'runbook', 'previous', 'run', 'version', 'releaseVersion'],
    ['eventType', 'activity', 'server', 'node', 'platform', 'holdpoint', 'apiVersion', 'leftovers', 'commands', 'stuckAt'],
  ].flat(),
);

/** Maps whose keys people have chosen, in holdpoint.yaml and in what clusters tell. */
const namedMaps: ReadonlySet<string> = new Set(
  [
    ['people', 'groups', 'policies', 'channels', 'clusters', 'workers', 'calendars', 'endpoints', 'labels', 'annotations', 'matchLabels'],
    ['podsByNode', 'outputs', 'keys', 'secrets', 'headers', 'tags'],
  ].flat(),
);

/** Keys whose values are words of ours, which are no names wherever else they stand. */
const wordKeys: ReadonlySet<string> = new Set(['kind', 'uses', 'code', 'phase', 'status', 'state', 'type', 'decision', 'command', 'unit']);
/** Fields of ours that somebody may have named something after. */
const ownFields: ReadonlySet<string> = new Set([
  'requester',
  'cluster',
  'region',
  'nodegroup',
  'nodes',
  'target',
  'done',
  'total',
  'person',
  'role',
]);

/** A shorter text is a word rather than a name, and would be replaced in the middle of others. */
const nameCharactersMin = 3;
const namesMax = 20_000;

/** What looks like a name or a secret wherever it stands, and what takes its place. The first ones come first. */
const patterns: readonly [RegExp, string][] = [
  [/\beyJ[\w-]+\.[\w-]*\.[\w-]*/g, '(signature)'],
  [/\bssh-\w+ [A-Za-z0-9+/=]+/g, '(key)'],
  [/\barn:[\w-]*:[^\s"'`,;)]*/g, '(arn)'],
  [/\b[a-z][a-z0-9+.-]*:\/\/[^\s"'`,;)]+/gi, '(address)'],
  [/[\w.+-]+@[\w-]+\.[\w.-]+/g, '(mail)'],
  [/\b(AKIA|ASIA)[A-Z0-9]{12,}\b/g, '(key)'],
  [/\b(?:\d{1,3}\.){3}\d{1,3}\b/g, '(ip)'],
  [/\bip-\d+-\d+-\d+-\d+[\w.-]*/g, '(host)'],
  [/\b(?:[a-z0-9-]+\.){2,}[a-z]{2,}\b/gi, '(host)'],
  [/\b\d{12}\b/g, '(account)'],
  [/(?<![:\w])(?:\/[\w.@-]+){2,}/g, '(path)'],
  [/(?<!sha256:)\b[A-Za-z0-9_-]{43,}\b/g, '(key)'],
];

/**
 * Takes names and secrets out of what goes into a bug report. It lets nothing through that it does not know: a text stays only under a key
 * that is known to be about Holdpoint, and names that stand under other keys are replaced in it, too. The same name has the same
 * replacement everywhere, so that a reader can follow it.
 */
export class Redaction {
  private readonly names = new Map<string, string>();
  private readonly words = new Set<string>();
  private pattern: RegExp | undefined;

  /** Learns the names in a value; before anything is taken out, so that a name is known wherever it stands. */
  learn(value: Json, key = ''): void {
    if (Array.isArray(value)) for (const item of value) this.learn(item, key);
    else if (isObject(value)) {
      for (const [name, item] of Object.entries(value)) {
        if (namedMaps.has(key) || !isFieldName(name)) this.learnName(name);
        this.learn(item, name);
      }
    } else if (typeof value === 'string' && key === 'object') this.learnName(nameOfObject(value).name);
    else if (typeof value === 'string' && wordKeys.has(key)) this.learnWord(value);
    else if (typeof value === 'string' && !toldKeys.has(key)) this.learnName(value);
  }

  /** How many different names are known, all of which are taken out. */
  get size(): number {
    return this.names.size;
  }

  /** The same value without names and secrets. */
  taken(value: Json, key = ''): Json {
    if (Array.isArray(value)) return value.map((item) => this.taken(item, key));
    if (isObject(value)) {
      return Object.fromEntries<Json>(
        Object.entries(value).map(([name, item]): [string, Json] => {
          const isName = namedMaps.has(key) || !isFieldName(name) || (this.names.has(name) && !toldKeys.has(name) && !ownFields.has(name));
          return [isName ? this.replacementOf(name) : name, this.taken(item, name)];
        }),
      );
    }
    if (typeof value !== 'string') return value;
    if (key === 'object') {
      const { kind, name } = nameOfObject(value);
      return kind + this.replacementOf(name);
    }
    return toldKeys.has(key) ? this.scrubbed(value) : this.replacementOf(value);
  }

  /** A text about Holdpoint without the names in it. */
  private scrubbed(text: string): string {
    this.pattern ??= patternOf([...this.names.keys()]);
    const known = text.replace(this.pattern, (name) => this.names.get(name) ?? '(name)');
    return patterns.reduce((left, [pattern, replacement]) => left.replace(pattern, replacement), known);
  }

  private learnWord(word: string): void {
    if (!/^[a-z][A-Za-z]*(\.[A-Za-z]+)?$/.test(word)) return;
    this.words.add(word);
    this.names.delete(word);
    this.pattern = undefined;
  }

  private learnName(name: string): void {
    const parts = [name, ...name.split(/[/,]/)].map((part) => part.trim());
    for (const part of parts) {
      const isKnown = part.length < nameCharactersMin || isOrdinary(part) || this.words.has(part) || this.names.has(part);
      if (isKnown || this.names.size >= namesMax) continue;
      this.names.set(part, `name-${this.names.size + 1}`);
      this.pattern = undefined;
    }
  }

  private replacementOf(name: string): string {
    if (name === '' || isOrdinary(name) || this.words.has(name)) return name;
    const known = this.names.get(name);
    if (known !== undefined) return known;
    if (name.length < nameCharactersMin) return '(short)';
    this.learnName(name);
    return this.names.get(name) ?? '(name)';
  }
}

/** Finds names in a sentence, the longest first; a name within a longer word is none. */
function patternOf(names: readonly string[]): RegExp {
  if (names.length === 0) return /$^/;
  const sorted = [...names].sort((one, other) => other.length - one.length).map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`(?<![A-Za-z0-9])(?:${sorted.join('|')})(?![A-Za-z0-9])`, 'g');
}

/** Keys of maps that people write are names, those of our own types are not. */
function isFieldName(name: string): boolean {
  return /^[a-z][A-Za-z0-9]{0,40}$/.test(name) && !/^\d/.test(name);
}

const ordinaryWords: ReadonlySet<string> = new Set(
  [
    ['true', 'false', 'null', 'all', 'any', 'PDB', 'block', 'wait', 'evict'],
    ['eks', 'kubernetes', 'aurora', 'rds', 'evidence', 'cluster', 'requester'],
  ].flat(),
);
/** Numbers and parts of them, hashes, times, ids of runs. */
const ordinaryForm = /^(-?\d+(\.\d+)*%?|sha256:[0-9a-f]{64}|\d{4}-\d\d-\d\dT[\d:.]+Z|r-\d{8}-\w{6})$/;

function isOrdinary(text: string): boolean {
  return ordinaryWords.has(text) || ordinaryForm.test(text);
}

/** `Deployment shop/cart`, `Node/a`: the kind stays. */
function nameOfObject(object: string): { kind: string; name: string } {
  const [, kind = '', name = object] = /^(\w+[/ ])(.*)$/s.exec(object) ?? [];
  return { kind, name };
}

import fc from 'fast-check';
import { parse, stringify } from 'yaml';
import type { Json } from '../../domain/json.ts';

/** Turns a document into one that nobody would write. */
export type Mutation = (text: string) => string;

const names = [
  'check(all)',
  '',
  ' ',
  'a.b',
  'a-b',
  'a b',
  'a,b',
  'a"b',
  "a'b",
  'a)b',
  '(',
  'A',
  '1',
  '-',
  '~',
  '$x',
  '${x}',
  '<<',
  '*a',
  '&a',
  '!!js',
];
const wordsOfLanguages = [
  '__proto__',
  'constructor',
  'toString',
  'valueOf',
  'prototype',
  'in',
  'true',
  'null',
  'list<int>',
  'string',
  'type',
  'T',
];
const characters = ['\0', '\u2028', '\ufeff', '\ud800', '\u001b[31m', 'é', '🙂', '\r', '\t', 'x'.repeat(5000)];
const oddText = fc.oneof(fc.constantFrom(...names, ...wordsOfLanguages, ...characters), fc.string({ unit: 'binary-ascii', maxLength: 12 }));

const operands = [
  'inputs',
  'steps',
  'steps.check',
  'steps["check(all)"]',
  'steps.sign',
  'steps.drain.plan',
  'inputs.nodes',
  'inputs.?version',
  'item',
];
const values = [
  'target',
  '1',
  '2.5',
  '1u',
  '9223372036854775808',
  '"a"',
  'b"a"',
  'null',
  '[]',
  '{}',
  '[[1], "a"]',
  '{"a": inputs}',
  '{1: 2}',
  'type',
];
const calls = [
  'type',
  'dyn',
  'size',
  'string',
  'int',
  'timestamp',
  'duration',
  'has',
  'optional.of',
  'double',
  'bytes',
  'optional.none',
  'google.x',
];
const operand = fc.oneof(fc.constantFrom(...operands, ...values), oddText);
const oddExpression = fc.oneof(
  operand,
  fc.tuple(operand, fc.constantFrom('+', '==', 'in', '?', '.', '[', '.?', '&&', '/', '-', '<'), operand).map((parts) => parts.join(' ')),
  fc.tuple(fc.constantFrom(...calls), operand).map(([call, argument]) => `${call}(${argument})`),
  fc
    .tuple(operand, fc.constantFrom('map', 'filter', 'all', 'exists', 'optMap', 'matches', 'a'), operand)
    .map(([on, call, body]) => `${on}.${call}(x, ${body})`),
);

const numbers: Json[] = [0, -0, -1, 0.1, 1e308, Infinity, NaN, 2 ** 60, 300];
const oddSchemas: Json[] = [
  { type: 'strnig' },
  { type: ['string', 'null'] },
  { type: 'string', pattern: '(a+)+$' },
  { type: 'string', pattern: '(?=a)(' },
  { type: 'string', format: 'nothing', default: 1 },
  { type: 'object', properties: { '(': { type: 'integer', default: 'a' } }, required: ['a'] },
  { type: 'array', items: [{ type: 'string' }, true], uniqueItems: true },
  { type: 'array', items: { type: 'array', items: { type: 'object' } }, default: [[{}], 1] },
  { $ref: '#' },
  { allOf: [{ $ref: '#' }, { $ref: '#/properties' }] },
  { $id: 'http://[', $schema: 'https://json-schema.org/draft/2020-12/schema' },
  { enum: [] },
  { const: { valueOf: 1 }, if: {}, then: false },
  { type: 'integer', multipleOf: 0, minimum: 'a' },
];
const oddJson = fc.oneof(
  { weight: 2, arbitrary: oddText },
  { weight: 2, arbitrary: oddExpression.map((expression): Json => `\${${expression}}`) },
  { weight: 1, arbitrary: oddExpression },
  { weight: 2, arbitrary: fc.constantFrom<Json>(null, true, [], {}, [null], { '': null }, [[['a']]], ...numbers) },
  { weight: 2, arbitrary: fc.constantFrom<Json>(...oddSchemas) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json> },
  { weight: 1, arbitrary: fc.constantFrom<Json>(nested(40), Array<Json>(300).fill('a')) },
);

function nested(depth: number): Json {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

/** A place in whatever a document turns out to hold. */
const place = fc.nat(100_000);

const changesOfText: fc.Arbitrary<Mutation>[] = [
  place.map((at) => ofLines((lines) => lines.toSpliced(at % lines.length, 1))),
  place.map((at) => ofLines((lines) => lines.toSpliced(at % lines.length, 0, lines[at % lines.length]!))),
  fc.tuple(place, place).map(([from, to]) => ofLines((lines) => lines.with(from % lines.length, lines[to % lines.length]!))),
  fc
    .tuple(place, fc.nat(6))
    .map(([at, by]) => ofLines((lines) => lines.with(at % lines.length, ' '.repeat(by) + lines[at % lines.length]!))),
  fc.tuple(place, fc.nat(60)).map(
    ([at, length]) =>
      (text) =>
        spliced(text, at, length, ''),
  ),
  fc.tuple(place, fc.nat(3), marksOfYaml()).map(
    ([at, length, mark]) =>
      (text) =>
        spliced(text, at, length, mark),
  ),
  fc.tuple(place, oddText).map(
    ([at, inserted]) =>
      (text) =>
        spliced(text, at, 0, inserted),
  ),
  fc.tuple(place, oddText).map(([at, word]) => ofWords((words) => words.with((at * 2 + 1) % words.length, word))),
  fc
    .tuple(place, place)
    .map(([from, to]) => ofWords((words) => words.with((from * 2 + 1) % words.length, words[(to * 2 + 1) % words.length]!))),
];

function marksOfYaml(): fc.Arbitrary<string> {
  const marks = [
    '${',
    '}',
    '"',
    "'",
    ': ',
    '- ',
    '\n',
    '&a ',
    '*a',
    '[',
    '{',
    ']',
    '!!',
    '!!int ',
    '|',
    '>-\n',
    '#',
    '\t',
    '---\n',
    '...\n',
    '%',
    '? ',
    '\0',
  ];
  return fc.constantFrom(...marks, '%YAML 1.1\n---\n', '<<: *a\n', '['.repeat(100), '!!js/function ', '0x1F', '.inf', '\r\n', '@', '`');
}

function ofLines(change: (lines: string[]) => string[]): Mutation {
  return (text) => change(text.split('\n')).join('\n');
}

/** Words stand at the odd places of the list, what is between them at the even ones. */
function ofWords(change: (words: string[]) => string[]): Mutation {
  return (text) => change(text.split(/([\w.-]+)/)).join('');
}

function spliced(text: string, at: number, length: number, inserted: string): string {
  const from = at % (text.length + 1);
  return text.slice(0, from) + inserted + text.slice(from + length);
}

type Change = (owner: Json[] | Record<string, Json>, key: string | number, all: Place[]) => void;
interface Place {
  owner: Json[] | Record<string, Json>;
  key: string | number;
}

const changesOfValue: fc.Arbitrary<Change>[] = [
  oddJson.map(
    (value): Change =>
      (owner, key) =>
        set(owner, key, value),
  ),
  oddText.map(
    (name): Change =>
      (owner, key) =>
        rename(owner, key, name),
  ),
  oddText.map(
    (text): Change =>
      (owner, key) =>
        set(owner, key, `${textOf(get(owner, key))}${text}`),
  ),
  fc.constant<Change>((owner, key) => (Array.isArray(owner) ? owner.splice(Number(key), 1) : Reflect.deleteProperty(owner, key))),
  fc.constant<Change>((owner, key) => (Array.isArray(owner) ? owner.push(structuredClone(owner[Number(key)]!)) : undefined)),
  place.map((at): Change => (owner, key, all) => {
    const other = all[at % all.length]!;
    set(owner, key, get(other.owner, other.key) ?? null);
  }),
  fc.tuple(oddText, oddJson).map(
    ([name, value]): Change =>
      (owner) =>
        set(owner, Array.isArray(owner) ? owner.length : name, value),
  ),
];

function get(owner: Json[] | Record<string, Json>, key: string | number): Json | undefined {
  return (owner as Record<string | number, Json>)[key];
}

function set(owner: Json[] | Record<string, Json>, key: string | number, value: Json): void {
  Object.defineProperty(owner, key, { value: structuredClone(value), enumerable: true, writable: true, configurable: true });
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function rename(owner: Json[] | Record<string, Json>, key: string | number, name: string): void {
  if (Array.isArray(owner)) return;
  const value = get(owner, key) ?? null;
  Reflect.deleteProperty(owner, key);
  set(owner, name, value);
}

function placesIn(value: Json): Place[] {
  if (value === null || typeof value !== 'object') return [];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return keys.flatMap((key) => [{ owner: value, key }, ...placesIn(get(value, key) ?? null)]);
}

const known = new Map<string, Json>();

/** Each document is mutated thousands of times, and read once. */
function valueOf(text: string): Json {
  const value = known.get(text) ?? (parse(text) as Json);
  known.set(text, value);
  return value;
}

/** Changes of the document's value, written out again: in blocks, or as JSON, which is YAML as well. */
function ofValue(changes: { at: number; change: Change }[], write: (value: Json) => string): Mutation {
  return (text) => {
    const value = structuredClone(valueOf(text));
    for (const { at, change } of changes) {
      const places = placesIn(value);
      const { owner, key } = places[at % places.length] ?? { owner: [], key: 0 };
      change(owner, key, places);
    }
    return write(value);
  };
}

const writers = [
  (value: Json): string => stringify(value, { aliasDuplicateObjects: false }),
  (value: Json): string => JSON.stringify(value),
  (value: Json): string => JSON.stringify(value, null, 1),
];

/** Up to three changes of the value and up to two of the text that comes of it. */
export const mutation: fc.Arbitrary<Mutation> = fc
  .record({
    changes: fc.array(fc.record({ at: place, change: fc.oneof(...changesOfValue) }), { maxLength: 3 }),
    write: fc.constantFrom(...writers),
    ofText: fc.array(fc.oneof(...changesOfText), { maxLength: 2 }),
  })
  .map(({ changes, write, ofText }) => (text) => {
    const written = changes.length > 0 ? ofValue(changes, write)(text) : text;
    return ofText.reduce((mutated, change) => change(mutated), written);
  });

/** Inputs that nobody would give. */
export const oddInputs = fc.dictionary(fc.oneof(fc.constantFrom('cluster', 'nodes', 'version', '__proto__', 'valueOf'), oddText), oddJson, {
  maxKeys: 4,
});

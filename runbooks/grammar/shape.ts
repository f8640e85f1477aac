import * as z from 'zod';
import type { Json } from '../../domain/json.ts';
import { didYouMean } from '../../domain/suggestion.ts';
import type { SourceMap } from './document.ts';
import type { ValuePath } from './problem.ts';

type Issue = z.core.$ZodIssue;

/** What `reportIssues` has to know besides the schema. */
export interface ShapeOptions {
  /** Where the value is in its document. */
  path?: ValuePath;
  /** Keys with a sentence of their own, instead of "unknown key". */
  refusals?: ReadonlyMap<string, string>;
  /** Paths within the value that are not judged: their value is known only later. */
  except?: ValuePath[];
}

/** Checks a value against a schema and reports every issue in words, at its place. Says whether there was none. */
export function checkShape(schema: z.ZodType, value: Json, sourceMap: SourceMap, options: ShapeOptions = {}): boolean {
  const result = schema.safeParse(value);
  if (result.success) return true;
  const judged = result.error.issues.filter((issue) => !(options.except ?? []).some((path) => leadsThrough(path, issue.path as ValuePath)));
  for (const issue of judged) reportIssue(issue, schema, value, sourceMap, options);
  return judged.length === 0;
}

function leadsThrough(prefix: ValuePath, path: ValuePath): boolean {
  return prefix.length <= path.length && prefix.every((part, index) => part === path[index]);
}

function reportIssue(issue: Issue, schema: z.ZodType, value: Json, sourceMap: SourceMap, options: ShapeOptions): void {
  const base = options.path ?? [];
  const path = [...base, ...(issue.path as ValuePath)];
  const expected = schemaAt(schema, issue.path as ValuePath);
  if (issue.code === 'unrecognized_keys') {
    const known = expected instanceof z.ZodObject ? Object.keys(expected.shape) : [];
    for (const key of issue.keys) {
      const refusal = options.refusals?.get(key) ?? `Unknown key.${didYouMean(key, known)}${among(known)}`;
      sourceMap.errorAtKey([...path, key], refusal);
    }
    return;
  }
  const found = valueAt(value, issue.path as ValuePath);
  if (found === undefined) sourceMap.error(path, 'Is missing.');
  else if (issue.code === 'invalid_key') sourceMap.errorAtKey(path, sentence(issue.issues[0]?.message ?? issue.message));
  else if (issue.code === 'invalid_type') {
    // Of a text in the place of an integer zod says only that it is no number.
    const type = expected instanceof z.ZodNumber && expected.format === 'safeint' ? 'int' : issue.expected;
    sourceMap.error(path, `Must be ${typeWords(type)}, but is ${valueWords(found)}.`);
  } else sourceMap.error(path, sentence(wordsOf(issue, found)));
}

function among(known: string[]): string {
  return known.length === 0 ? '' : ` There are: ${known.slice(0, 20).join(', ')}.`;
}

function sentence(words: string): string {
  const text = words.charAt(0).toUpperCase() + words.slice(1);
  return text.startsWith('`') || /[.!?]$/.test(text) ? text : `${text}.`;
}

function wordsOf(issue: Issue, found: Json): string {
  switch (issue.code) {
    case 'too_small':
      return `must ${sizeWords(issue.origin)} at least ${issue.minimum}${unitWords(issue.origin)}`;
    case 'too_big':
      return `must ${sizeWords(issue.origin)} at most ${issue.maximum}${unitWords(issue.origin)}`;
    case 'invalid_value':
      // A schema's own sentence is kept; zod's begins with "Invalid".
      if (!issue.message.startsWith('Invalid')) return issue.message;
      return `must be ${issue.values.map((value) => `"${String(value)}"`).join(' or ')}, but is ${valueWords(found)}`;
    case 'invalid_union': {
      // The alternative that the value has the type of says best what is wrong with it.
      const closest = issue.errors.map(([first]) => first).find((first) => first !== undefined && first.code !== 'invalid_type');
      return closest === undefined ? issue.message : wordsOf(closest, found);
    }
    default:
      return issue.message;
  }
}

/** Puts the name of a JSON type into words: `an integer`. */
export function typeWords(type: string): string {
  const words: Record<string, string> = {
    string: 'text',
    int: 'an integer',
    integer: 'an integer',
    number: 'a number',
    boolean: 'true or false',
    array: 'a list',
    object: 'a map',
    record: 'a map',
  };
  return words[type] ?? `of type ${type}`;
}

function valueWords(value: Json): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return `the text "${value.length > 40 ? `${value.slice(0, 40)}…` : value}"`;
  return String(value);
}

function sizeWords(origin: string): string {
  return origin === 'string' || origin === 'array' ? 'have' : 'be';
}

function unitWords(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' ? ' entries' : '';
}

function valueAt(value: Json, path: ValuePath): Json | undefined {
  let current: Json | undefined = value;
  for (const part of path) {
    if (current === null || typeof current !== 'object') return undefined;
    current = (current as Record<string | number, Json>)[part];
  }
  return current;
}

function schemaAt(schema: z.core.$ZodType, path: ValuePath): z.core.$ZodType | undefined {
  let inner: z.core.$ZodType | undefined = unwrapped(schema);
  for (const part of path) {
    if (inner instanceof z.ZodObject) inner = (inner.shape as Record<string, z.core.$ZodType | undefined>)[String(part)];
    else if (inner instanceof z.ZodArray) inner = inner.element;
    else inner = inner instanceof z.ZodRecord ? inner.valueType : undefined;
    inner = inner && unwrapped(inner);
  }
  return inner;
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault ? unwrapped(schema.unwrap()) : schema;
}

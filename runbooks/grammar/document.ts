import { Composer, isAlias, isMap, isScalar, isSeq, Lexer, Parser, type CST, type Document, type ParsedNode } from 'yaml';
import type { Json } from '../../domain/json.ts';
import { unseenIn } from '../../domain/visible.ts';
import { formatPath, type Problem, sortProblems, type ValuePath } from './problem.ts';

/** Size of a document in UTF-8 bytes. */
export const documentBytesMax = 256 * 1024;
/** Maps and lists inside each other. */
export const documentDepthMax = 32;
/** Values of a document: scalars, lists and maps. */
export const documentValuesMax = 20_000;
/** Characters of a problem's message: a document may be one huge word. */
const messageLengthMax = 500;

interface Place {
  /** Offset of the key, where the value belongs to a map. */
  key?: number;
  value: number;
}

const keysOfEveryObject = new Set(Object.getOwnPropertyNames(Object.prototype));

/** Why a map may not have the key: libraries take `constructor` or `valueOf` for what every object of JavaScript has. */
export function keyRefusal(key: string): string | undefined {
  return keysOfEveryObject.has(key) ? `The key "${key}" is not allowed.` : undefined;
}

/** Collects the problems of a document and knows where each of its values is written. */
export class SourceMap {
  readonly file: string;
  private readonly text: string;
  /** Offsets at which lines of the text begin, as far as they have been asked for; Infinity after the last one. */
  private readonly lineStarts: number[] = [0];
  private readonly sourceMap = new Map<string, Place>();
  private readonly found: Problem[] = [];

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
  }

  /** Remembers where a value is written. */
  place(path: ValuePath, place: Place): void {
    this.sourceMap.set(JSON.stringify(path), place);
  }

  /** Reports a problem at a value, or at the innermost thing around it that is written down. */
  error(path: ValuePath, message: string): void {
    this.report('error', path, this.offsetOf(path), message);
  }

  /** Like `error`, for what may be meant. */
  warning(path: ValuePath, message: string): void {
    this.report('warning', path, this.offsetOf(path), message);
  }

  /** Reports a problem at a key of a map. */
  errorAtKey(path: ValuePath, message: string): void {
    this.report('error', path, this.sourceMap.get(JSON.stringify(path))?.key ?? this.offsetOf(path), message);
  }

  /** Reports a problem within a string: at the character `at` of it, where the source shows the string as it is. */
  errorInText(path: ValuePath, value: string, at: number, message: string): void {
    const offset = this.offsetOf(path);
    const quoted = /["']/.test(this.text[offset] ?? '') ? offset + 1 : offset;
    const readable = this.text.startsWith(value.slice(0, at), quoted);
    this.report('error', path, readable ? quoted + at : offset, message);
  }

  /** Reports a problem at an offset of the text. */
  report(severity: Problem['severity'], path: ValuePath, offset: number, message: string): void {
    this.found.push({ severity, file: this.file, ...this.positionAt(offset), path: formatPath(path), message: clipped(message) });
  }

  /** Where a value is written, or the innermost thing around it; from 1. */
  positionOf(path: ValuePath): { line: number; column: number } {
    return this.positionAt(this.offsetOf(path));
  }

  private positionAt(offset: number): { line: number; column: number } {
    const line = this.lineOf(offset);
    return { line, column: offset - this.lineStarts[line - 1]! + 1 };
  }

  /** The line of an offset, from 1. (The counter of the YAML library misses lines of texts that it cannot read.) */
  private lineOf(offset: number): number {
    for (let start = this.lineStarts.at(-1)!; start <= offset; this.lineStarts.push(start)) {
      start = this.text.indexOf('\n', start) + 1 || Infinity;
    }
    let line = 1;
    for (let step = 2 ** 20; step >= 1; step /= 2) if ((this.lineStarts[line + step - 1] ?? Infinity) <= offset) line += step;
    return line;
  }

  hasErrors(): boolean {
    return this.found.some((problem) => problem.severity === 'error');
  }

  problems(): Problem[] {
    return sortProblems(this.found);
  }

  private offsetOf(path: ValuePath): number {
    for (let length = path.length; length >= 0; length--) {
      const place = this.sourceMap.get(JSON.stringify(path.slice(0, length)));
      if (place !== undefined) return length === path.length ? place.value : (place.key ?? place.value);
    }
    return 0;
  }
}

/** A document that has been read: its value, and where each part of it is written. There is no value where it cannot be read. */
export interface ReadDocument {
  value?: Json;
  sourceMap: SourceMap;
}

/** Reads one YAML 1.2 document as JSON, within limits; never throws for what the text holds. */
export function readDocument(text: string, file: string): ReadDocument {
  const sourceMap = new SourceMap(file, text);
  const bytes = Buffer.byteLength(text);
  if (bytes > documentBytesMax) {
    sourceMap.report('error', [], 0, `The file has more than ${documentBytesMax} bytes, which is the most that is read.`);
    return { sourceMap };
  }
  // In comments, too, where text in another direction makes a document read otherwise than it is.
  const unseen = unseenOf(text.replace(/^\ufeff/, ' ').replaceAll('\r', ' '));
  if (unseen) {
    sourceMap.report('error', [], unseen.at, unseenSentence(unseen.character));
    return { sourceMap };
  }
  const tokens = tokensOf(text);
  if (tokens === undefined || isTooDeep(tokens)) {
    sourceMap.report('error', [], 0, `Maps and lists are nested more than ${documentDepthMax} deep.`);
    return { sourceMap };
  }
  const document = compose(tokens, sourceMap);
  if (document === undefined) return { sourceMap };
  const value = new ValueReader(sourceMap).read(document);
  return sourceMap.hasErrors() ? { sourceMap } : { value, sourceMap };
}

/** The tokens of a text; undefined where they are far too deep, which takes the parser time that grows with the square of the depth. */
function tokensOf(text: string): CST.Token[] | undefined {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    // A document and what it holds take some places of their own.
    if (parser.stack.length > 2 * documentDepthMax) return undefined;
  }
  return [...tokens, ...parser.end()];
}

/** What nobody can see in a text of several lines. */
function unseenOf(text: string): ReturnType<typeof unseenIn> {
  return unseenIn(text.replace(/[\n\t]/g, ' '));
}

function unseenSentence(character: string): string {
  return `Has the character ${character}, which nobody sees or a terminal obeys; take it out.`;
}

/** Looks at the tokens, without recursion: the composer would exhaust the stack on a file of opening brackets. */
function isTooDeep(tokens: CST.Token[]): boolean {
  const open: { token: CST.Token; depth: number }[] = tokens.map((token) => ({ token, depth: 0 }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { token, depth } = next;
    if (depth > documentDepthMax) return true;
    if (token.type === 'document' && token.value !== undefined) open.push({ token: token.value, depth });
    if (!('items' in token)) continue;
    for (const item of token.items) {
      if (item.key) open.push({ token: item.key, depth: depth + 1 });
      if (item.value) open.push({ token: item.value, depth: depth + 1 });
    }
  }
  return false;
}

function compose(tokens: CST.Token[], sourceMap: SourceMap): Document.Parsed | undefined {
  // Keys are compared by ValueReader: the composer's own comparison takes quadratic time.
  const composer = new Composer({ version: '1.2', schema: 'core', merge: false, uniqueKeys: false, logLevel: 'silent' });
  const [document, second] = [...composer.compose(tokens)];
  if (document === undefined || document.contents === null) {
    for (const error of document?.errors ?? []) sourceMap.report('error', [], error.pos[0], sentence(error.message));
    sourceMap.report('error', [], 0, 'The file is empty.');
    return undefined;
  }
  if (second !== undefined) sourceMap.report('error', [], second.range[0], 'The file holds more than one document; split it into files.');
  for (const error of [...document.errors, ...document.warnings]) sourceMap.report('error', [], error.pos[0], sentence(error.message));
  return document;
}

function clipped(message: string): string {
  return message.length <= messageLengthMax ? message : `${message.slice(0, messageLengthMax)}…`;
}

function sentence(message: string): string {
  const text = message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '');
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** Turns the nodes of a document into JSON and notes where each value is written. */
class ValueReader {
  private readonly sourceMap: SourceMap;
  private valuesLeft = documentValuesMax;

  constructor(sourceMap: SourceMap) {
    this.sourceMap = sourceMap;
  }

  read(document: Document.Parsed): Json {
    return this.valueOf(document.contents, [], undefined, 0);
  }

  private valueOf(node: ParsedNode | null, path: ValuePath, key: ParsedNode | undefined, fallbackOffset: number): Json {
    const offset = node?.range[0] ?? fallbackOffset;
    this.sourceMap.place(path, { key: key?.range[0], value: offset });
    this.valuesLeft--;
    if (this.valuesLeft === 0) return this.refuse(path, offset, `The document has more than ${documentValuesMax} values.`);
    if (this.valuesLeft < 0 || node === null) return null;
    if (isAlias(node)) return this.refuse(path, offset, `The alias "*${node.source}" is not allowed; write the value out.`);
    this.refuseAnchor(node, path);
    if (isSeq(node)) return node.items.map((item, index) => this.valueOf(item, [...path, index], undefined, offset));
    if (isMap(node)) return this.valueOfMap(node.items, path);
    return this.valueOfScalar(isScalar(node) ? node.value : undefined, path, offset);
  }

  private valueOfMap(items: { key: ParsedNode; value: ParsedNode | null }[], path: ValuePath): Json {
    const entries = new Map<string, Json>();
    for (const { key, value } of items) {
      const name = isScalar(key) ? key.value : undefined;
      const offset = key.range[0];
      this.refuseAnchor(key, path);
      const unseen = typeof name === 'string' ? unseenIn(name) : undefined;
      const refusal = unseen ? unseenSentence(unseen.character) : typeof name === 'string' ? keyRefusal(name) : undefined;
      if (typeof name !== 'string') this.refuse(path, offset, 'A key must be text; put it in quotes.');
      else if (refusal !== undefined) this.refuse(path, offset, refusal);
      else if (entries.has(name)) this.refuse([...path, name], offset, `The key "${name}" is given twice.`);
      else entries.set(name, this.valueOf(value, [...path, name], key, key.range[1]));
      if (this.valuesLeft <= 0) break;
    }
    return Object.fromEntries(entries);
  }

  private valueOfScalar(value: unknown, path: ValuePath, offset: number): Json {
    // Escapes in quotes have made it of characters that the text itself does not have.
    const unseen = typeof value === 'string' ? unseenOf(value) : undefined;
    if (unseen) return this.refuse(path, offset, unseenSentence(unseen.character));
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    const isNumber = typeof value === 'number' && Number.isFinite(value);
    if (isNumber && (!Number.isInteger(value) || Number.isSafeInteger(value))) return value;
    return this.refuse(path, offset, isNumber ? 'The number is too large to be exact; put it in quotes.' : 'The value has no JSON form.');
  }

  private refuseAnchor(node: ParsedNode, path: ValuePath): void {
    const anchor = isAlias(node) ? undefined : node.anchor;
    if (anchor !== undefined) this.refuse(path, node.range[0], `The anchor "&${anchor}" is not allowed; write the value out.`);
  }

  private refuse(path: ValuePath, offset: number, message: string): null {
    this.sourceMap.report('error', path, offset, message);
    return null;
  }
}

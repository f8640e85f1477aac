import { Environment, EvaluationError, Optional, ParseError, TypeError as CelTypeError, type ASTNode } from '@marcbachmann/cel-js';
import type { Json } from '../json.ts';
import { ownValue } from '../map.ts';
import type { Scope } from '../runbook.ts';
import { closestName } from '../suggestion.ts';
import { EvaluationBudget, meter, registerBoundedFunctions, useBoundedFunction, withWrittenNames } from './budget.ts';

/** Characters of one expression. */
export const expressionLengthMax = 1000;
/** Expressions within one string. */
export const expressionsPerTextMax = 20;
/** Macros inside of macros (`map`, `filter`, `bind` …): each level multiplies the work by the length of a list. */
export const macroDepthMax = 2;

/** What is known of a value before there is one: the static side of a Scope. */
export interface ExpressionType {
  /** CEL type such as `string`, `int`, `list<string>`; `dyn` if left out and there are no fields. */
  type?: string;
  /** The only names that the value has; others are refused. */
  fields?: Record<string, ExpressionType>;
  /** The value may be missing, so it has to be read as `.?name` or be guarded by `has()`. */
  mayBeAbsent?: boolean;
  /** Why the value cannot be referred to here. */
  refusal?: string;
}

/**
 * `syntax`: not CEL; `unknown`: a name that does not exist; `type`: types do not fit; `value`: went wrong with these values;
 * `limit`: takes or gives too much with these values.
 */
export type ExpressionFault = 'syntax' | 'unknown' | 'type' | 'value' | 'limit';

/** What is wrong with an expression, where in it, and which name was probably meant. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
  readonly expression: string;
  readonly fault: ExpressionFault;
  /** The sentence without the expression. */
  readonly problem: string;
  /** Offset in the expression, in UTF-16 units. */
  readonly at: number;
  readonly suggestion?: string;

  constructor(expression: string, fault: ExpressionFault, problem: string, options: { at?: number; suggestion?: string } = {}) {
    const sentence = options.suggestion === undefined ? problem : `${problem} Did you mean "${options.suggestion}"?`;
    super(`Expression "${expression}": ${sentence}`);
    this.expression = expression;
    this.fault = fault;
    this.problem = sentence;
    this.at = options.at ?? 0;
    this.suggestion = options.suggestion;
  }
}

/** An expression within a string. */
export interface EmbeddedExpression {
  expression: string;
  /** Where the expression begins in the string, behind `${`. */
  start: number;
  /** Where its closing brace is. */
  end: number;
}

const limits = { maxAstNodes: 500, maxDepth: 40, maxListElements: 100, maxMapEntries: 100, maxCallArguments: 8 };

const base = new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false, limits });
// JSON does not tell 2 from 2.0, so whole and broken numbers have to mix.
const arithmetic: Record<string, (left: number, right: number) => number> = {
  '+': (left, right) => left + right,
  '-': (left, right) => left - right,
  '*': (left, right) => left * right,
  '/': (left, right) => left / right,
};
for (const [operator, calculate] of Object.entries(arithmetic)) {
  const handler = (left: bigint | number, right: bigint | number): number => calculate(Number(left), Number(right));
  base.registerOperator(`int ${operator} double: double`, handler);
  base.registerOperator(`double ${operator} int: double`, handler);
}
registerBoundedFunctions(base);
const untyped = base.clone().registerVariable('inputs', 'map').registerVariable('steps', 'map').registerVariable('target', 'string');
const scopeVariables = ['inputs', 'steps', 'target'];

/**
 * Fills a template: a string that is one whole `${…}` becomes the typed value, other strings get the values as text,
 * objects and arrays are walked. A property whose value is an absent optional (`${inputs.?name}`) is left out.
 * `$${` stands for `${`. Throws an ExpressionError.
 */
export function render(template: Json, scope: Scope): Json {
  return renderValue(template, surroundingsOf(scope)) ?? null;
}

/** The value of a CEL expression; an absent optional is null. Throws an ExpressionError. */
export function evaluate(expression: string, scope: Scope): Json {
  return evaluateIn(expression, surroundingsOf(scope)) ?? null;
}

/** Why expressions could not refer to the element of a repetition by that name, as the end of a sentence; undefined where they can. */
export function elementNameProblem(name: string): string | undefined {
  if (scopeVariables.includes(name)) return `is taken: expressions refer to the ${name} of the run by it.`;
  return isFreeName(name) ? undefined : 'means something in the language of expressions already.';
}

/** The `${…}` of a string in their order. Throws an ExpressionError where one is not closed or there are too many. */
export function expressionsIn(template: string): EmbeddedExpression[] {
  const found: EmbeddedExpression[] = [];
  let from = template.indexOf('${');
  while (from >= 0) {
    if (template[from - 1] !== '$') {
      if (found.length === expressionsPerTextMax) {
        throw new ExpressionError(template.slice(from + 2), 'syntax', `one text holds at most ${expressionsPerTextMax} expressions.`);
      }
      const end = closingBrace(template, from + 2);
      found.push({ expression: template.slice(from + 2, end), start: from + 2, end });
      from = end;
    }
    from = template.indexOf('${', from + 1);
  }
  return found;
}

/** Whether a string is one whole `${…}`, so that it stands for a typed value. */
export function isWholeExpression(template: string, found: EmbeddedExpression[]): boolean {
  const [only] = found;
  return found.length === 1 && only!.start === 2 && only!.end === template.length - 1;
}

/**
 * Makes a static check for expressions over the given variables. It gives the CEL type of the result (`dyn` where unknown)
 * and throws an ExpressionError for syntax, unknown names and types that do not fit.
 */
export function expressionChecker(types: Record<string, ExpressionType>): (expression: string) => string {
  return (expression) => {
    const references = new ReferenceCheck(expression, types);
    references.check(parse(base, expression).ast);
    try {
      const { type, error } = environmentOf(types, references.fieldsRead).check(expression);
      if (error !== undefined) throw error;
      return withoutTypeNames(type ?? 'dyn');
    } catch (error) {
      throw expressionError(expression, error, types);
    }
  };
}

/** What is read of values that have named fields. */
type FieldsRead = ReadonlyMap<ExpressionType, ReadonlyMap<string, ExpressionType>>;

/**
 * Declares the variables to CEL, with those of their fields that are read: to declare all takes time that grows with the square
 * of their number. The types of CEL have names of our own making, as the library reads them like source.
 */
function environmentOf(types: Record<string, ExpressionType>, fieldsRead: FieldsRead): Environment {
  const environment = base.clone();
  let count = 0;
  const declare = (type: ExpressionType): string => {
    if (type.fields === undefined) return type.type ?? 'dyn';
    const read = fieldsRead.get(type);
    if (read === undefined) return 'map';
    const fields = Object.fromEntries([...read].map(([name, field]) => [name, declare(field)]));
    const name = `$map${++count}`;
    environment.registerType({ name, fields });
    return name;
  };
  for (const [name, type] of Object.entries(types)) {
    if (type.refusal === undefined) environment.registerVariable(name, declare(type));
  }
  return environment;
}

/** To its author, what has named fields is a map. */
function withoutTypeNames(text: string): string {
  return text.replace(/\$map\d+|map<dyn, dyn>/g, 'map');
}

function closingBrace(template: string, from: number): number {
  let depth = 1;
  for (let at = from; at < template.length; at++) {
    const character = template[at];
    if (character === '{') depth++;
    else if (character === '}' && --depth === 0) return at;
    else if (character === '"' || character === "'") at = endOfText(template, at);
  }
  throw new ExpressionError(template.slice(from), 'syntax', 'the closing brace of ${…} is missing; write $${ for a plain ${.');
}

/** The last character of the CEL string that begins with a quote; a text without end ends the template. */
function endOfText(template: string, quoteAt: number): number {
  const quote = template[quoteAt]!;
  const closing = template.startsWith(quote.repeat(3), quoteAt) ? quote.repeat(3) : quote;
  const raw = /[rR]/.test(template[quoteAt - 1] ?? '');
  for (let at = quoteAt + closing.length; at < template.length; at++) {
    if (template[at] === '\\' && !raw) at++;
    else if (template.startsWith(closing, at)) return at + closing.length - 1;
  }
  return template.length;
}

function renderValue(template: Json, around: Surroundings): Json | undefined {
  if (typeof template === 'string') return renderText(template, around);
  if (Array.isArray(template)) return template.map((item) => renderValue(item, around)).filter((item) => item !== undefined);
  if (template === null || typeof template !== 'object') return template;
  const rendered = Object.entries(template).map(([key, value]) => [key, renderValue(value, around)] as const);
  return Object.fromEntries(rendered.filter((entry): entry is [string, Json] => entry[1] !== undefined));
}

function renderText(template: string, around: Surroundings): Json | undefined {
  const found = expressionsIn(template);
  if (isWholeExpression(template, found)) return evaluateIn(found[0]!.expression, around);
  let text = '';
  let from = 0;
  for (const { expression, start, end } of found) {
    const value = evaluateIn(expression, around);
    if (value === undefined) throw new ExpressionError(expression, 'value', 'has no value to put into a text; add .orValue("…").');
    text += unescaped(template.slice(from, start - 2)) + (typeof value === 'string' ? value : JSON.stringify(value));
    from = end + 1;
  }
  return text + unescaped(template.slice(from));
}

function unescaped(text: string): string {
  return text.replaceAll('$${', '${');
}

/** The value of an expression as JSON; undefined for an absent optional. */
function evaluateIn(expression: string, { environment, variables, budget }: Surroundings): Json | undefined {
  const parsed = parse(environment, expression);
  everyNode(parsed.ast, useBoundedFunction);
  meter(parsed.ast, budget);
  try {
    const value: unknown = parsed(variables);
    // An operator such as `||` does without a part that has failed.
    if (budget.problem !== undefined) throw new RangeError(budget.problem);
    if (!(value instanceof Optional)) return jsonOf(expression, value, budget);
    return value.hasValue() ? jsonOf(expression, value.value(), budget) : undefined;
  } catch (error) {
    if (budget.problem !== undefined) throw new ExpressionError(expression, 'limit', budget.problem);
    throw expressionError(expression, error, Object.fromEntries(Object.keys(variables).map((name) => [name, {}])));
  }
}

function parse(environment: Environment, expression: string): ReturnType<Environment['parse']> {
  if (expression.length > expressionLengthMax) {
    const problem = `has ${expression.length} characters; at most ${expressionLengthMax} are allowed.`;
    throw new ExpressionError(`${expression.slice(0, 60)}…`, 'syntax', problem);
  }
  if (expression.trim() === '') throw new ExpressionError(expression, 'syntax', 'is empty.');
  try {
    const parsed = environment.parse(expression);
    refuseDeepMacros(parsed.ast, expression, 0);
    return parsed;
  } catch (error) {
    throw expressionError(expression, error, {});
  }
}

const macros = new Set(['all', 'exists', 'exists_one', 'map', 'filter', 'bind', 'optMap', 'optFlatMap']);

/** Refuses macros that stand too deep inside of each other. */
function refuseDeepMacros(node: ASTNode, expression: string, depth: number): void {
  const called = node.op === 'rcall' ? node.args[0] : '';
  const inside = macros.has(called) ? depth + 1 : depth;
  if (inside > macroDepthMax) {
    const problem = `macros such as map() may be nested ${macroDepthMax} deep at most.`;
    throw new ExpressionError(expression, 'syntax', problem, { at: node.range.start });
  }
  for (const child of childrenOf(node)) refuseDeepMacros(child, expression, inside);
}

function everyNode(node: ASTNode, act: (node: ASTNode) => void): void {
  act(node);
  for (const child of childrenOf(node)) everyNode(child, act);
}

function childrenOf(node: ASTNode): ASTNode[] {
  const flat: unknown[] = Array.isArray(node.args) ? node.args.flat(2) : [node.args];
  return flat.filter((part): part is ASTNode => typeof part === 'object' && part !== null && 'op' in part && 'args' in part);
}

/** What the CEL library throws, in our words, given the variables that there are. */
function expressionError(expression: string, error: unknown, types: Record<string, ExpressionType>): ExpressionError {
  if (error instanceof ExpressionError) return error;
  const known = error instanceof ParseError || error instanceof CelTypeError || error instanceof EvaluationError;
  // A function of CEL may fail in its own way, and then says less; it was called by the expression all the same.
  if (!known) return new ExpressionError(expression, 'value', `cannot be evaluated: ${(error as Error).message}.`);
  const at = error.range?.start ?? 0;
  const problem = `${withWrittenNames(withoutTypeNames(error.summary))}.`;
  if (error instanceof ParseError) return new ExpressionError(expression, 'syntax', problem, { at });
  if (error.code === 'unknown_variable') {
    const name = expression.slice(at, error.range?.end);
    const refusal = ownValue(types, name)?.refusal;
    if (refusal !== undefined) return new ExpressionError(expression, 'unknown', `${name}: ${refusal}`, { at });
    const variables = Object.keys(types).filter((variable) => types[variable]?.refusal === undefined);
    const among = variables.length === 0 ? '' : ` There are: ${variables.join(', ')}.`;
    const suggestion = closestName(name, variables);
    return new ExpressionError(expression, 'unknown', `variable "${name}" does not exist.${among}`, { at, suggestion });
  }
  if (error.code === 'no_such_key') return new ExpressionError(expression, 'unknown', problem, { at });
  return new ExpressionError(expression, error instanceof EvaluationError ? 'value' : 'type', problem, { at });
}

interface Reference {
  type: ExpressionType;
  path: string;
  /** Read through `.?`: everything behind it is optional as well. */
  optional: boolean;
}

/** Looks at every `a.b["c"]` of an expression: the CEL library knows neither absent values nor names that were meant. */
class ReferenceCheck {
  /** The fields that the expression reads, by the type that has them. */
  readonly fieldsRead = new Map<ExpressionType, Map<string, ExpressionType>>();
  private readonly expression: string;
  private readonly types: Record<string, ExpressionType>;
  private readonly tested = new Set<string>();

  constructor(expression: string, types: Record<string, ExpressionType>) {
    this.expression = expression;
    this.types = types;
  }

  check(node: ASTNode): void {
    this.collectTested(node);
    this.visit(node);
  }

  /** `has(a.b)` anywhere in the expression is taken as proof that its author thinks of an absent `a.b`. */
  private collectTested(node: ASTNode): void {
    if (node.op === 'call' && node.args[0] === 'has') this.tested.add(node.args[1].map((part) => pathOf(part)).join());
    for (const child of childrenOf(node)) this.collectTested(child);
  }

  private visit(node: ASTNode): Reference | undefined {
    if (node.op === 'id') {
      const type = ownValue(this.types, node.args);
      return type && { type, path: node.args, optional: false };
    }
    const step = selectionOf(node);
    if (step === undefined) {
      for (const child of childrenOf(node)) this.visit(child);
      return undefined;
    }
    const owner = this.visit(step.owner);
    if (step.index !== undefined) this.visit(step.index);
    if (owner?.type.fields === undefined || step.name === undefined) return undefined;
    const field = this.select(owner, owner.type.fields, step.name, { optional: owner.optional || step.optional, at: nameAt(node) });
    const read = this.fieldsRead.get(owner.type) ?? new Map<string, ExpressionType>();
    this.fieldsRead.set(owner.type, read.set(step.name, field.type));
    return field;
  }

  private select(
    owner: Reference,
    fields: Record<string, ExpressionType>,
    name: string,
    access: { optional: boolean; at: number },
  ): Reference {
    const path = pathTo(owner.path, name);
    const { at } = access;
    const type = ownValue(fields, name);
    if (type === undefined) throw this.unknownName(owner.path, fields, name, at);
    if (type.refusal !== undefined) throw new ExpressionError(this.expression, 'unknown', `${path}: ${type.refusal}`, { at });
    if (type.mayBeAbsent === true && !access.optional && !this.tested.has(path)) {
      const optionalPath = /^[A-Za-z_]\w*$/.test(name) ? `${owner.path}.?${name}` : `${owner.path}[?${JSON.stringify(name)}]`;
      const problem = `${path} may be absent; write ${optionalPath} to leave the value out then, or ${optionalPath}.orValue(…).`;
      throw new ExpressionError(this.expression, 'unknown', problem, { at });
    }
    return { type, path, optional: access.optional };
  }

  private unknownName(owner: string, fields: Record<string, ExpressionType>, name: string, at: number): ExpressionError {
    const names = Object.keys(fields);
    const dashed = names.find((candidate) => candidate.startsWith(`${name}-`) && this.expression.startsWith(candidate, at));
    if (dashed !== undefined) {
      const problem = `a name with "-" is read as a subtraction; write ${pathTo(owner, dashed)}.`;
      return new ExpressionError(this.expression, 'unknown', problem, { at });
    }
    const suggestion = closestName(name, names);
    const among = suggestion === undefined && names.length > 0 ? ` There are: ${names.slice(0, 20).join(', ')}.` : '';
    return new ExpressionError(this.expression, 'unknown', `${pathTo(owner, name)} does not exist.${among}`, { at, suggestion });
  }
}

interface Selection {
  owner: ASTNode;
  /** Name of the field; undefined where it is computed. */
  name: string | undefined;
  /** The expression in the brackets. */
  index?: ASTNode;
  optional: boolean;
}

function selectionOf(node: ASTNode): Selection | undefined {
  if (node.op === '.' || node.op === '.?') return { owner: node.args[0], name: node.args[1], optional: node.op === '.?' };
  if (node.op !== '[]' && node.op !== '[?]') return undefined;
  const [owner, index] = node.args;
  const name = index.op === 'value' && typeof index.args === 'string' ? index.args : undefined;
  return { owner, name, index, optional: node.op === '[?]' };
}

function nameAt(node: ASTNode): number {
  return node.op === '[]' || node.op === '[?]' ? node.args[1].range.start : node.pos;
}

function pathOf(node: ASTNode): string {
  if (node.op === 'id') return node.args;
  const step = selectionOf(node);
  return step?.name === undefined ? '' : pathTo(pathOf(step.owner), step.name);
}

function pathTo(owner: string, name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? `${owner}.${name}` : `${owner}[${JSON.stringify(name)}]`;
}

/** What an expression is evaluated in. */
interface Surroundings {
  environment: Environment;
  variables: Record<string, unknown>;
  budget: EvaluationBudget;
}

/** The variables as CEL sees them. Throws an ExpressionError where an element has a name that it cannot have. */
function surroundingsOf({ inputs, steps, target, elements = {} }: Scope): Surroundings {
  const variables = { inputs: celValue(inputs), steps: celValue(steps), target };
  const names = Object.keys(elements);
  const budget = new EvaluationBudget();
  if (names.length === 0) return { environment: untyped, variables, budget };
  const environment = untyped.clone();
  for (const name of names) {
    const problem = elementNameProblem(name);
    if (problem !== undefined) throw new ExpressionError(name, 'syntax', `as the name of an element, it ${problem}`);
    environment.registerVariable(name, 'dyn');
  }
  return { environment, variables: { ...variables, ...(celValue(elements) as object) }, budget };
}

/** Whether a name is one that a variable can have and that nothing in CEL has. */
function isFreeName(name: string): boolean {
  if (base.hasVariable(name)) return false;
  try {
    const { ast } = base.parse(name);
    return ast.op === 'id' && ast.args === name;
  } catch (error) {
    if (error instanceof ParseError) return false;
    throw error;
  }
}

/**
 * Whole numbers become CEL integers, so that `inputs.nodesAtOnce + 1` adds. Lists are made anew by `Array.from`: the CEL library
 * knows only those of its own realm, and a workflow runs in a realm of its own.
 */
function celValue(value: Json): unknown {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return Array.from(value, celValue);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, celValue(item)]));
}

function jsonOf(expression: string, value: unknown, budget: EvaluationBudget): Json {
  budget.give(typeof value === 'string' ? value : undefined);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') {
    const number = Number(value);
    if (Number.isSafeInteger(number)) return number;
    throw new ExpressionError(expression, 'value', `gives ${value}, which is too large for a JSON number.`);
  }
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((item) => jsonOf(expression, item, budget));
  if (isPlainObject(value)) {
    const entries = Object.entries(value).map(([key, item]) => {
      budget.give(key);
      return [key, jsonOf(expression, item, budget)] as const;
    });
    return Object.fromEntries(entries);
  }
  const problem = 'gives a value that JSON cannot hold; turn it into text with string(…).';
  throw new ExpressionError(expression, 'value', problem);
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

import * as z from 'zod';
import {
  ExpressionError,
  expressionChecker,
  expressionsIn,
  type ExpressionType,
  isWholeExpression,
} from '../../domain/expression/expression.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { ownValue } from '../../domain/map.ts';
import type { SourceMap } from '../grammar/document.ts';
import type { ValuePath } from '../grammar/problem.ts';
import { checkShape, typeWords } from '../grammar/shape.ts';
import type { ActionDeclaration } from '../actions/declaration.ts';

/** A string of a template that holds expressions. */
export interface TemplateResult {
  /** Within the template. */
  path: ValuePath;
  /** CEL type of what it will be; `dyn` where unknown. */
  type: string;
}

/** Checks expressions against the variables that exist at one place of a runbook and reports what is wrong with them. */
export class TemplateCheck {
  /** Whether anything was wrong so far. */
  failed = false;
  private readonly sourceMap: SourceMap;
  private readonly types: Record<string, ExpressionType>;
  private checker?: (expression: string) => string;

  constructor(sourceMap: SourceMap, types: Record<string, ExpressionType>) {
    this.sourceMap = sourceMap;
    this.types = types;
  }

  /** Checks every expression of a template that stands at `path`; gives what each of its strings with expressions will be. */
  checkTemplate(template: Json, path: ValuePath, inside: ValuePath = []): TemplateResult[] {
    if (typeof template === 'string') {
      const type = this.typeOfText(template, [...path, ...inside]);
      return type === undefined ? [] : [{ path: inside, type }];
    }
    if (template === null || typeof template !== 'object') return [];
    const entries: [string | number, Json][] = Array.isArray(template) ? [...template.entries()] : Object.entries(template);
    return entries.flatMap(([part, value]) => this.checkTemplate(value, path, [...inside, part]));
  }

  /** Checks an expression that stands at `offset` of the text at `path`; gives its CEL type, `dyn` where it is wrong. */
  checkExpression(expression: string, path: ValuePath, text = expression, offset = 0): string {
    try {
      this.checker ??= expressionChecker(this.types);
      return this.checker(expression);
    } catch (error) {
      this.report(error, path, text, offset);
      return 'dyn';
    }
  }

  private typeOfText(text: string, path: ValuePath): string | undefined {
    try {
      const found = expressionsIn(text);
      const types = found.map(({ expression, start }) => this.checkExpression(expression, path, text, start));
      if (types.length === 0) return undefined;
      return isWholeExpression(text, found) ? types[0] : 'string';
    } catch (error) {
      this.report(error, path, text, error instanceof ExpressionError ? text.length - error.expression.length : 0);
      return 'dyn';
    }
  }

  private report(error: unknown, path: ValuePath, text: string, offset: number): void {
    if (!(error instanceof ExpressionError)) throw error;
    this.failed = true;
    this.sourceMap.errorInText(path, text, offset + error.at, `Expression "${error.expression}": ${error.problem}`);
  }
}

/** A string with another one in place of each of its expressions, which must be well-formed. */
export function withoutExpressions(template: string, replacement: string): string {
  let text = '';
  let from = 0;
  for (const { start, end } of expressionsIn(template)) {
    text += template.slice(from, start - 2) + replacement;
    from = end + 1;
  }
  return text + template.slice(from);
}

/** Checks the input of an action: what is written out by its values, what is an expression by its type, and what goes together. */
export function checkActionInput(
  { input: schema, conflict }: Pick<ActionDeclaration, 'input' | 'conflict'>,
  input: JsonObject,
  path: ValuePath,
  sourceMap: SourceMap,
  results: TemplateResult[],
): void {
  checkShape(schema, input, sourceMap, { path, except: results.map((result) => result.path) });
  const written = writtenSchemaOf(schema);
  for (const [name, value] of Object.entries(input)) {
    const minItems = schemaAt(written, [name]).node?.minItems ?? 0;
    if (Array.isArray(value) && value.length < minItems) sourceMap.error([...path, name], `Must have at least ${minItems} entries.`);
  }
  checkResults(written, results, path, sourceMap);
  // An expression that may give nothing is for the plan to judge.
  if (results.some(({ type }) => type === 'dyn' || type.startsWith('optional<'))) return;
  const cause = conflict?.(input);
  if (cause !== undefined) sourceMap.error(path, `The settings do not go together: ${cause}.`);
}

const writtenSchemas = new WeakMap<z.ZodObject, SchemaNode>();

/** The JSON Schema of what may be written as an action's input; made once, as it takes as long as all else. */
function writtenSchemaOf(schema: z.ZodObject): SchemaNode {
  const known = writtenSchemas.get(schema);
  if (known !== undefined) return known;
  const made = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as SchemaNode;
  writtenSchemas.set(schema, made);
  return made;
}

/** Checks what expressions of a template give against the JSON Schema that the template's value has to fit. */
export function checkResults(root: SchemaNode, results: TemplateResult[], path: ValuePath, sourceMap: SourceMap): void {
  for (const result of results) {
    const { node, required } = schemaAt(root, result.path);
    if (node === undefined) continue;
    const optional = /^optional<(.*)>$/.exec(result.type);
    const type = optional?.[1] ?? result.type;
    if (optional && required) {
      sourceMap.error([...path, ...result.path], 'Is required, but the expression may give nothing; add .orValue(…).');
    } else if (!fits(type, node)) {
      sourceMap.error([...path, ...result.path], `Must be ${wordsOf(node)}, but the expression gives ${type}.`);
    }
  }
}

/** As much of a JSON Schema as the types of expressions can be compared with. */
export interface SchemaNode {
  type?: string;
  items?: SchemaNode;
  minItems?: number;
  properties?: Record<string, SchemaNode>;
  required?: string[];
}

function schemaAt(root: SchemaNode, path: ValuePath): { node?: SchemaNode; required: boolean } {
  let node: SchemaNode | undefined = root;
  let required = true;
  for (const part of path) {
    const properties: Record<string, SchemaNode> = node?.properties ?? {};
    required = typeof part === 'string' && (node?.required ?? []).includes(part);
    if (typeof part === 'number') node = node?.items;
    else node = ownValue(properties, part);
  }
  return { node, required };
}

/** Whether a value of a CEL type can be what a schema asks for; what is unknown can. */
function fits(type: string, node: SchemaNode): boolean {
  if (type === 'dyn' || type.startsWith('dyn<') || node.type === undefined) return true;
  switch (node.type) {
    case 'string':
      return type === 'string';
    case 'integer':
      return type === 'int' || type === 'uint';
    case 'number':
      return ['int', 'uint', 'double'].includes(type);
    case 'boolean':
      return type === 'bool';
    case 'array': {
      const items = /^list<(.*)>$/.exec(type)?.[1];
      return type === 'list' || (items !== undefined && fits(items, node.items ?? {}));
    }
    case 'object':
      return type === 'map' || type.startsWith('map<');
    default:
      return true;
  }
}

function wordsOf(node: SchemaNode): string {
  const items = node.items?.type;
  if (node.type !== 'array' || items === undefined) return typeWords(node.type ?? '');
  return items === 'string' ? 'a list of texts' : `a list of ${items}s`;
}

import type { ASTNode, Environment } from '@marcbachmann/cel-js';
import { RE2JS } from 're2js';

/** Steps that the expressions of one template may take together: less than a second, in which a worker does nothing else. */
export const evaluationStepsMax = 3_000_000;
/** Characters of a text that an expression makes on its way to a result. */
export const textCharactersMax = 1024 * 1024;
/** Characters that the expressions of one template may give together, as JSON. */
export const resultCharactersMax = 1024 * 1024;
/** Characters of a text, and values of a list or map, that count as one step wherever the whole of it is given on. */
const charactersPerStep = 16;
const valuesPerStep = 16;
/** How much more a value costs that a function has made, such as split(), than one that is only read. */
const madeFactor = 4;
/** Characters of a text in a list that count as one more value: mostly it is only passed on. */
const charactersPerWeight = 128;
/** Characters of a regular expression. */
const patternLengthMax = 1000;
/** Steps for each instruction of a regular expression: once to make it, and for each character that it is held against. */
const stepsToCompile = 100;
const stepsToMatch = 0.5;
/** What a value takes besides its text: a quote or two, a comma. */
const charactersPerValue = 3;

/** What the expressions of one template may still cost. Once it is used up it stays so, whatever an expression makes of that. */
export class EvaluationBudget {
  /** Why no more is evaluated, as the end of a sentence; undefined while there is something left. */
  problem: string | undefined;
  private stepsLeft = evaluationStepsMax;
  private charactersLeft = resultCharactersMax;
  private readonly weights = new WeakMap<object, number>();
  private readonly patterns = new Map<string, RE2JS>();

  /** Counts steps. Throws a RangeError where there are too many. */
  spend(steps: number): void {
    this.stepsLeft -= steps;
    if (this.stepsLeft < 0) this.refuse(`takes more than ${evaluationStepsMax} steps; make the lists and texts in it shorter.`);
  }

  /** Counts the steps for a value that an operation gives; `made` where a function has made it. */
  spendOn(value: unknown, made = false): void {
    const factor = made ? madeFactor : 1;
    if (typeof value === 'string') {
      this.allowText(value.length);
      this.spend((factor * value.length) / charactersPerStep);
    } else if (typeof value === 'object' && value !== null) this.spend((factor * this.weightOf(value)) / valuesPerStep);
  }

  /** Throws a RangeError where a text of that length must not be made. */
  allowText(length: number): void {
    if (length > textCharactersMax) this.refuse(`makes a text of more than ${textCharactersMax} characters.`);
  }

  /** Counts a value of a result, with its text or key. Throws a RangeError where the result is too large. */
  give(text = ''): void {
    this.charactersLeft -= text.length + charactersPerValue;
    if (this.charactersLeft < 0) this.refuse(`gives more than ${resultCharactersMax} characters.`);
  }

  /**
   * Whether a regular expression is found in a text, by RE2: those of JavaScript can take for ever, with RE2 the time grows with both
   * lengths only. Throws a RangeError where it takes too many steps, and what RE2 throws where it is none.
   */
  matches(text: string, pattern: string): boolean {
    if (pattern.length > patternLengthMax) this.refuse(`has a regular expression of more than ${patternLengthMax} characters.`);
    const expression = this.patterns.get(pattern) ?? this.compile(pattern);
    this.spend(text.length * expression.programSize() * stepsToMatch);
    return expression.matcher(text).find();
  }

  private compile(pattern: string): RE2JS {
    const expression = RE2JS.compile(pattern);
    this.patterns.set(pattern, expression);
    this.spend(expression.programSize() * stepsToCompile);
    return expression;
  }

  private refuse(problem: string): never {
    this.problem ??= problem;
    throw new RangeError(problem);
  }

  /** How many values there are in a value. Of one object they are counted once: a list is not changed after it was given. */
  private weightOf(value: unknown): number {
    if (typeof value === 'string') return value.length / charactersPerWeight;
    if (typeof value !== 'object' || value === null) return 0;
    const known = this.weights.get(value);
    if (known !== undefined) return known;
    let weight = 0;
    for (const item of Array.isArray(value) ? value : Object.values(value)) weight += 1 + this.weightOf(item);
    this.weights.set(value, weight);
    return weight;
  }
}

/** What the CEL library evaluates with, as far as it is used here. */
interface Evaluator {
  run(node: EvaluatedNode, context: unknown): unknown;
  debugTypeDeep(value: unknown): unknown;
}

/** A node as the CEL library evaluates it; its types leave that out. */
interface EvaluatedNode {
  op: string;
  evaluate(evaluator: Evaluator, node: EvaluatedNode, context: unknown): unknown;
}

/** What an operation inside of a macro gives is not finished, or has been counted where it came from. */
const notCounted = new Set(['id', 'accuPush', 'accuValue', 'accuInc', '?:']);

/** Has the evaluation of a parsed expression counted: the CEL library has no limit of its own for lists of lists. */
export function meter(root: ASTNode, budget: EvaluationBudget): void {
  const node = root as unknown as EvaluatedNode;
  const evaluate = node.evaluate.bind(node);
  node.evaluate = (evaluator, _node, context) => {
    const metered = Object.assign(Object.create(evaluator) as Evaluator, {
      budget,
      run(next: EvaluatedNode, around: unknown): unknown {
        budget.spend(1);
        const value = next.evaluate(metered, next, around);
        if (!notCounted.has(next.op)) budget.spendOn(value, next.op === 'rcall');
        return value;
      },
      // It reads private fields, which only the evaluator itself has.
      debugTypeDeep: (value: unknown) => evaluator.debugTypeDeep(value),
    });
    const value = evaluate(metered, node, context);
    budget.spendOn(value);
    return value;
  };
}

/** The CEL library calls a function with what evaluates it. */
interface Metered {
  budget: EvaluationBudget;
}

/** Functions of CEL that are carried out by others of our own, as what they cost is not bounded by what they are given. */
const boundedNames: ReadonlyMap<string, string> = new Map([
  ['matches', 'matchesInLinearTime'],
  ['join', 'joinWithin'],
]);

/** Adds the functions that `useBoundedFunctions` puts in the place of others. */
export function registerBoundedFunctions(environment: Environment): void {
  const options = { async: false };
  environment
    .registerFunction(
      'string.matchesInLinearTime(string): bool',
      function (this: Metered, text: string, pattern: string): boolean {
        return this.budget.matches(text, pattern);
      },
      options,
    )
    .registerFunction('list<string>.joinWithin(): string', join, options)
    .registerFunction('list<string>.joinWithin(string): string', join, options);
}

function join(this: Metered, texts: unknown[], separator = ''): string {
  const stray = texts.find((text) => typeof text !== 'string');
  if (stray !== undefined) throw new TypeError('join() takes a list of texts');
  this.budget.allowText((texts as string[]).reduce((length, text) => length + text.length + separator.length, 0));
  return texts.join(separator);
}

/** Puts the bounded functions in the place of those that are called in a node. */
export function useBoundedFunction({ op, args }: ASTNode): void {
  if (op !== 'rcall') return;
  const call = args as unknown as string[];
  call[0] = boundedNames.get(call[0]!) ?? call[0]!;
}

/** A message of the CEL library with the names that its author has written. */
export function withWrittenNames(message: string): string {
  return [...boundedNames].reduce((text, [written, bounded]) => text.replaceAll(bounded, written), message);
}

import type { ExpressionType } from '../../domain/expression/expression.ts';
import { isObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { ActionStep, CompiledStep, HoldStep, RunbookStep } from '../../domain/runbook.ts';
import { didYouMean } from '../../domain/suggestion.ts';
import { actionNames, findAction, systemOf } from '../actions/index.ts';
import type { Configuration } from '../configuration/configuration.ts';
import type { SourceMap } from '../grammar/document.ts';
import {
  actionStepGrammar,
  holdStepGrammar,
  keysNotOfHolds,
  keysNotOfRunbookSteps,
  keysNotSupported,
  runbookStepGrammar,
} from '../grammar/runbook.ts';
import { checkGivenInputs } from './inputs.ts';
import { type StepOutline, typesForQuestion, typesForStep } from './outline.ts';
import type { ValuePath } from '../grammar/problem.ts';
import { checkRepetition, repetitionOf } from './repetition.ts';
import { checkShape } from '../grammar/shape.ts';
import { checkActionInput, checkResults, TemplateCheck, type TemplateResult } from './template.ts';

/** Where a step stands. */
export interface StepContext {
  sourceMap: SourceMap;
  configuration: Configuration | undefined;
  /** Type of the runbook's inputs. */
  inputs: ExpressionType;
  /** The kinds of target that the runbook works on; empty where that cannot be told. */
  worksOn: readonly string[];
  /** All steps of the runbook, and which of them it is. */
  outlines: StepOutline[];
  index: number;
}

/** Compiles a step of a runbook and reports all that is wrong with it; gives nothing where it cannot be carried out. */
export function compileStep(step: JsonObject, context: StepContext): CompiledStep | undefined {
  const { sourceMap, outlines, index } = context;
  const [first, second] = ['uses', 'runbook', 'hold'].filter((key) => key in step);
  if (first !== undefined && second !== undefined) {
    const remedy = second === 'hold' ? 'make the hold a step of its own, above this one' : 'make two steps of it';
    sourceMap.errorAtKey(['steps', index, second], `A step has either \`${first}\` or \`${second}\`; ${remedy}.`);
    return undefined;
  }
  switch (outlines[index]!.kind) {
    case 'hold':
      return compileHold(step, context);
    case 'runbook':
      return compileNested(step, context);
    case 'action':
      return compileAction(step, context);
  }
}

function compileAction(step: JsonObject, context: StepContext): ActionStep | undefined {
  const { sourceMap, index } = context;
  const path = ['steps', index];
  const sound = checkShape(actionStepGrammar, step, sourceMap, { path, refusals: keysNotSupported });
  const action = checkUses(step.uses, context);
  checkTemplates(step, context, (input, results, at) => {
    if (action === undefined) return;
    checkActionInput(action, input, at, sourceMap, results);
    if ('endpoint' in action.input.shape) checkEndpoint(input.endpoint, [...at, 'endpoint'], context);
  });
  if (!sound || action === undefined) return undefined;
  const { id, title, if: condition, with: given = {}, concurrency, onFailure = 'stuck', atClose, ...rest } = actionStepGrammar.parse(step);
  const { name, change, limits, runsOn } = action;
  return {
    kind: 'action',
    id,
    title,
    forEach: repetitionOf(rest),
    concurrency,
    onFailure,
    ...(atClose && { atClose }),
    uses: name,
    with: given as JsonObject,
    if: condition,
    change,
    limits,
    runsOn,
  };
}

function compileNested(step: JsonObject, context: StepContext): RunbookStep | undefined {
  const { sourceMap, outlines, index } = context;
  const sound = checkShape(runbookStepGrammar, step, sourceMap, { path: ['steps', index], refusals: keysNotOfRunbookSteps });
  const runbook = outlines[index]!.nested?.runbook;
  if (runbook !== undefined) checkKinds(`The runbook ${runbook.name}`, runbook.worksOn, context, 'runbook');
  checkTemplates(step, context, (given, results, at) => {
    if (runbook !== undefined) checkNestedInputs(runbook.inputs, given, at, sourceMap, results);
  });
  if (!sound || runbook === undefined) return undefined;
  const { id, title, if: condition, with: given = {}, ...rest } = runbookStepGrammar.parse(step);
  return { kind: 'runbook', id, title, forEach: repetitionOf(rest), runbook, with: given as JsonObject, if: condition };
}

/** Checks every expression of a step, and has its input judged with what the expressions in it will give. */
function checkTemplates(
  step: JsonObject,
  { sourceMap, outlines, index, inputs }: StepContext,
  judge: (input: JsonObject, results: TemplateResult[], path: ValuePath) => void,
): void {
  const path = ['steps', index];
  const types = checkRepetition(step, typesForStep(outlines, index, inputs), sourceMap, path);
  if (types === undefined) return;
  if (typeof step.if === 'string') checkCondition(step.if, [...path, 'if'], new TemplateCheck(sourceMap, types.before), sourceMap);
  const input = step.with ?? {};
  if (!isObject(input)) return;
  const at = [...path, 'with'];
  judge(input, new TemplateCheck(sourceMap, types.inside).checkTemplate(input, at), at);
}

function checkUses(uses: Json | undefined, context: StepContext): ReturnType<typeof findAction> {
  if (typeof uses !== 'string') return undefined;
  const { sourceMap, configuration, index } = context;
  const path = ['steps', index, 'uses'];
  const action = findAction(uses);
  if (action === undefined) {
    const names = actionNames();
    sourceMap.error(path, `There is no action "${uses}".${didYouMean(uses, names)} There are: ${names.join(', ')}.`);
    return undefined;
  }
  if (action.worksOn) checkKinds(`The action ${action.name}`, action.worksOn, context, 'uses');
  const system = systemOf({ action: action.name });
  const loaded = configuration?.systems;
  if (system !== undefined && loaded !== undefined && !loaded.includes(system)) {
    sourceMap.error(path, `It belongs to the system ${system}, but the configuration names the systems ${loaded.join(', ')} only.`);
  }
  return action;
}

/**
 * An endpoint is named in the configuration, unless an expression says which. A warning: a run that has begun must not be held up, in its
 * rollback either, by an endpoint that somebody takes out; the gate itself stays shut then.
 */
function checkEndpoint(endpoint: Json | undefined, at: ValuePath, { configuration, sourceMap }: StepContext): void {
  if (typeof endpoint !== 'string' || endpoint.includes('${') || configuration === undefined) return;
  const names = Object.keys(configuration.endpoints ?? {});
  if (names.includes(endpoint)) return;
  const known = names.length === 0 ? ' The configuration has none.' : ` There are: ${names.join(', ')}.`;
  sourceMap.warning(at, `There is no endpoint "${endpoint}" in the configuration.${didYouMean(endpoint, names)}${known}`);
}

/** What a step carries out must work on every kind of target that its runbook works on. */
function checkKinds(what: string, worksOn: readonly string[], { sourceMap, worksOn: wanted, index }: StepContext, key: string): void {
  const missing = wanted.filter((kind) => !worksOn.includes(kind));
  if (missing.length === 0) return;
  const message = `${what} works on targets of the kind ${worksOn.join(' and ')}; this runbook works on ${wanted.join(' and ')}.`;
  sourceMap.error(['steps', index, key], message);
}

function checkCondition(condition: string, at: ValuePath, check: TemplateCheck, sourceMap: SourceMap): void {
  if (condition.includes('${')) {
    sourceMap.error(at, '`if` is an expression already; write it without ${ }.');
    return;
  }
  const type = check.checkExpression(condition, at);
  if (!['bool', 'dyn'].includes(type)) sourceMap.error(at, `Must be true or false, but the expression gives ${type}.`);
}

/** What is written out is checked by its values, what is an expression by its type. */
function checkNestedInputs(schema: JsonObject, given: JsonObject, at: ValuePath, sourceMap: SourceMap, results: TemplateResult[]): void {
  const expressions = results.map(({ path }) => path);
  for (const { path, message, unknown } of checkGivenInputs(schema, given, expressions)) {
    if (unknown) sourceMap.errorAtKey([...at, ...path], message);
    else sourceMap.error([...at, ...path], message);
  }
  checkResults(schema, results, at, sourceMap);
}

function compileHold(step: JsonObject, { sourceMap, configuration, outlines, index, inputs }: StepContext): HoldStep | undefined {
  const path = ['steps', index];
  const sound = checkShape(holdStepGrammar, step, sourceMap, { path, refusals: keysNotOfHolds });
  if (typeof step.question === 'string') {
    new TemplateCheck(sourceMap, typesForQuestion(outlines, index, inputs)).checkTemplate(step.question, [...path, 'question']);
  }
  const policies = configuration && Object.keys(configuration.policies);
  if (typeof step.hold === 'string' && policies !== undefined && !policies.includes(step.hold)) {
    const known = policies.length === 0 ? ' The configuration has none.' : ` There are: ${policies.join(', ')}.`;
    sourceMap.error([...path, 'hold'], `There is no policy "${step.hold}" in the configuration.${didYouMean(step.hold, policies)}${known}`);
  }
  if (!sound) return undefined;
  const { id, hold, question } = holdStepGrammar.parse(step);
  return { kind: 'hold', id, policy: hold, question };
}

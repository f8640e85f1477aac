import type { ExpressionType } from '../domain/expression.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { digestOfText } from '../domain/plan.ts';
import type { ActionStep, CompiledRunbook, CompiledStep, HoldStep } from '../domain/runbook.ts';
import { closestName, didYouMean } from '../domain/suggestion.ts';
import { parseTarget, TargetError } from '../domain/target.ts';
import { actionNames, findAction } from './actions.ts';
import type { Configuration } from './configuration.ts';
import { type DocumentPlaces, readDocument } from './document.ts';
import { actionStepGrammar, holdStepGrammar, keysNotSupported, runbookHeadGrammar, stepsMax } from './grammar.ts';
import { inputSchemaProblems, inputTypes } from './inputs.ts';
import type { Problem, ValuePath } from './problem.ts';
import { checkShape } from './shape.ts';
import { checkActionInput, TemplateCheck, withoutExpressions } from './template.ts';

/** A compiled runbook, unless there are errors among its problems. */
export interface Compilation {
  runbook?: CompiledRunbook;
  problems: Problem[];
}

/**
 * Compiles the text of a runbook. Every problem is reported with its place; never throws for what the text holds.
 * Policies are checked only where the configuration that defines them is given.
 */
export function compileRunbook(text: string, file: string, configuration?: Configuration): Compilation {
  const { value, places } = readDocument(text, file);
  if (value === undefined) return { problems: places.problems() };
  const steps = compileDocument(value, places, configuration);
  const problems = places.problems();
  if (places.hasErrors()) return { problems };
  const document = runbookHeadGrammar.parse(value);
  const runbook: CompiledRunbook = {
    name: document.metadata.name,
    title: document.metadata.title,
    digest: digestOfText(text),
    target: document.target,
    inputs: (document.inputs as JsonObject | undefined) ?? { type: 'object', properties: {} },
    steps,
  };
  return { runbook, problems };
}

function compileDocument(value: Json, places: DocumentPlaces, configuration: Configuration | undefined): CompiledStep[] {
  checkShape(runbookHeadGrammar, value, places, { refusals: keysNotSupported });
  if (!isObject(value)) return [];
  const inputs = compileInputs(value.inputs, places);
  if (typeof value.target === 'string') checkTarget(value.target, inputs, places);
  const rawSteps = Array.isArray(value.steps) ? value.steps : [];
  if (rawSteps.length > stepsMax) return [];
  const outlines = rawSteps.map((step) => outlineOf(step));
  reportRepeatedIds(outlines, places);
  const compiled = rawSteps.map((step, index) => {
    if (!isObject(step)) return undefined;
    const context: StepContext = { places, configuration, inputs, outlines, index, path: ['steps', index] };
    return isHold(step) ? compileHold(step, context) : compileAction(step, context);
  });
  warnOfUnsignedChanges(outlines, places);
  return compiled.filter((step) => step !== undefined);
}

/** What is known of each step before any of them is looked at closely. */
interface StepOutline {
  id?: string;
  hold: boolean;
  conditional: boolean;
  action?: ReturnType<typeof findAction>;
}

interface StepContext {
  places: DocumentPlaces;
  configuration: Configuration | undefined;
  inputs: ExpressionType;
  outlines: StepOutline[];
  index: number;
  path: ValuePath;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A step with neither key is taken for what its author most likely meant, so that the problems fit. */
function isHold(step: JsonObject): boolean {
  if ('uses' in step) return false;
  return 'hold' in step || Object.keys(step).some((key) => closestName(key, ['uses', 'hold', 'id', 'with', 'if']) === 'hold');
}

function compileInputs(schema: Json | undefined, places: DocumentPlaces): ExpressionType {
  if (schema === undefined) return { fields: {} };
  // Its shape has been reported; nothing is known of the inputs then.
  if (!isObject(schema)) return { type: 'dyn' };
  const problems = inputSchemaProblems(schema);
  for (const { path, message } of problems) places.error(['inputs', ...path], message);
  return inputTypes(schema);
}

function checkTarget(target: string, inputs: ExpressionType, places: DocumentPlaces): void {
  const check = new TemplateCheck(places, { inputs });
  check.checkTemplate(target, ['target']);
  if (check.failed) return;
  try {
    // A region's name stands for every expression: it is a valid cluster name as well.
    parseTarget(withoutExpressions(target, 'eu-central-1'));
  } catch (error) {
    if (!(error instanceof TargetError)) throw error;
    places.error(['target'], 'Must have the form eks/<region>/<cluster>, for example eks/${inputs.region}/${inputs.cluster}.');
  }
}

function outlineOf(step: Json): StepOutline {
  if (!isObject(step)) return { hold: false, conditional: false };
  const action = typeof step.uses === 'string' ? findAction(step.uses) : undefined;
  const id = typeof step.id === 'string' ? step.id : undefined;
  return { id, hold: isHold(step), conditional: step.if !== undefined, action };
}

function reportRepeatedIds(outlines: StepOutline[], places: DocumentPlaces): void {
  const first = new Map<string, number>();
  for (const [index, { id }] of outlines.entries()) {
    if (id === undefined) continue;
    const other = first.get(id);
    if (other === undefined) first.set(id, index);
    else places.error(['steps', index, 'id'], `The id "${id}" is already taken by steps[${other}]; every step needs its own.`);
  }
}

function warnOfUnsignedChanges(outlines: StepOutline[], places: DocumentPlaces): void {
  for (const [index, { hold, action }] of outlines.entries()) {
    if (hold) return;
    if (action?.changes !== true || action.adds) continue;
    const message = `${action.name} changes what is in use, but there is no hold above it: only the person who starts the run signs it.`;
    places.warning(['steps', index], message);
  }
}

function compileAction(step: JsonObject, context: StepContext): ActionStep | undefined {
  const { places, path } = context;
  if ('uses' in step && 'hold' in step) {
    places.errorAtKey([...path, 'hold'], 'A step has either `uses` or `hold`; make the hold a step of its own, above this one.');
    return undefined;
  }
  const notSupported = Object.keys(step).some((key) => keysNotSupported.has(key));
  const except: ValuePath[] = notSupported && !('uses' in step) ? [['uses']] : [];
  const sound = checkShape(actionStepGrammar, step, places, { path, refusals: keysNotSupported, except });
  const types = typesForAction(context);
  if (typeof step.if === 'string') checkCondition(step.if, context, types);
  const action = checkUses(step.uses, context);
  const input = step.with ?? {};
  if (isObject(input)) {
    const results = new TemplateCheck(places, types).checkTemplate(input, [...path, 'with']);
    if (action !== undefined) checkActionInput(action.input, input, [...path, 'with'], places, results);
  }
  if (!sound || action === undefined) return undefined;
  const { id, title, if: condition, with: given = {} } = actionStepGrammar.parse(step);
  const { name, changes, limits } = action;
  return { kind: 'action', id, title, uses: name, with: given as JsonObject, if: condition, changes, limits };
}

function checkUses(uses: Json | undefined, { places, path }: StepContext): ReturnType<typeof findAction> {
  if (typeof uses !== 'string') return undefined;
  const action = findAction(uses);
  if (action === undefined) {
    const names = actionNames();
    places.error([...path, 'uses'], `There is no action "${uses}".${didYouMean(uses, names)} There are: ${names.join(', ')}.`);
  }
  return action;
}

function checkCondition(condition: string, { places, path }: StepContext, types: Record<string, ExpressionType>): void {
  const at: ValuePath = [...path, 'if'];
  if (condition.includes('${')) {
    places.error(at, '`if` is an expression already; write it without ${ }.');
    return;
  }
  const type = new TemplateCheck(places, types).checkExpression(condition, at);
  if (!['bool', 'dyn'].includes(type)) places.error(at, `Must be true or false, but the expression gives ${type}.`);
}

function compileHold(step: JsonObject, context: StepContext): HoldStep | undefined {
  const { places, path, configuration } = context;
  const sound = checkShape(holdStepGrammar, step, places, { path, refusals: keysNotSupported });
  if (typeof step.question === 'string') {
    new TemplateCheck(places, typesForQuestion(context)).checkTemplate(step.question, [...path, 'question']);
  }
  const policies = configuration && Object.keys(configuration.policies);
  if (typeof step.hold === 'string' && policies !== undefined && !policies.includes(step.hold)) {
    const known = policies.length === 0 ? ' The configuration has none.' : ` There are: ${policies.join(', ')}.`;
    places.error([...path, 'hold'], `There is no policy "${step.hold}" in the configuration.${didYouMean(step.hold, policies)}${known}`);
  }
  if (!sound) return undefined;
  const { id, hold, question } = holdStepGrammar.parse(step);
  return { kind: 'hold', id, policy: hold, question };
}

function typesForAction(context: StepContext): Record<string, ExpressionType> {
  return typesWith(context, () => ({ refusal: 'the step comes later in the runbook; only outputs of earlier steps are known here.' }));
}

function typesForQuestion(context: StepContext): Record<string, ExpressionType> {
  const next = context.outlines.findIndex((outline, index) => index > context.index && outline.hold);
  const spanEnd = next < 0 ? context.outlines.length : next;
  return typesWith(context, (outline, index) => {
    if (index >= spanEnd) return { refusal: 'the step belongs to the span of a later hold; its plan is not made yet.' };
    if (outline.action === undefined) return { type: 'dyn' };
    const refusal = 'is known only after the step has run; a question can refer to its plan.';
    const outputs = Object.keys(outline.action.outputs).map((name) => [name, { refusal }] as const);
    const plan: ExpressionType = { fields: outline.action.planFields };
    return { fields: { ...Object.fromEntries(outputs), plan }, mayBeAbsent: outline.conditional };
  });
}

function typesWith(
  { outlines, inputs, index }: StepContext,
  typeOfLater: (outline: StepOutline, index: number) => ExpressionType,
): Record<string, ExpressionType> {
  const steps: Record<string, ExpressionType> = {};
  for (const [at, outline] of outlines.entries()) {
    if (outline.id === undefined || Object.hasOwn(steps, outline.id)) continue;
    if (at === index) steps[outline.id] = { refusal: 'a step cannot refer to itself.' };
    else if (outline.hold) steps[outline.id] = { refusal: 'a hold has no outputs.' };
    else steps[outline.id] = at < index ? typeOfEarlier(outline) : typeOfLater(outline, at);
  }
  return { inputs, steps: { fields: steps }, target: { type: 'string' } };
}

function typeOfEarlier({ action, conditional }: StepOutline): ExpressionType {
  if (action === undefined) return { type: 'dyn' };
  const plan: ExpressionType = { refusal: 'a plan can only be referred to by the question of the hold that it is signed at.' };
  return { fields: { ...action.outputs, plan }, mayBeAbsent: conditional };
}

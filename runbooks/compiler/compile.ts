import type { ExpressionType } from '../../domain/expression/expression.ts';
import { isObject, type Json, type JsonObject } from '../../domain/json.ts';
import { digestOf, digestOfText } from '../../domain/plan/plan.ts';
import type { CompiledRunbook, CompiledStep } from '../../domain/runbook.ts';
import { closestName } from '../../domain/suggestion.ts';
import { findAction } from '../actions/index.ts';
import { addUp, Composition } from './composition.ts';
import { compileStep } from './step.ts';
import type { Configuration } from '../configuration/configuration.ts';
import { type SourceMap, readDocument } from '../grammar/document.ts';
import { keysNotSupported, runbookHeadGrammar, runbookStepGrammar, stepsMax } from '../grammar/runbook.ts';
import { inputSchemaProblems, inputTypes } from './input-schema.ts';
import { type DocumentOutline, type StepOutline, warnOfUnsignedChanges } from './outline.ts';
import type { Problem } from '../grammar/problem.ts';
import { keyOfStarted, type NestedDocument, type NestedDocuments } from './reference.ts';
import { checkShape } from '../grammar/shape.ts';
import { warnOfRules } from './rules.ts';
import { checkTarget } from './target.ts';
import { checkWindow } from './window.ts';

/** A compiled runbook, unless there are errors among its problems. */
export interface Compilation {
  runbook?: CompiledRunbook;
  problems: Problem[];
}

/**
 * Compiles the text of a runbook, with the documents of all that it carries out: nothing else is read. Every problem is reported
 * with its place in whichever document it is; never throws for what the texts hold. Policies are checked only where the
 * configuration that defines them is given.
 */
export function compileRunbook(text: string, file: string, configuration?: Configuration, documents: NestedDocuments = {}): Compilation {
  const composition = new Composition(documents, configuration, compileDocument);
  const started = composition.outlineOf({ text, file }, keyOfStarted(file));
  if (configuration === undefined) warnOfUnsignedChanges(started);
  else warnOfRules(started, configuration);
  const problems = composition.problems();
  return started.runbook === undefined ? { problems } : { runbook: started.runbook, problems };
}

function compileDocument({ text, file }: NestedDocument, key: string, composition: Composition): DocumentOutline {
  const { value, sourceMap } = readDocument(text, file);
  const outline: DocumentOutline = { sourceMap, steps: [], hasHold: false, height: 0, stepCount: 0, bytes: Buffer.byteLength(text) };
  composition.note(key, outline);
  if (value === undefined) return outline;
  const steps = compileSteps(value, outline, composition);
  // A step has no compiled form where the runbook that it carries out has errors, even if this document has none.
  if (sourceMap.hasErrors() || steps.includes(undefined)) return outline;
  const document = runbookHeadGrammar.parse(value);
  outline.runbook = {
    name: document.metadata.name,
    title: document.metadata.title,
    digest: digestOfDocument(text, steps as CompiledStep[], document.steps),
    target: document.target,
    worksOn: outline.worksOn ?? [],
    inputs: (document.inputs as JsonObject | undefined) ?? { type: 'object', properties: {} },
    ...(document.window !== undefined && { window: document.window }),
    steps: steps as CompiledStep[],
  };
  return outline;
}

/** That of the text alone, unless it carries out other runbooks: then theirs count as well, under the names that it has for them. */
function digestOfDocument(text: string, steps: CompiledStep[], written: Record<string, unknown>[]): string {
  const nested = steps.flatMap((step, index): [string, string][] => {
    return step.kind === 'runbook' ? [[String(written[index]!.runbook), step.runbook.digest]] : [];
  });
  if (nested.length === 0) return digestOfText(text);
  return digestOf({ text: digestOfText(text), runbooks: Object.fromEntries(nested) });
}

function compileSteps(value: Json, outline: DocumentOutline, composition: Composition): (CompiledStep | undefined)[] {
  const { sourceMap } = outline;
  checkShape(runbookHeadGrammar, value, sourceMap, { refusals: keysNotSupported });
  if (!isObject(value)) return [];
  const inputs = compileInputs(value.inputs, sourceMap);
  outline.worksOn = checkTarget(value, { inputs, sourceMap, configuration: composition.configuration });
  const rawSteps = Array.isArray(value.steps) ? value.steps : [];
  if (rawSteps.length > stepsMax) return [];
  outline.steps = rawSteps.map((step, index) => outlineOf(step, index, sourceMap, composition));
  addUp(outline);
  reportRepeatedIds(outline.steps, sourceMap);
  checkWindow(value, rawSteps, outline, composition.configuration);
  return rawSteps.map((step, index) => {
    if (!isObject(step)) return undefined;
    const { worksOn = [], steps: outlines } = outline;
    return compileStep(step, { sourceMap, configuration: composition.configuration, inputs, worksOn, outlines, index });
  });
}

function compileInputs(schema: Json | undefined, sourceMap: SourceMap): ExpressionType {
  if (schema === undefined) return { fields: {} };
  // Its shape has been reported; nothing is known of the inputs then.
  if (!isObject(schema)) return { type: 'dyn' };
  const problems = inputSchemaProblems(schema);
  for (const { path, message } of problems) sourceMap.error(['inputs', ...path], message);
  return inputTypes(schema);
}

const keysOfKinds = { uses: 'action', hold: 'hold', runbook: 'runbook' } as const;

/** A step with none of the keys is taken for what its author most likely meant, so that the problems fit. */
function kindOf(step: JsonObject): StepOutline['kind'] {
  const candidates = ['uses', 'hold', 'runbook'] as const;
  const key = candidates.find((candidate) => candidate in step) ?? candidates.find((candidate) => keysMeant(step).includes(candidate));
  return key === undefined ? 'action' : keysOfKinds[key];
}

function keysMeant(step: JsonObject): (string | undefined)[] {
  const words = [...Object.keys(keysOfKinds), ...Object.keys(runbookStepGrammar.shape)];
  return Object.keys(step).map((key) => closestName(key, words));
}

function outlineOf(step: Json, index: number, sourceMap: SourceMap, composition: Composition): StepOutline {
  if (!isObject(step)) return { kind: 'action', conditional: false, repeated: false, mayBeNothing: false };
  const kind = kindOf(step);
  const { runbook: reference } = step;
  const isReference = kind === 'runbook' && runbookStepGrammar.shape.runbook.safeParse(reference).success;
  const conditional = step.if !== undefined;
  return {
    id: typeof step.id === 'string' ? step.id : undefined,
    kind,
    conditional,
    repeated: step.forEach !== undefined,
    mayBeNothing: conditional || typeof step.forEach === 'string',
    action: typeof step.uses === 'string' ? findAction(step.uses) : undefined,
    nested: isReference ? composition.nested(reference as string, sourceMap, ['steps', index, 'runbook']) : undefined,
  };
}

function reportRepeatedIds(outlines: StepOutline[], sourceMap: SourceMap): void {
  const first = new Map<string, number>();
  for (const [index, { id }] of outlines.entries()) {
    if (id === undefined) continue;
    const other = first.get(id);
    if (other === undefined) first.set(id, index);
    else sourceMap.error(['steps', index, 'id'], `The id "${id}" is already taken by steps[${other}]; every step needs its own.`);
  }
}

import { HoldpointError } from '../domain/errors.ts';
import { ExpressionError } from '../domain/expression/expression.ts';
import { isObject, type Json, type JsonObject } from '../domain/json.ts';
import type { CompiledRunbook, RunbookDocument } from '../domain/runbook.ts';
import { TargetError, type Target } from '../domain/target.ts';
import { compileRunbook } from '../runbooks/compiler/compile.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { checkInputs, targetOf, type InputProblem } from '../runbooks/compiler/inputs.ts';
import { formatProblem } from '../runbooks/grammar/problem.ts';
import { stepsMax } from '../runbooks/grammar/runbook.ts';
import { parseTarget, unreachableTarget } from '../runbooks/targets.ts';

const problemsShownMax = 5;
/** Characters of the name of a file, which is only shown. */
const fileNameLengthMax = 4096;

/** A document to be prepared, with the inputs of a run; `target` is the one that the run was started on. */
export interface PreparationRequest {
  document: RunbookDocument;
  inputs: JsonObject;
  target?: string;
}

/** Inputs for a runbook that a step carries out on the target of its run. */
export interface NestedRequest {
  runbook: Pick<CompiledRunbook, 'name' | 'inputs' | 'target' | 'worksOn'>;
  inputs: JsonObject;
  target: string;
}

/** The inputs of a nested runbook with its defaults. */
export interface NestedPrepared {
  inputs: JsonObject;
}

/** A document that has been read, checked and given its inputs. */
export interface Prepared {
  runbook: CompiledRunbook;
  inputs: JsonObject;
  target: Target;
  targetName: string;
}

/**
 * Reads and checks a document once more where it will be carried out, against the actions and policies of this worker:
 * what a client has checked is not relied upon. `runbooks` are the documents that it carries out, by their keys; no file is read.
 * Throws `request-malformed`, `runbook-invalid`, `inputs-invalid`, `target-not-configured`.
 */
export function prepareRunbook(request: PreparationRequest, configuration: Configuration): Prepared {
  requireRequest(request);
  const { file, text, runbooks } = request.document;
  const { runbook, problems } = compileRunbook(text, file, configuration, runbooks);
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (!runbook || errors.length > 0) {
    throw new HoldpointError('runbook-invalid', { file, cause: errors.slice(0, problemsShownMax).map(formatProblem).join('; ') });
  }
  const { inputs, problems: inputProblems } = checkInputs(runbook, request.inputs);
  if (inputProblems.length > 0) {
    throw new HoldpointError('inputs-invalid', { file, runbook: runbook.name, cause: causeOf(inputProblems) });
  }
  const targetName = targetNameOf(runbook, inputs, file);
  if (request.target !== undefined && request.target !== targetName) {
    const cause = `they name the target ${targetName}, but the run was started on ${request.target}`;
    throw new HoldpointError('inputs-invalid', { file, runbook: runbook.name, cause });
  }
  const target = parseTarget(targetName);
  const unreachable = unreachableTarget(target, configuration);
  if (unreachable) {
    const { cause, remedy } = unreachable;
    throw new HoldpointError('target-not-configured', { target: targetName, cause }, { remedy });
  }
  return { runbook, inputs, target, targetName };
}

/**
 * Checks the inputs that a step gives to the runbook which it carries out, and fills in the defaults. That runbook works on the
 * target of its run, which `target` names, and on no other. Throws `inputs-invalid`.
 */
export function prepareNested(request: NestedRequest): NestedPrepared {
  const { runbook, target } = request;
  const { name } = runbook;
  const { inputs, problems } = checkInputs(runbook, request.inputs);
  if (problems.length > 0) throw new HoldpointError('inputs-invalid', { file: name, runbook: name, cause: causeOf(problems) });
  const named = targetNameOf(runbook, inputs, name);
  if (named === target) return { inputs };
  const cause = `they name the target ${named}, but it is carried out by a run on ${target} and can work on nothing else.`;
  throw new HoldpointError('inputs-invalid', { file: name, runbook: name, cause });
}

/** Whatever can reach Temporal can send anything in the place of a request. */
function requireRequest(request: unknown): void {
  const cause = isObject(request) ? problemOf(request) : 'it is no object';
  if (cause !== undefined) throw new HoldpointError('request-malformed', { cause });
}

function problemOf({ document, inputs, target }: JsonObject): string | undefined {
  if (!isObject(document)) return 'its `document` is no object';
  const { runbooks } = document;
  if (runbooks !== undefined && !isObject(runbooks)) return 'the `runbooks` of its document are no object';
  const texts = Object.values(runbooks ?? {});
  if (texts.length > stepsMax) return `its document carries ${texts.length} others along; ${stepsMax} are allowed`;
  if (![document, ...texts].every(isText)) return 'a `file` or a `text` of its documents is no text, or the name of a file is too long';
  if (!isObject(inputs)) return 'its `inputs` are no object';
  return target === undefined || typeof target === 'string' ? undefined : 'its `target` is no text';
}

function isText(document: Json): boolean {
  if (!isObject(document)) return false;
  const { file, text } = document;
  return typeof file === 'string' && file.length <= fileNameLengthMax && typeof text === 'string';
}

function targetNameOf(runbook: NestedRequest['runbook'], inputs: JsonObject, file: string): string {
  try {
    return targetOf(runbook, inputs);
  } catch (error) {
    if (!(error instanceof TargetError || error instanceof ExpressionError)) throw error;
    throw new HoldpointError('inputs-invalid', { file, runbook: runbook.name, cause: error.message });
  }
}

function causeOf(problems: readonly InputProblem[]): string {
  const told = problems.slice(0, problemsShownMax).map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
  return told.join('; ');
}

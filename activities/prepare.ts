import { HoldpointError } from '../domain/errors.ts';
import { ExpressionError } from '../domain/expression/expression.ts';
import type { JsonObject } from '../domain/json.ts';
import type { CompiledRunbook, RunbookDocument } from '../domain/runbook.ts';
import { TargetError, type Target } from '../domain/target.ts';
import { compileRunbook } from '../runbooks/compiler/compile.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { checkInputs, targetOf, type InputProblem } from '../runbooks/compiler/inputs.ts';
import { formatProblem } from '../runbooks/grammar/problem.ts';
import { parseTarget, unreachableTarget } from '../runbooks/targets.ts';

const problemsShownMax = 5;

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
 * Throws `runbook-invalid`, `inputs-invalid`, `target-not-configured`.
 */
export function prepareRunbook(
  request: { document: RunbookDocument; inputs: JsonObject; target?: string },
  configuration: Configuration,
): Prepared {
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
export function prepareNested(request: { runbook: CompiledRunbook; inputs: JsonObject; target: string }): { inputs: JsonObject } {
  const { runbook, target } = request;
  const { name } = runbook;
  const { inputs, problems } = checkInputs(runbook, request.inputs);
  if (problems.length > 0) throw new HoldpointError('inputs-invalid', { file: name, runbook: name, cause: causeOf(problems) });
  const named = targetNameOf(runbook, inputs, name);
  if (named === target) return { inputs };
  const cause = `they name the target ${named}, but it is carried out by a run on ${target} and can work on nothing else.`;
  throw new HoldpointError('inputs-invalid', { file: name, runbook: name, cause });
}

function targetNameOf(runbook: CompiledRunbook, inputs: JsonObject, file: string): string {
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

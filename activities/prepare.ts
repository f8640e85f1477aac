import { HoldpointError } from '../domain/errors.ts';
import type { Target } from '../domain/action.ts';
import type { JsonObject } from '../domain/json.ts';
import type { CompiledRunbook } from '../domain/runbook.ts';
import { parseTarget, TargetError } from '../domain/target.ts';
import { compileRunbook } from '../runbooks/compile.ts';
import type { Configuration } from '../runbooks/configuration.ts';
import { checkInputs, targetOf } from '../runbooks/inputs.ts';
import { formatProblem } from '../runbooks/problem.ts';

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
 * what a client has checked is not relied upon. Throws `runbook-invalid`, `inputs-invalid`.
 */
export function prepareRunbook(
  request: { document: { file: string; text: string }; inputs: JsonObject; target?: string },
  configuration: Configuration,
): Prepared {
  const { file, text } = request.document;
  const { runbook, problems } = compileRunbook(text, file, configuration);
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (!runbook || errors.length > 0) {
    throw new HoldpointError('runbook-invalid', { file, cause: errors.slice(0, problemsShownMax).map(formatProblem).join('; ') });
  }
  const { inputs, problems: inputProblems } = checkInputs(runbook, request.inputs);
  if (inputProblems.length > 0) {
    const cause = inputProblems
      .slice(0, problemsShownMax)
      .map(({ message }) => message)
      .join('; ');
    throw new HoldpointError('inputs-invalid', { file, runbook: runbook.name, cause });
  }
  try {
    const targetName = targetOf(runbook, inputs);
    if (request.target !== undefined && request.target !== targetName) {
      const cause = `they name the target ${targetName}, but the run was started on ${request.target}`;
      throw new HoldpointError('inputs-invalid', { file, runbook: runbook.name, cause });
    }
    return { runbook, inputs, target: parseTarget(targetName), targetName };
  } catch (error) {
    if (!(error instanceof TargetError)) throw error;
    throw new HoldpointError('inputs-invalid', { file, runbook: runbook.name, cause: error.message });
  }
}

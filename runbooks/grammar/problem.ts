/** Problems that are reported of one file. */
export const problemsMax = 50;

/** Keys and indexes that lead to a value of a document. */
export type ValuePath = (string | number)[];

/** Something wrong in a document, at a place that an editor can jump to. */
export interface Problem {
  severity: 'error' | 'warning';
  file: string;
  /** From 1. */
  line: number;
  /** From 1, in UTF-16 units. */
  column: number;
  /** E.g. `steps[2].with.nodesAtOnce`; empty for the document as a whole. */
  path: string;
  message: string;
}

/** One line per problem: `runbooks/x.yaml:12:5 error steps[2].with.nodesAtOnce: must be at least 1`. */
export function formatProblem(problem: Problem): string {
  const path = problem.path === '' ? '' : `${problem.path}: `;
  return `${problem.file}:${problem.line}:${problem.column} ${problem.severity} ${path}${problem.message}`;
}

/** Writes a path as `steps[2].with.nodesAtOnce`; keys that are no plain names are quoted. */
export function formatPath(path: ValuePath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!/^[A-Za-z_][\w-]*$/.test(part)) text += `[${JSON.stringify(part)}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text;
}

/** Problems in the order of the document, each once, the first `problemsMax` of them; an error is never cut off by warnings. */
export function sortProblems(problems: Problem[]): Problem[] {
  const unique = new Map(problems.map((problem) => [formatProblem(problem), problem]));
  const bySeverity = [...unique.values()].sort((a, b) => a.severity.localeCompare(b.severity));
  return bySeverity.slice(0, problemsMax).sort((a, b) => a.line - b.line || a.column - b.column || a.message.localeCompare(b.message));
}

/** The problems of several files in their order, the first `problemsMax` of them; an error is never cut off by warnings. */
export function firstProblems(problems: Problem[]): Problem[] {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const warnings = problems.filter(({ severity }) => severity === 'warning');
  const kept = new Set([...errors, ...warnings].slice(0, problemsMax));
  return problems.filter((problem) => kept.has(problem));
}

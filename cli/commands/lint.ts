import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { fileTrouble } from '../../domain/file-trouble.ts';
import { problemsOfTemplate } from '../../domain/notification.ts';
import type { CompiledRunbook } from '../../domain/runbook.ts';
import { counted } from '../../domain/text.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { rulesOfUnknownTargets } from '../../runbooks/compiler/rules.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { readRunbook, shippedRunbooks } from '../../runbooks/library.ts';
import { formatProblem, type Problem } from '../../runbooks/grammar/problem.ts';
import { calendarProblems } from '../calendars.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { listOfNames } from '../format.ts';
import { configurationFile, readConfiguration } from '../runbook-files.ts';

interface LintOptions extends CommonOptions {
  strict?: boolean;
  config?: string;
}

export const registerLint: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('lint'))
    .argument('[runbook...]', 'names or paths; all shipped ones if left out')
    .option('--strict', 'refuse warnings, too')
    .option('--config <file>', 'holdpoint.yaml to check policies against')
    .addHelpText('after', '\nExample:\n  holdpoint lint --strict ./runbooks/*.yaml\n\nExit codes: 0 no problem, 2 problems.')
    .action(async (names: string[], options: LintOptions) => {
      const terminal = context.terminal(options);
      const configuration = await readConfiguration(terminal, options.config);
      const file = configurationFile(terminal, options.config);
      const calendars = await calendarProblems(file, configuration?.calendars, terminal.surroundings.now().getTime());
      const named = [...templateProblems(file, configuration), ...calendars];
      const files = (names.length > 0 ? names : shippedRunbooks()).map(readRunbook);
      const compiled = files.map(({ text, file, runbooks }) => ({ file, ...compileRunbook(text, file, configuration, runbooks) }));
      const told = compiled.flatMap((each) => each.problems);
      const problems = eachOnce([...named, ...(names.length > 0 ? told : told.map(asOneOfMany))]);
      const notes = configuration ? compiled.flatMap(({ file, runbook }) => notesOf(file, runbook, configuration)) : [];
      const refused = problems.filter(({ severity }) => options.strict || severity === 'error');
      terminal.result({ files: files.map(({ file }) => file), problems, notes, ok: refused.length === 0 });
      terminal.lines([...problems.map(formatProblem), ...notes]);
      terminal.line(`${counted(files.length, 'runbook')}, ${counted(problems.length, 'problem')}.`);
      context.exit(refused.length > 0 ? exitCodes.usage : exitCodes.done);
    });
};

/** What could not be looked at, so that no problem does not pass for allowed. */
function notesOf(file: string, runbook: CompiledRunbook | undefined, configuration: Configuration): string[] {
  const rules = runbook ? rulesOfUnknownTargets(runbook, configuration) : [];
  if (rules.length === 0) return [];
  return [`${file}: note: its inputs decide on its target, so ${listOfNames(rules)}, for some targets, could not be looked at; plans are.`];
}

/** What is wrong with the texts that notifications have in the place of those that are built in. */
function templateProblems(file: string, configuration: Configuration | undefined): Problem[] {
  const templates = Object.values(configuration?.notifications?.templates ?? {});
  return templates.flatMap((path) => {
    const template = isAbsolute(path) ? path : join(dirname(file), path);
    const problem = (message: string): Problem => ({ file: template, line: 1, column: 1, path: '', severity: 'error', message });
    try {
      return problemsOfTemplate(readFileSync(template, 'utf8')).map(problem);
    } catch (error) {
      return [problem(`Cannot be read: ${fileTrouble(error) ?? String(error)}.`)];
    }
  });
}

/** Nobody has to have a policy for a shipped runbook that they never start: all of them were looked at, and none was named. */
function asOneOfMany(problem: Problem): Problem {
  const isOfPolicy = problem.path.endsWith('.hold') && problem.message.startsWith('There is no policy ');
  return isOfPolicy ? { ...problem, severity: 'warning' } : problem;
}

/** A runbook that others carry out has its problems told by each of them. */
function eachOnce(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((problem) => [formatProblem(problem), problem])).values()];
}

import type { Json, JsonObject } from '../../domain/json.ts';
import type { CompiledStep } from '../../domain/runbook.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { readRunbook, shippedRunbooks } from '../../runbooks/library.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { loadRunbook } from '../runbook-files.ts';
import type { Terminal } from '../terminal.ts';
import { table } from '../layout.ts';

export const registerRunbooks: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('runbooks'))
    .argument('[runbook]', 'name of a shipped runbook, or a path such as ./my.yaml')
    .addHelpText('after', '\nExample:\n  holdpoint runbooks node-group-rotation')
    .action(async (name: string | undefined, options: CommonOptions) => {
      const terminal = context.terminal(options);
      if (name === undefined) {
        const runbooks = shippedRunbooks().map((shipped) => {
          const { text, file, runbooks: nested } = readRunbook(shipped);
          return { name: shipped, title: compileRunbook(text, file, undefined, nested).runbook?.title ?? '', file };
        });
        terminal.result({ runbooks });
        return terminal.lines(table(runbooks.map((runbook) => [runbook.name, runbook.title])));
      }
      const { document, runbook } = await loadRunbook(terminal, name, undefined);
      terminal.result({ ...runbook, file: document.file });
      const { colors } = terminal;
      terminal.lines([colors.bold(runbook.title), `${document.file}  ${colors.dim(runbook.digest)}`]);
      terminal.lines([`target ${runbook.target}`, '', 'Inputs (`-i name=value`, or a map in a file with `-f`):']);
      terminal.lines(inputLines(runbook.inputs, terminal));
      terminal.lines(['', 'Steps:']);
      terminal.lines(table(runbook.steps.map(stepRow)).map((row) => `  ${row}`));
    });
};

function stepRow(step: CompiledStep): string[] {
  if (step.kind === 'hold') return ['■', step.id, `hold, policy ${step.policy}`];
  const what = step.kind === 'runbook' ? `runbook ${step.runbook.name}` : step.uses;
  return ['·', step.id, step.forEach === undefined ? what : `${what}, for each ${step.forEach.as} of ${text(step.forEach.items)}`];
}

/** Each input with its type, what is allowed, and how a list is written. */
function inputLines(schema: JsonObject, { colors }: Terminal): string[] {
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries((schema.properties ?? {}) as Record<string, JsonObject>).flatMap(([name, property]) => {
    const need = required.includes(name) ? 'required' : property.default === undefined ? 'optional' : `default ${text(property.default)}`;
    const allowed = allowedText(property);
    return [
      `  ${colors.bold(name)}  ${colors.dim(`${text(property.type ?? 'any')}, ${need}`)}`,
      ...(typeof property.description === 'string' ? [`      ${property.description}`] : []),
      ...(allowed === '' ? [] : [`      ${allowed}`]),
      ...(property.type === 'array' ? [`      a list: -i ${name}=a,b, or -i ${name}=a -i ${name}=b`] : []),
      ...(property.type === 'object' ? [`      a map, as JSON: -i ${name}='{"a": 1}'`] : []),
    ];
  });
}

function allowedText({ enum: values, minimum, maximum, pattern, minItems, maxItems }: JsonObject): string {
  const parts = [
    ...(Array.isArray(values) ? [`one of ${values.map(text).join(', ')}`] : []),
    ...(minimum === undefined ? [] : [`at least ${text(minimum)}`]),
    ...(maximum === undefined ? [] : [`at most ${text(maximum)}`]),
    ...(minItems === undefined ? [] : [`at least ${text(minItems)} of them`]),
    ...(maxItems === undefined ? [] : [`at most ${text(maxItems)} of them`]),
    ...(pattern === undefined ? [] : [`of the form ${text(pattern)}`]),
  ];
  return parts.join('; ');
}

function text(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

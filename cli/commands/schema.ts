import { configurationJsonSchema, runbookJsonSchema, scheduleJsonSchema } from '../../runbooks/grammar/json-schema.ts';
import { ownValue } from '../../domain/map.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';

const schemas = { runbook: runbookJsonSchema, configuration: configurationJsonSchema, schedule: scheduleJsonSchema };

export const registerSchema: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('schema'))
    .argument('[document]', 'runbook, configuration or schedule', 'runbook')
    .addHelpText('after', '\nExample:\n  holdpoint schema > runbook.schema.json')
    .action((document: string, options: CommonOptions) => {
      const schemaOf = ownValue(schemas, document);
      if (!schemaOf) throw new UsageError(`There is no schema of "${document}".`, 'Ask for runbook, configuration or schedule.');
      const schema = schemaOf();
      const terminal = context.terminal(options);
      terminal.result(schema);
      for (const line of JSON.stringify(schema, null, 2).split('\n')) terminal.verbatim(line);
    });
};

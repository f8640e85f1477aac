import { configurationJsonSchema, runbookJsonSchema } from '../../runbooks/grammar/json-schema.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';

export const registerSchema: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('schema'))
    .argument('[document]', 'runbook or configuration', 'runbook')
    .addHelpText('after', '\nExample:\n  holdpoint schema > runbook.schema.json')
    .action((document: string, options: CommonOptions) => {
      if (document !== 'runbook' && document !== 'configuration') {
        throw new UsageError(`There is no schema of "${document}".`, 'Ask for runbook or configuration.');
      }
      const schema = document === 'runbook' ? runbookJsonSchema() : configurationJsonSchema();
      const terminal = context.terminal(options);
      terminal.result(schema);
      terminal.lines(JSON.stringify(schema, null, 2).split('\n'));
    });
};

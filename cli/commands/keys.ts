import { createKey, keyDirectory } from '../../client/keys.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';

export const registerKeys: RegisterCommand = (program, context) => {
  const keys = program.command('keys').summary('the keys that people sign with');
  withCommonOptions(keys.command('create'))
    .summary('make your signing key; its public half goes into holdpoint.yaml')
    .argument('<person>', 'your id in holdpoint.yaml, such as ada')
    .addHelpText('after', '\nExample:\n  holdpoint keys create ada\n\nKeys are kept in $HOLDPOINT_KEYS, else ~/.config/holdpoint/keys.')
    .action(async (person: string, options: CommonOptions) => {
      const terminal = context.terminal(options);
      const directory = keyDirectory(terminal.surroundings.env);
      const publicKey = await createKey(person, directory);
      terminal.result({ person, key: publicKey, directory });
      terminal.lines([
        `Made the key of ${person} in ${directory}. It never leaves this machine; keep it to yourself.`,
        'Have the platform team add this to holdpoint.yaml:',
        '',
        'people:',
        `  ${person}: { name: "…", key: ${publicKey} }`,
      ]);
    });
};

import { createKey, keyDirectory, knownPeople, readKey } from '../../client/keys.ts';
import { KeyError } from '../../client/signing.ts';
import { agentKeys } from '../../client/ssh-agent.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';

export const registerKeys: RegisterCommand = (program, context) => {
  const keys = program.command('keys');
  withCommonOptions(keys.command('create'))
    .summary('make your signing key; its public half goes into holdpoint.yaml')
    .argument('<person>', 'your id in holdpoint.yaml, such as ada; or a name for the worker')
    .option('--worker', 'for a worker, which signs the entries of records with it')
    .addHelpText('after', '\nExample:\n  holdpoint keys create ada\n\nKeys are kept in $HOLDPOINT_KEYS, else ~/.config/holdpoint/keys.')
    .action(async (person: string, options: CommonOptions & { worker?: boolean }) => {
      const terminal = context.terminal(options);
      const directory = keyDirectory(terminal.surroundings.env);
      const publicKey = await createKey(person, directory);
      terminal.result({ person, key: publicKey, directory });
      terminal.lines([
        `Made the key of ${person} in ${directory}. It never leaves this machine; keep it to yourself.`,
        'Have the platform team add this to holdpoint.yaml:',
        '',
        ...(options.worker
          ? ['workers:', `  ${person}: { key: ${publicKey}, from: ${terminal.surroundings.now().toISOString()} }`]
          : ['people:', `  ${person}: { name: "…", key: ${publicKey} }`]),
        ...(options.worker ? ['', `and start the worker with HOLDPOINT_WORKER_KEY=${directory}/${person}.jwk`] : []),
      ]);
    });
  withCommonOptions(keys.command('list'))
    .summary('the keys that you can sign with: key files and those of an SSH agent')
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint keys list\n\nA key of an agent signs with `--signer ssh-agent` or HOLDPOINT_SIGNER=ssh-agent.',
    )
    .action(async (options: CommonOptions) => {
      const terminal = context.terminal(options);
      const { env } = terminal.surroundings;
      const directory = keyDirectory(env);
      const { usable, problems } = await allKeys(directory, env.SSH_AUTH_SOCK);
      terminal.result({ keys: usable, problems });
      for (const { signer, person, comment, key } of usable) {
        terminal.line(signer === 'file' ? `Key file of ${person} in ${directory}:` : `SSH agent, ${comment || 'without a comment'}:`);
        terminal.line(`  key: ${key}`);
      }
      if (usable.length === 0) terminal.line('There is no key to sign with. `holdpoint keys create NAME` makes one.');
      for (const { message, remedy } of problems) terminal.lines([message, `  ${remedy}`]);
    });
};

interface UsableKey {
  signer: 'file' | 'ssh-agent';
  /** Of a key file, which is somebody's. */
  person?: string;
  /** Of an agent's key: what its owner has called it. */
  comment?: string;
  key: string;
}

/** A key that cannot be used hides no other one. */
async function allKeys(
  directory: string,
  socket: string | undefined,
): Promise<{ usable: UsableKey[]; problems: Pick<KeyError, 'message' | 'remedy'>[] }> {
  const problems: Pick<KeyError, 'message' | 'remedy'>[] = [];
  const orProblem = async (reading: Promise<UsableKey[]>): Promise<UsableKey[]> => {
    try {
      return await reading;
    } catch (error) {
      if (!(error instanceof KeyError)) throw error;
      const { message, remedy } = error;
      problems.push({ message, remedy });
      return [];
    }
  };
  const ofFile = async (person: string): Promise<UsableKey[]> => [
    { signer: 'file', person, key: (await readKey(person, directory)).publicKey },
  ];
  const ofAgent = async (): Promise<UsableKey[]> =>
    (await agentKeys(socket)).map(({ publicKey, comment }) => ({ signer: 'ssh-agent', comment, key: publicKey }));
  const usable: UsableKey[] = [];
  for (const person of await knownPeople(directory)) usable.push(...(await orProblem(ofFile(person))));
  if (socket) usable.push(...(await orProblem(ofAgent())));
  return { usable, problems };
}

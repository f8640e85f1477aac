import { keyDirectory, knownPeople, readKey } from '../client/keys.ts';
import { KeyError, type Signer } from '../client/signing.ts';
import { agentSigner } from '../client/ssh-agent.ts';
import { sshFileSigner, sshKeyFile } from '../client/ssh-file.ts';
import { HoldpointError } from '../domain/errors.ts';
import { signerKinds, type SignerOptions } from './command.ts';
import { UsageError } from './errors.ts';
import { readConfiguration } from './runbook-files.ts';
import type { Terminal } from './terminal.ts';

/**
 * Who signs, with a key file, an SSH agent or the file of an SSH key: `--signer`, HOLDPOINT_SIGNER, or a key file. The person is named by
 * `--as` or HOLDPOINT_PERSON, or has the only key there is.
 * Throws KeyError, UsageError, `person-unnamed`.
 */
export async function signerOf(terminal: Terminal, options: SignerOptions): Promise<Signer> {
  const { env } = terminal.surroundings;
  const person = options.as ?? (env.HOLDPOINT_PERSON || undefined);
  const kind = options.signer ?? (env.HOLDPOINT_SIGNER || 'file');
  if (kind === 'file') return fileSigner(person, keyDirectory(env));
  const people = (await readConfiguration(terminal, options.config))?.people;
  if (kind === 'ssh-agent') return agentSigner(env.SSH_AUTH_SOCK, person, people);
  if (kind === 'ssh-file') return sshFileSigner(sshKeyFile(env), person, people);
  throw new UsageError(
    `HOLDPOINT_SIGNER is ${JSON.stringify(kind)}, which is no kind of signer.`,
    `It is one of ${signerKinds.join(', ')}.`,
  );
}

async function fileSigner(person: string | undefined, directory: string): Promise<Signer> {
  if (person !== undefined) return readKey(person, directory);
  const people = await knownPeople(directory);
  const [only, second] = people;
  if (only === undefined) {
    throw new KeyError(
      `There is no key in ${directory}.`,
      'Make yours with `holdpoint keys create NAME`, set HOLDPOINT_KEYS, or sign with `--signer ssh-agent`.',
    );
  }
  if (second !== undefined) {
    throw new HoldpointError('person-unnamed', { cause: `there are keys of ${people.join(', ')} in ${directory}` });
  }
  return readKey(only, directory);
}

import { createHash, randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { agentKeys } from '../../client/ssh-agent.ts';
import { createKey, keyDirectory, knownPeople, readKey } from '../../client/keys.ts';
import { KeyError } from '../../client/signing.ts';
import { readSshPublicKey, sshKeyFile } from '../../client/ssh-file.ts';
import {
  bytesOfKey,
  fingerprintOf,
  keysOf,
  stateOfKey,
  type KeyState,
  type PeopleKeys,
  type PersonKey,
} from '../../domain/approval/keys.ts';
import { isPersonId } from '../../domain/approval/statement.ts';
import { sshLineOf } from '../../domain/approval/sshsig.ts';
import { base64urlOf } from '../../domain/base64.ts';
import { withCommonOptions, type CommandContext, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { formatTime } from '../format.ts';
import { table } from '../layout.ts';
import { readConfiguration } from '../runbook-files.ts';
import type { Terminal } from '../terminal.ts';

const tokenBytes = 32;

export const registerKeys: RegisterCommand = (program, context) => {
  const keys = program.command('keys');
  registerToken(keys, context);
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
  withCommonOptions(keys.command('enrol'))
    .summary('print your SSH key as it goes into holdpoint.yaml: you need no new key')
    .argument('<person>', 'your id in holdpoint.yaml, such as ada')
    .argument('[file]', 'your public SSH key; else the only Ed25519 key of the SSH agent, else ~/.ssh/id_ed25519.pub')
    .addHelpText('after', '\nExample:\n  holdpoint keys enrol ada ~/.ssh/id_ed25519.pub\n\nOnly the public half is read.')
    .action(async (person: string, file: string | undefined, options: CommonOptions) => {
      const terminal = context.terminal(options);
      if (!isPersonId(person)) {
        const remedy = 'Use up to 63 lower-case letters, digits, ".", "_" and "-", a letter first.';
        throw new UsageError(`${JSON.stringify(person)} cannot be the id of a person.`, remedy);
      }
      const { key, comment, from: source } = await keyToEnrol(terminal, file);
      const from = terminal.surroundings.now().toISOString();
      const line = comment === '' ? sshLineOf(key) : `${sshLineOf(key)} ${comment}`;
      const enrolled: PersonKey = { type: 'ssh', key: line, from };
      terminal.result({ person, ...enrolled, fingerprint: fingerprintOf(enrolled), source });
      terminal.lines([
        `The key ${fingerprintOf(enrolled)} of ${source}. Have the platform team add this to holdpoint.yaml:`,
        '',
        'people:',
        `  ${person}:`,
        '    name: "…"',
        '    keys:',
        // JSON is YAML, whatever the comment holds.
        `      - { type: ssh, key: ${JSON.stringify(line)}, from: ${from} }`,
      ]);
    });
  withCommonOptions(keys.command('list'))
    .summary('the keys that you can sign with, and how they stand in holdpoint.yaml; with --people those of everybody')
    .option('--people', 'the keys of all people in holdpoint.yaml instead')
    .option('--config <file>', 'holdpoint.yaml to look in (else HOLDPOINT_CONFIG, else ./holdpoint.yaml)')
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint keys list\n  holdpoint keys list --people\n\n' +
        'A key of an agent signs with `--signer ssh-agent` or HOLDPOINT_SIGNER=ssh-agent, that of ~/.ssh/id_ed25519 with `ssh-file`.',
    )
    .action(async (options: CommonOptions & { people?: boolean; config?: string }) => {
      const terminal = context.terminal(options);
      const people = (await readConfiguration(terminal, options.config))?.people;
      if (options.people) {
        if (!people) throw new UsageError('There is no holdpoint.yaml here.', 'Name it with --config or HOLDPOINT_CONFIG.');
        listPeople(terminal, people);
      } else await listOwn(terminal, people);
    });
};

async function keyToEnrol(terminal: Terminal, file: string | undefined): Promise<{ key: Uint8Array; comment: string; from: string }> {
  const { env } = terminal.surroundings;
  if (file === undefined && env.SSH_AUTH_SOCK) {
    const [only, second] = await agentKeys(env.SSH_AUTH_SOCK);
    if (second) {
      throw new UsageError('The SSH agent has several Ed25519 keys.', 'Name the file of yours: `holdpoint keys enrol NAME FILE.pub`.');
    }
    if (only) return { key: Buffer.from(only.publicKey, 'base64url'), comment: only.comment, from: 'the SSH agent' };
  }
  const named = file ?? sshKeyFile(env);
  return { ...(await readSshPublicKey(named)), from: named };
}

/** A key of holdpoint.yaml with how it stands. */
function told(person: string, key: PersonKey, now: Date): PersonKey & { person: string; state: KeyState; fingerprint: string } {
  return { person, ...key, state: stateOfKey(key, now.getTime()), fingerprint: fingerprintOf(key) ?? '' };
}

function listPeople(terminal: Terminal, people: PeopleKeys): void {
  const now = terminal.surroundings.now();
  const keys = Object.entries(people).flatMap(([person, known]) => keysOf(known).map((key) => told(person, key, now)));
  terminal.result({ keys });
  const rows = keys.map((key) => [key.person, key.type, key.fingerprint, stateText(key)]);
  terminal.lines(table([['PERSON', 'TYPE', 'FINGERPRINT', 'STATE'], ...rows]));
}

/** In the user's zone: times in holdpoint.yaml are in UTC. */
/** How a key stands, in words. */
export function stateText({ state, from, until, revoked }: PersonKey & { state: KeyState }): string {
  switch (state) {
    case 'early':
      return `counts from ${formatTime(from)}`;
    case 'over':
      return `over since ${formatTime(until)}`;
    case 'revoked':
      return `revoked since ${formatTime(revoked)}`;
    case 'good': {
      const end = revoked ?? until;
      return end === undefined ? 'good' : `good until ${formatTime(end)}`;
    }
  }
}

interface UsableKey {
  signer: 'file' | 'ssh-agent' | 'ssh-file';
  /** Of a key file, which is somebody's. */
  person?: string;
  /** Of an SSH key: what its owner has called it. */
  comment?: string;
  /** Of an SSH key: its file. */
  file?: string;
  /** As `type: ed25519` has it. */
  key: string;
}

async function listOwn(terminal: Terminal, people: PeopleKeys | undefined): Promise<void> {
  const { env } = terminal.surroundings;
  const directory = keyDirectory(env);
  const { usable, problems } = await allKeys(directory, env);
  const now = terminal.surroundings.now();
  const keys = usable.map((key) => ({ ...key, configured: people ? entriesOf(key.key, people, now) : undefined }));
  terminal.result({ keys, problems });
  for (const { signer, person, comment, file, key, configured } of keys) {
    const names = {
      file: `Key file of ${person} in ${directory}`,
      'ssh-agent': `SSH agent, ${comment || 'without a comment'}`,
      'ssh-file': `SSH key ${file}`,
    };
    terminal.lines([`${names[signer]}:`, `  key: ${key}`]);
    if (signer !== 'file') terminal.line(`  ssh: ${sshLineOf(Buffer.from(key, 'base64url'))}`);
    for (const entry of configured ?? []) terminal.line(`  in holdpoint.yaml: ${entry.person}, type ${entry.type}, ${stateText(entry)}`);
    if (configured?.length === 0) terminal.line('  not in holdpoint.yaml');
  }
  if (usable.length === 0) {
    terminal.line(
      'There is no key to sign with. `holdpoint keys create NAME` makes one. Or use your SSH key: `holdpoint keys enrol NAME`.',
    );
  }
  for (const { message, remedy } of problems) terminal.lines([message, `  ${remedy}`]);
}

/** The entries of holdpoint.yaml that a key has. */
export function entriesOf(key: string, people: PeopleKeys, now: Date): ReturnType<typeof told>[] {
  const isSame = (other: PersonKey): boolean => base64urlOf(bytesOfKey(other) ?? new Uint8Array()) === key;
  return Object.entries(people).flatMap(([person, known]) =>
    keysOf(known)
      .filter(isSame)
      .map((one) => told(person, one, now)),
  );
}

/** A key that cannot be used hides no other one. */
export async function allKeys(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
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
    (await agentKeys(env.SSH_AUTH_SOCK)).map(({ publicKey, comment }) => ({ signer: 'ssh-agent', comment, key: publicKey }));
  const ofSshFile = async (file: string): Promise<UsableKey[]> => {
    const { key, comment } = await readSshPublicKey(file);
    return [{ signer: 'ssh-file', comment, file, key: base64urlOf(key) }];
  };
  const usable: UsableKey[] = [];
  for (const person of await knownPeople(directory)) usable.push(...(await orProblem(ofFile(person))));
  if (env.SSH_AUTH_SOCK) usable.push(...(await orProblem(ofAgent())));
  // The usual file need not be there, nor be of the type that is taken; one that was named must.
  const sshFile = ofSshFile(sshKeyFile(env));
  usable.push(...(await (env.HOLDPOINT_SSH_KEY ? orProblem(sshFile) : sshFile.catch(() => []))));
  return { usable, problems };
}

/** Makes a token with which a machine reads over HTTP. */
function registerToken(keys: Command, context: CommandContext): void {
  withCommonOptions(keys.command('token'))
    .summary('make a token with which a machine reads over HTTP; only its digest goes into holdpoint.yaml')
    .argument('<name>', 'what reads, such as grafana')
    .addHelpText('after', '\nExample:\n  holdpoint keys token grafana\n\nThe token is shown once, and kept nowhere.')
    .action((name: string, options: CommonOptions) => {
      const terminal = context.terminal(options);
      if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) {
        throw new UsageError(`${JSON.stringify(name)} cannot be the name of a token.`, 'Use small letters, digits, ".", "_" and "-".');
      }
      const token = `hp_${randomBytes(tokenBytes).toString('base64url')}`;
      const hash = `sha256:${createHash('sha256').update(token).digest('hex')}`;
      terminal.result({ name, token, hash });
      terminal.lines([
        `The token of ${name}, which is shown this once:`,
        '',
        `  ${token}`,
        '',
        'Have the platform team add this to holdpoint.yaml, in `api`:',
        '',
        'tokens:',
        `  ${name}: { hash: "${hash}" }`,
        '',
        'It is sent as `Authorization: Bearer TOKEN`, and may read what a viewer may.',
      ]);
    });
}

import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import type { PeopleKeys } from '../domain/approval/keys.ts';
import { bytesOfArmor, readSshLine, sshNamespace } from '../domain/approval/sshsig.ts';
import { chooseKey } from './ssh-choice.ts';
import { KeyError, signerWith, type Signer } from './signing.ts';

/** The line of a public key has some 100 bytes. */
const publicFileBytesMax = 16 * 1024;
/** An armored signature has some 300. */
const armorCharactersMax = 16 * 1024;
/** Long enough to type a passphrase, or to find the token that asks to be touched. */
const signTimeoutMs = 2 * 60_000;

const publicSuffix = '.pub';

/** The key that `ssh` and `ssh-keygen` take where nothing is said: HOLDPOINT_SSH_KEY, else `~/.ssh/id_ed25519`. */
export function sshKeyFile(env: Readonly<Record<string, string | undefined>>): string {
  return env.HOLDPOINT_SSH_KEY || path.join(env.HOME || homedir(), '.ssh', 'id_ed25519');
}

/**
 * Reads the public half of an SSH key: `FILE.pub` beside the private one, or that file itself. The private half is never read.
 *
 * @throws KeyError where it is not there, or no ssh-ed25519 key.
 */
export async function readSshPublicKey(file: string): Promise<{ key: Uint8Array; comment: string }> {
  const publicFile = file.endsWith(publicSuffix) ? file : file + publicSuffix;
  let text: string;
  try {
    const handle = await open(publicFile, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(publicFileBytesMax), 0, publicFileBytesMax, 0);
      text = buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    const remedy = 'Name your key with HOLDPOINT_SSH_KEY, or make one with `ssh-keygen -t ed25519`.';
    throw new KeyError(`The public SSH key ${publicFile} cannot be read (${code}).`, remedy);
  }
  const line = readSshLine(text);
  if (line) return line;
  const remedy = 'Use an Ed25519 key, no certificate and no security key: `ssh-keygen -t ed25519` makes one.';
  throw new KeyError(`${publicFile} is not one line with a key of type ssh-ed25519.`, remedy);
}

/**
 * The signer of a person whose SSH key is in a file. `ssh-keygen -Y sign` reads the private half and asks for its passphrase.
 *
 * @param people of the configuration, with their public keys.
 * @throws KeyError where there is no such key; HoldpointError `person-unnamed` where it could be several people.
 */
export async function sshFileSigner(file: string, person: string | undefined, people: PeopleKeys | undefined): Promise<Signer> {
  const { key: publicKey } = await readSshPublicKey(file);
  const chosen = chooseKey({ name: `the key file ${file}`, keys: [publicKey], types: ['ssh'] }, person, people);
  return signerWith(chosen.person, chosen.key, (bytes) => signWithKeygen(file, bytes));
}

async function signWithKeygen(file: string, bytes: Uint8Array): Promise<Uint8Array> {
  const byHand = `ssh-keygen -Y sign -n ${sshNamespace} -f ${file} SOME-FILE`;
  return new Promise((resolve, reject) => {
    // What it says on stderr may be anything; it asks for a passphrase on the terminal itself.
    const child = spawn('ssh-keygen', ['-Y', 'sign', '-n', sshNamespace, '-f', file], {
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: signTimeoutMs,
    });
    let armor = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (armor.length <= armorCharactersMax) armor += text;
    });
    // It may have ended before it has read the message; how, its exit code says.
    child.stdin.on('error', () => undefined);
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(new KeyError(`ssh-keygen cannot be started (${error.code ?? 'unknown error'}).`, 'Install OpenSSH 8.2 or newer.')),
    );
    child.on('close', (code, signal) => {
      const signature = code === 0 ? bytesOfArmor(armor) : undefined;
      if (signature) return resolve(signature);
      const how = signal === null ? `exit code ${code}` : `ended by ${signal}`;
      reject(new KeyError(`ssh-keygen has not signed with ${file} (${how}).`, `Try by hand, which says why: ${byHand}`));
    });
    child.stdin.end(bytes);
  });
}

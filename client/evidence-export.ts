import { createPublicKey } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { keyOfText, keysOf, textOfKey, type PeopleKeys } from '../domain/approval/keys.ts';
import { bytesSignedByPasskey, readPasskey, readPasskeySignature, spkiOf } from '../domain/approval/passkey.ts';
import { armored, sshNamespace } from '../domain/approval/sshsig.ts';
import { isPersonId } from '../domain/approval/statement.ts';
import { bytesOfBase64url } from '../domain/base64.ts';
import type { WholeEntry } from '../domain/evidence/meaning.ts';
import { ToldError } from '../domain/errors.ts';

const signersFile = 'allowed_signers';

/** A signature of a record, as `ssh-keygen -Y verify` or `openssl` takes it. */
export interface ExportedSignature {
  sequence: number;
  person: string;
  /** The file of what was signed; `<file>.sig` is the signature, `<file>.json` what was signed as a person reads it. */
  file: string;
  /** What verifies it, in the folder of the export. */
  command: string;
}

/**
 * Writes the signatures of SSH keys and passkeys of a verified record so that `ssh-keygen` and `openssl` can verify them without Holdpoint:
 * a message, a signature and the claims for each, one file with the SSH keys of everybody, and the key of each passkey.
 *
 * @param directory is made; it must not exist yet.
 * @param people of a configuration, whose keys are written; without it those of the record, which then only agrees with itself.
 * @returns the signatures, and how many there are of other keys.
 * @throws ToldError where the folder cannot be made.
 */
export async function exportSignatures(
  entries: readonly WholeEntry[],
  directory: string,
  people: PeopleKeys | undefined,
): Promise<{ signatures: ExportedSignature[]; others: number }> {
  await mkdir(directory).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'EEXIST' ? 'it is there already' : (error.code ?? error.message);
    throw new ToldError('usage', `The folder ${directory} cannot be made: ${why}.`, 'Name a new folder with --to.');
  });
  const signatures: ExportedSignature[] = [];
  const recorded = new Set<string>();
  let others = 0;
  for (const { entry, isSigned } of entries) {
    const { jws, publicKey, person } = entry.body;
    if (!isSigned || typeof jws !== 'string' || typeof publicKey !== 'string' || typeof person !== 'string') continue;
    const file = `${String(entry.sequence).padStart(9, '0')}-${person}`;
    const type = keyOfText(publicKey)?.type;
    if (!isPersonId(person) || (type !== 'ssh' && type !== 'passkey')) {
      others += 1;
      continue;
    }
    const command =
      type === 'ssh' ? await writeSshSignature(directory, file, jws, person) : await writePasskeySignature(directory, file, jws, publicKey);
    if (type === 'ssh') recorded.add(signerLine(person, publicKey));
    signatures.push({ sequence: entry.sequence, person, file, command });
  }
  const known = people && Object.entries(people).flatMap(([person, keys]) => linesOf(person, keys));
  await writeFile(join(directory, signersFile), [...(known ?? recorded), ''].join('\n'));
  return { signatures, others };
}

async function writeSshSignature(directory: string, file: string, jws: string, person: string): Promise<string> {
  const [head = '', payload = '', signature = ''] = jws.split('.');
  await writeFile(join(directory, file), `${head}.${payload}`);
  await writeFile(join(directory, `${file}.sig`), armored(bytesOfBase64url(signature) ?? new Uint8Array()));
  await writeFile(join(directory, `${file}.json`), Buffer.from(payload, 'base64url'));
  return `ssh-keygen -Y verify -f ${signersFile} -I ${person} -n ${sshNamespace} -s ${file}.sig < ${file}`;
}

/** The statement is in `<file>.json`; the challenge in `<file>.client.json` is its hash. */
async function writePasskeySignature(directory: string, file: string, text: string, key: string): Promise<string> {
  const signed = readPasskeySignature(text);
  const passkey = readPasskey(key);
  if (!signed || !passkey) throw new Error(`the signature in ${file} was verified and cannot be read`);
  const publicKey = createPublicKey({ key: Buffer.from(spkiOf(passkey)), format: 'der', type: 'spki' });
  await writeFile(join(directory, file), bytesSignedByPasskey(signed));
  await writeFile(join(directory, `${file}.sig`), signed.signature);
  await writeFile(join(directory, `${file}.json`), signed.statement);
  await writeFile(join(directory, `${file}.client.json`), signed.clientDataJSON);
  await writeFile(join(directory, `${file}.pem`), publicKey.export({ format: 'pem', type: 'spki' }));
  return passkey.algorithm === 'ES256'
    ? `openssl dgst -sha256 -verify ${file}.pem -signature ${file}.sig ${file}`
    : `openssl pkeyutl -verify -pubin -inkey ${file}.pem -rawin -in ${file} -sigfile ${file}.sig`;
}

function linesOf(person: string, keys: PeopleKeys[string]): string[] {
  const ssh = keysOf(keys).filter(({ type }) => type === 'ssh');
  return ssh.flatMap((key) => signerLine(person, textOfKey(key) ?? ''));
}

function signerLine(person: string, key: string): string {
  return `${person} namespaces="${sshNamespace}" ${key}`;
}

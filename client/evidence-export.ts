import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { keyOfText, keysOf, textOfKey, type PeopleKeys } from '../domain/approval/keys.ts';
import { armored, sshNamespace } from '../domain/approval/sshsig.ts';
import { isPersonId } from '../domain/approval/statement.ts';
import { bytesOfBase64url } from '../domain/base64.ts';
import type { WholeEntry } from '../domain/evidence/meaning.ts';
import { ToldError } from '../domain/errors.ts';

const signersFile = 'allowed_signers';

/** An SSH signature of a record, as `ssh-keygen -Y verify` takes it. */
export interface ExportedSignature {
  sequence: number;
  person: string;
  /** The file of what was signed; `<file>.sig` is the signature, `<file>.json` what was signed as a person reads it. */
  file: string;
  /** What verifies it, in the folder of the export. */
  command: string;
}

/**
 * Writes the SSH signatures of a verified record so that `ssh-keygen` can verify them without Holdpoint: a message, a signature and the
 * claims for each, and one file with the keys of everybody.
 *
 * @param directory is made; it must not exist yet.
 * @param people of a configuration, whose keys are written; without it those of the record, which then only agrees with itself.
 * @returns the signatures, and how many there are of other keys.
 * @throws ToldError where the folder cannot be made.
 */
export async function exportSshSignatures(
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
    const [head = '', payload = '', signature = ''] = jws.split('.');
    const bytes = bytesOfBase64url(signature);
    if (keyOfText(publicKey)?.type !== 'ssh' || !bytes || !isPersonId(person)) {
      others += 1;
      continue;
    }
    const file = `${String(entry.sequence).padStart(9, '0')}-${person}`;
    await writeFile(join(directory, file), `${head}.${payload}`);
    await writeFile(join(directory, `${file}.sig`), armored(bytes));
    await writeFile(join(directory, `${file}.json`), Buffer.from(payload, 'base64url'));
    recorded.add(signerLine(person, publicKey));
    const command = `ssh-keygen -Y verify -f ${signersFile} -I ${person} -n ${sshNamespace} -s ${file}.sig < ${file}`;
    signatures.push({ sequence: entry.sequence, person, file, command });
  }
  const known = people && Object.entries(people).flatMap(([person, keys]) => linesOf(person, keys));
  await writeFile(join(directory, signersFile), [...(known ?? recorded), ''].join('\n'));
  return { signatures, others };
}

function linesOf(person: string, keys: PeopleKeys[string]): string[] {
  const ssh = keysOf(keys).filter(({ type }) => type === 'ssh');
  return ssh.flatMap((key) => signerLine(person, textOfKey(key) ?? ''));
}

function signerLine(person: string, key: string): string {
  return `${person} namespaces="${sshNamespace}" ${key}`;
}

import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { mkdir, open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { isPersonId } from '../domain/approval/statement.ts';
import { parseJson } from '../domain/json.ts';
import { ed25519Signer, KeyError, type Signer } from './signing.ts';

/** A private Ed25519 JWK has some 200 bytes. */
const keyFileBytesMax = 4 * 1024;

/** Permission bits of the group and of everybody else. */
const othersMode = 0o077;

const keySuffix = '.jwk';

const privateJwkSchema = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), kid: z.string(), d: z.string(), x: z.string() });

/** Where a person's keys are: `$HOLDPOINT_KEYS`, else `$XDG_CONFIG_HOME/holdpoint/keys`, else `~/.config/holdpoint/keys`. */
export function keyDirectory(env: Readonly<Record<string, string | undefined>>): string {
  if (env.HOLDPOINT_KEYS) return path.resolve(env.HOLDPOINT_KEYS);
  // The XDG specification has relative paths ignored.
  const configured = env.XDG_CONFIG_HOME && path.isAbsolute(env.XDG_CONFIG_HOME) ? env.XDG_CONFIG_HOME : undefined;
  return path.join(configured ?? path.join(env.HOME || homedir(), '.config'), 'holdpoint', 'keys');
}

/**
 * Makes a person's Ed25519 key and keeps it in `<directory>/<person>.jwk`, readable by its owner only.
 *
 * @returns the public key as it is put into holdpoint.yaml (`people.<person>.key`).
 * @throws KeyError where there is a key already, or the directory is open to others.
 */
export async function createKey(person: string, directory: string): Promise<string> {
  const file = keyFile(person, directory);
  await makePrivateDirectory(directory);
  const { privateKey } = generateKeyPairSync('ed25519');
  const { d, x } = privateKey.export({ format: 'jwk' });
  const jwk = { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid: person, d, x };
  const handle = await createOnce(person, file);
  try {
    await handle.writeFile(`${JSON.stringify(jwk)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return publicPart(privateKey);
}

/**
 * Reads a person's key; it signs without leaving this process.
 *
 * @throws KeyError where there is none, where others may read it, or where it is not what `createKey` makes.
 */
export async function readKey(person: string, directory: string): Promise<Signer> {
  const { publicKey, privateKey } = await readKeyPair(person, directory);
  return ed25519Signer(person, publicKey, async (bytes) => sign(null, bytes, privateKey));
}

async function readKeyPair(person: string, directory: string): Promise<{ publicKey: string; privateKey: KeyObject }> {
  const file = keyFile(person, directory);
  const jwk = privateJwkSchema.safeParse(parseJson(await readPrivately(person, file)));
  if (!jwk.success) throw malformed(file, 'it is not a private Ed25519 key in JWK form');
  if (jwk.data.kid !== person) throw malformed(file, `it was not made for ${person}`);
  const privateKey = importPrivateKey(jwk.data);
  if (privateKey === undefined) throw malformed(file, 'its private part is not an Ed25519 key');
  // A public part that belongs to another key would be copied to holdpoint.yaml, where no signature could match it.
  if (publicPart(privateKey) !== jwk.data.x) throw malformed(file, 'its public and private parts do not belong together');
  return { publicKey: jwk.data.x, privateKey };
}

/**
 * Reads the key of a worker from its file; it signs without leaving this process.
 *
 * @throws KeyError as `readKey` does.
 */
export async function readKeyFile(file: string): Promise<{ publicKey: string; sign(bytes: Uint8Array): Uint8Array }> {
  const { publicKey, privateKey } = await readKeyPair(path.basename(file, keySuffix), path.dirname(file));
  return { publicKey, sign: (bytes) => sign(null, bytes, privateKey) };
}

/** The people who have a key in the directory, sorted; nobody where there is no directory. */
export async function knownPeople(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw new KeyError(`The key directory ${directory} cannot be read (${codeOf(error)}).`, 'Check the path and its permissions.');
  });
  const people = names.filter((name) => name.endsWith(keySuffix)).map((name) => name.slice(0, -keySuffix.length));
  return people.filter(isPersonId).sort();
}

function keyFile(person: string, directory: string): string {
  if (isPersonId(person)) return path.join(directory, `${person}${keySuffix}`);
  throw new KeyError(
    `${JSON.stringify(person)} cannot be the id of a person.`,
    'Use up to 63 lower-case letters, digits, ".", "_" and "-", a letter first.',
  );
}

async function makePrivateDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw new KeyError(`The key directory ${directory} cannot be made (${codeOf(error)}).`, 'Check the path, or set HOLDPOINT_KEYS.');
  });
  if (((await stat(directory)).mode & othersMode) !== 0) {
    throw new KeyError(`The key directory ${directory} is open to other users.`, `Close it with: chmod 700 ${directory}`);
  }
}

async function createOnce(person: string, file: string): Promise<FileHandle> {
  return open(file, 'wx', 0o600).catch((error: unknown) => {
    if (codeOf(error) === 'EEXIST') {
      throw new KeyError(`${person} has a key already, in ${file}.`, 'Use it, or move it away first: a key is never overwritten.');
    }
    throw new KeyError(`The key file ${file} cannot be made (${codeOf(error)}).`, 'Check the directory and its permissions.');
  });
}

async function readPrivately(person: string, file: string): Promise<string> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') {
      throw new KeyError(`${person} has no key in ${path.dirname(file)}.`, 'Make one with `holdpoint keys create`, or set HOLDPOINT_KEYS.');
    }
    throw new KeyError(`The key file ${file} cannot be read (${codeOf(error)}).`, 'Check who owns it and its permissions.');
  });
  try {
    const status = await handle.stat();
    if (!status.isFile()) throw malformed(file, 'it is not a file');
    const { mode, size } = status;
    if ((mode & othersMode) !== 0) {
      const octal = (mode & 0o777).toString(8);
      throw new KeyError(`The key file ${file} is open to other users (mode ${octal}).`, `Close it with: chmod 600 ${file}`);
    }
    if (size > keyFileBytesMax) throw malformed(file, `it has ${size} bytes, and a key has at most ${keyFileBytesMax}`);
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

function importPrivateKey(jwk: z.infer<typeof privateJwkSchema>): KeyObject | undefined {
  try {
    return createPrivateKey({ key: jwk, format: 'jwk' });
  } catch {
    return undefined;
  }
}

function publicPart(privateKey: KeyObject): string {
  return createPublicKey(privateKey).export({ format: 'jwk' }).x ?? '';
}

function malformed(file: string, why: string): KeyError {
  return new KeyError(
    `The key file ${file} cannot be used: ${why}.`,
    'Bring the key back from a backup, or move the file away and make a new key.',
  );
}

/** The parser's own message quotes the text, which is a private key here. */
function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown error';
}

import { readFile } from 'node:fs/promises';
import type { Secret } from '../runbooks/configuration/secret.ts';

const secretCharactersMax = 8_192;

/** A secret is not where the configuration says; the message names its place, never what is there. */
export class SecretError extends Error {
  override readonly name = 'SecretError';
}

/** Reads a secret as it is now. Throws SecretError. */
export async function readSecret(secret: Secret): Promise<string> {
  const text = ('file' in secret ? await readSecretFile(secret.file) : (process.env[secret.environment] ?? '')).trim();
  const place = 'file' in secret ? `the file ${secret.file}` : `the environment variable ${secret.environment} of the worker`;
  if (text === '') throw new SecretError(`${place} has no secret in it`);
  if (text.length > secretCharactersMax) throw new SecretError(`${place} has more than ${secretCharactersMax} characters`);
  return text;
}

async function readSecretFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new SecretError(`the file ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
  }
}

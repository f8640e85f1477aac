import * as z from 'zod';

/** Where a secret is; it is read whenever it is needed, and kept nowhere. */
export type Secret = { file: string } | { environment: string };

const variable = z.string().regex(/^[A-Z_][A-Z0-9_]{0,127}$/, 'must be the name of an environment variable: capital letters, digits, `_`');

/** The key of a file with a secret. */
export const secretFile = (what: string, readBy = 'workers read') =>
  z.string().min(1).max(4096).describe(`File of ${what}, relative to this file; ${readBy} it.`).optional();

/** The key of an environment variable with a secret. */
export const secretVariable = (what: string, of = 'the workers') =>
  variable.describe(`Environment variable of ${of} that has ${what}.`).optional();

/** An address that a secret may be sent to: https, or this machine. */
export const httpUrl = z
  .string()
  .max(2048)
  .refine(isSafeUrl, { error: 'must be an https:// address without a user; http:// is for this machine (127.0.0.1, localhost) only' });

/** Of two keys of which exactly one was checked to be there. */
export function secretOf(fromFile: string | undefined, fromEnvironment: string | undefined): Secret {
  return fromFile === undefined ? { environment: fromEnvironment ?? '' } : { file: fromFile };
}

/** Whether a host is this machine. */
export function isLoopback(host: string): boolean {
  return ['127.0.0.1', 'localhost', '[::1]', '::1'].includes(host);
}

/** The same with the path that `absolute` makes of it. */
export function secretWithPath(secret: Secret, absolute: (path: string) => string): Secret {
  return 'file' in secret ? { file: absolute(secret.file) } : secret;
}

function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import { fileTrouble } from '../../domain/file-trouble.ts';
import { ToldError } from '../../domain/errors.ts';

/** Where a database is reached, and as whom. Holds a password: it goes to the driver, and nowhere else. */
export interface DatabaseAddress {
  engine: 'postgresql' | 'mysql';
  host: string;
  port: number;
  user: string;
  password: string | undefined;
  database: string;
  /** How TLS is spoken; undefined where it is not. */
  tls: ConnectionOptions | undefined;
}

const engines: Readonly<Record<string, DatabaseAddress['engine']>> = {
  'postgresql:': 'postgresql',
  'postgres:': 'postgresql',
  'mysql:': 'mysql',
  'mariadb:': 'mysql',
};
const portOf = { postgresql: 5432, mysql: 3306 };
const urlExample = 'postgresql://user@host:5432/database';
const tlsModes = ['disable', 'require', 'verify-full'] as const;

/**
 * Reads the URL of a database: `postgresql://user@host:5432/database?sslmode=verify-full&sslrootcert=FILE`, or `mysql://…`. Without
 * `sslmode`, TLS is spoken and the certificate verified, but for this machine. Throws ToldError, whose text never has the URL in it.
 *
 * @param password takes the place of one in the URL.
 */
export function readAddress(text: string, password?: string): DatabaseAddress {
  const refuse = (message: string, remedy = `An address is written as ${urlExample}.`): never => {
    throw new ToldError('database-address-invalid', message, remedy);
  };
  if (!URL.canParse(text)) return refuse('The address of the database is no URL.');
  const url = new URL(text);
  const engine = engines[url.protocol];
  if (!engine) return refuse('The address of the database begins neither with postgresql:// nor with mysql://.');
  const database = decoded(url.pathname.slice(1));
  if (url.hostname === '') return refuse('The address of the database names no host.');
  if (database === undefined || database === '') return refuse('The address of the database names no database.');
  const user = decoded(url.username);
  if (user === undefined || user === '') return refuse('The address of the database names no user.');
  const inUrl = url.password === '' ? undefined : decoded(url.password);
  const unknown = [...url.searchParams.keys()].find((name) => name !== 'sslmode' && name !== 'sslrootcert');
  if (unknown !== undefined) return refuse(`The address of the database has a setting that is not known: ${unknown.slice(0, 40)}.`);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return {
    engine,
    host,
    port: url.port === '' ? portOf[engine] : Number(url.port),
    user,
    password: password ?? inUrl,
    database,
    tls: tlsOf(url, host, refuse),
  };
}

/** Whether a URL has a password in it, which has no place in the arguments of a program. */
export function hasPassword(text: string): boolean {
  return URL.canParse(text) && new URL(text).password !== '';
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function tlsOf(url: URL, host: string, refuse: (message: string, remedy?: string) => never): ConnectionOptions | undefined {
  const isHere = host === 'localhost' || host === '::1' || host.startsWith('127.');
  const mode = url.searchParams.get('sslmode') ?? (isHere ? 'disable' : 'verify-full');
  if (!(tlsModes as readonly string[]).includes(mode)) {
    return refuse(`The address of the database has an sslmode that is not known.`, `It may be ${tlsModes.join(', ')}.`);
  }
  if (mode === 'disable') return undefined;
  if (mode === 'require') return { rejectUnauthorized: false };
  const file = url.searchParams.get('sslrootcert');
  const name = isIP(host) === 0 ? { servername: host } : {};
  const verified = { rejectUnauthorized: true, checkServerIdentity, ...name };
  if (file === null) return verified;
  try {
    return { ...verified, ca: readFileSync(file, 'utf8') };
  } catch (error) {
    return refuse(`The file ${file} (sslrootcert) cannot be read: ${fileTrouble(error) ?? 'unknown trouble'}.`, 'Name a file in PEM.');
  }
}

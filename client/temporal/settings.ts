import { existsSync, readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { loadClientConfigProfile, toClientOptions } from '@temporalio/envconfig';
import type { ConnectionOptions } from '@temporalio/client';
import { parse, TomlError } from 'smol-toml';
import { HoldpointError } from '../../domain/errors.ts';
import { fileTrouble } from '../../domain/file-trouble.ts';
import { certificateProblem, type Material } from './certificates.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Where Temporal is and under which names Holdpoint works there. */
export interface TemporalSettings {
  address: string;
  namespace: string;
  taskQueue: string;
  /** By what the server and we know each other; plain text and no name where it is left out. */
  access?: TemporalAccess;
}

type AccessOptions = Pick<ConnectionOptions, 'tls' | 'metadata'> & { apiKey?: string };

/** The certificates that are in use, as errors name them. */
export type Certificates = Readonly<Partial<Record<'client' | 'key' | 'authority', Material>>>;

/** TLS, API key and headers of a connection. What is secret is in private fields, so that neither JSON nor a log shows it. */
export class TemporalAccess {
  readonly #options: AccessOptions;
  readonly #certificates: Certificates;
  readonly #placeOf: (variable: string) => string;

  constructor(options: AccessOptions, certificates: Certificates, placeOf: (variable: string) => string) {
    this.#options = options;
    this.#certificates = certificates;
    this.#placeOf = placeOf;
  }

  /** As both of Temporal's connections take them. */
  get options(): AccessOptions {
    return this.#options;
  }

  get certificates(): Certificates {
    return this.#certificates;
  }

  /** Where a setting is that has the name of this variable in the environment: there, or in a profile. */
  placeOf(variable: string): string {
    return this.#placeOf(variable);
  }
}

const addressForm = /^(?:\[[^\]]+\]|[^\s:/@]+)(?::\d{1,5})?$/;
const truths = ['true', '1', 'false', '0'];
const materials = {
  client: { variable: 'TEMPORAL_TLS_CLIENT_CERT', key: 'clientCert', what: 'client certificate' },
  key: { variable: 'TEMPORAL_TLS_CLIENT_KEY', key: 'clientKey', what: 'client key' },
  authority: { variable: 'TEMPORAL_TLS_SERVER_CA_CERT', key: 'serverCACert', what: 'CA certificate' },
} as const;
/** What goes into a header. Whatever else there is would be shown by the error of the gRPC client. */
const headerText = /^[\x20-\x7e]*$/;

/**
 * The settings of this process, for worker and command line alike, as the Temporal CLI has them: the variables TEMPORAL_…, then a
 * profile of temporal.toml, then the defaults; and HOLDPOINT_TASK_QUEUE. Throws `temporal-settings-invalid`: nothing is sent
 * anywhere with settings that cannot be right.
 */
export function temporalSettings(env: Env): TemporalSettings {
  const empty = ['TEMPORAL_CONFIG_FILE', 'TEMPORAL_PROFILE', 'HOLDPOINT_TASK_QUEUE'].find((name) => env[name] === '');
  if (empty !== undefined) throw unusable(`${empty} is empty`, 'Give it a value, or unset it.');
  const source = readProfile(env);
  const profile = loadClientConfigProfile({
    overrideEnvVars: definedIn(env),
    profile: source.profile,
    ...(source.text === undefined ? { disableFile: true } : { configSource: { data: source.text } }),
  });
  const { address = '127.0.0.1:7233', namespace = 'default', apiKey } = profile;
  if (!addressForm.test(address)) {
    throw unusable(`${source.placeOf('TEMPORAL_ADDRESS')} is ${JSON.stringify(address)}, which is not host:port`, 'Write host:port.');
  }
  const isPlain = profile.tls === undefined ? apiKey === undefined : profile.tls.disabled === true;
  const certificates = isPlain ? {} : readCertificates(profile.tls ?? {}, source);
  const { connectionOptions } = toClientOptions({
    ...profile,
    tls: profile.tls && {
      ...profile.tls,
      clientCert: certificates.client && { data: certificates.client.bytes },
      clientKey: certificates.key && { data: certificates.key.bytes },
      serverCACert: certificates.authority && { data: certificates.authority.bytes },
    },
  });
  const options = { tls: connectionOptions.tls, apiKey, metadata: headers(profile.grpcMeta, apiKey, source) };
  return {
    address,
    namespace,
    taskQueue: env.HOLDPOINT_TASK_QUEUE ?? 'holdpoint',
    access: new TemporalAccess(options, certificates, source.placeOf),
  };
}

/** Each is a key of a profile, too: TEMPORAL_API_KEY is `api_key`, TEMPORAL_TLS_SERVER_NAME is `tls.server_name`. */
const textVariables = [
  'TEMPORAL_ADDRESS',
  'TEMPORAL_NAMESPACE',
  'TEMPORAL_API_KEY',
  'TEMPORAL_TLS_SERVER_NAME',
  ...Object.values(materials).flatMap(({ variable }) => [`${variable}_PATH`, `${variable}_DATA`]),
];

function definedIn(env: Env): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

interface ProfileSource {
  /** Of the whole file; undefined where it is not there or empty. */
  text: string | undefined;
  profile: string | undefined;
  placeOf: (variable: string) => string;
  isSet: (variable: string) => boolean;
}

/** Finds the profile, and checks of it and of the variables what the library would take without a word. */
function readProfile(env: Env): ProfileSource {
  const { TEMPORAL_CONFIG_FILE: named, TEMPORAL_PROFILE: profile = 'default' } = env;
  // Without a directory of a person there is no file, but its name is needed to say so.
  const file = named ?? defaultFile(env) ?? 'temporal.toml';
  const isThere = named !== undefined || (isAbsolute(file) && existsSync(file));
  const text = isThere ? readNamed(file, named === undefined ? file : `${file} (TEMPORAL_CONFIG_FILE)`).toString('utf8') : undefined;
  const profiles = profilesOf(text, file);
  const table = profiles[profile];
  if (table === undefined && env.TEMPORAL_PROFILE !== undefined) {
    const names = Object.keys(profiles);
    const there = text === undefined ? 'is not there' : names.length === 0 ? 'has no profile' : `has only: ${names.join(', ')}`;
    throw unusable(`TEMPORAL_PROFILE is ${profile}, and ${file} ${there}`, 'Name one that is there, or unset TEMPORAL_PROFILE.');
  }
  const isSet = (variable: string): boolean => env[variable] !== undefined || valueAt(table, variable) !== undefined;
  const placeOf = (variable: string): string =>
    env[variable] === undefined && isSet(variable) ? `${keyOf(variable)} of the profile ${profile} in ${file}` : variable;
  for (const variable of textVariables) {
    const value = env[variable] ?? valueAt(table, variable);
    if (value === '') throw unusable(`${placeOf(variable)} is empty`, 'Give it a value, or take it out.');
    if (value !== undefined && typeof value !== 'string') throw unusable(`${placeOf(variable)} is no text`, 'Put it in quotes.');
  }
  for (const { variable } of Object.values(materials)) {
    const [path, data] = [`${variable}_PATH`, `${variable}_DATA`];
    if (isSet(path) && isSet(data)) throw unusable(`${placeOf(path)} and ${placeOf(data)} are both set`, 'Keep one of them.');
  }
  const { TEMPORAL_TLS: tls } = env;
  if (tls !== undefined && !truths.includes(tls)) throw unusable(`TEMPORAL_TLS is ${JSON.stringify(tls)}`, 'Set it to true or false.');
  return { text: table && text, profile: table && profile, placeOf, isSet };
}

/** Where the Temporal CLI keeps its profiles; undefined where nothing says whose they would be. */
function defaultFile({ HOME: home, XDG_CONFIG_HOME: xdg = '', APPDATA: appData }: Env): string | undefined {
  const inHome = (...parts: string[]): string | undefined => home && join(home, ...parts);
  const ofSystem: Partial<Record<NodeJS.Platform, string>> = { win32: appData, darwin: inHome('Library', 'Application Support') };
  const directory = process.platform in ofSystem ? ofSystem[process.platform] : isAbsolute(xdg) ? xdg : inHome('.config');
  return directory && join(directory, 'temporalio', 'temporal.toml');
}

function readNamed(file: string, name: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const cause = fileTrouble(error) ?? (error as NodeJS.ErrnoException).code;
    throw unusable(`${name} cannot be read: ${cause}`, 'Correct its name or its rights.');
  }
}

type Table = Readonly<Record<string, unknown>>;

function profilesOf(text: string | undefined, file: string): Record<string, Table> {
  if (text === undefined) return {};
  let profiles: unknown;
  try {
    profiles = parse(text).profile ?? {};
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The rest of the message shows the line, which may be the one with the API key.
    const cause = error.message.split('\n', 1)[0]?.replace(/^Invalid TOML document: /, '') ?? '';
    throw unusable(`${file} is not TOML: ${cause} in line ${error.line}, column ${error.column}`, 'Correct it.');
  }
  if (!isTable(profiles)) throw unusable(`profile in ${file} is not a table`, 'Write [profile.default] or another name.');
  for (const [name, profile] of Object.entries(profiles)) {
    const wrong = isTable(profile) ? ['tls', 'grpc_meta'].find((key) => profile[key] !== undefined && !isTable(profile[key])) : '';
    const place = ['profile', name, wrong].filter(Boolean).join('.');
    if (wrong !== undefined) throw unusable(`${place} in ${file} is not a table`, `Write [${place}] and what is in it below.`);
  }
  return profiles as Record<string, Table>;
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function keyOf(variable: string): string {
  return variable
    .replace(/^TEMPORAL_/, '')
    .toLowerCase()
    .replace(/^tls_/, 'tls.');
}

function valueAt(table: Table | undefined, variable: string): unknown {
  return keyOf(variable)
    .split('.')
    .reduce<unknown>((value, key) => (isTable(value) ? value[key] : undefined), table);
}

type TlsProfile = NonNullable<ReturnType<typeof loadClientConfigProfile>['tls']>;

/** Reads what certificates there are and makes sure that each can be what it is given as. */
function readCertificates(tls: TlsProfile, source: ProfileSource): Certificates {
  const read = (kind: keyof typeof materials): Material | undefined => {
    const { variable, key, what } = materials[kind];
    const given = tls[key];
    if (given === undefined) return undefined;
    if (!('path' in given)) return { bytes: Buffer.from(given.data), name: `the ${what} (${source.placeOf(`${variable}_DATA`)})` };
    const place = source.placeOf(`${variable}_PATH`);
    // Whoever puts a key there must not find it in a log.
    if (given.path.includes('-----BEGIN')) throw unusable(`${place} is not a path, but the PEM itself`, `Set …_DATA instead.`);
    const name = `the ${what} ${given.path} (${place})`;
    return { bytes: readNamed(given.path, name), name };
  };
  const certificates: Certificates = { client: read('client'), key: read('key'), authority: read('authority') };
  const problem = certificateProblem(certificates, new Date());
  if (problem) throw unusable(problem.cause, problem.remedy);
  return certificates;
}

function headers(given: Record<string, string> | undefined, apiKey: string | undefined, source: ProfileSource): Record<string, string> {
  if (apiKey !== undefined && !headerText.test(apiKey)) {
    const remedy = 'Often it is the line break at the end of the file that it was read from.';
    throw unusable(`the API key (${source.placeOf('TEMPORAL_API_KEY')}) has a character that cannot be sent`, remedy);
  }
  // The library replaces only the first `_` of a name.
  const all = Object.entries(given ?? {}).map(([name, value]): [string, unknown] => [name.toLowerCase().replaceAll('_', '-'), value]);
  const unsendable = all.find(([name, value]) => typeof value !== 'string' || !headerText.test(value) || !/^[0-9a-z.-]+$/.test(name));
  if (unsendable)
    throw unusable(`the gRPC header ${unsendable[0]} cannot be sent`, 'Give it plain ASCII letters, and a value of one line.');
  const metadata = Object.fromEntries(all) as Record<string, string>;
  if (apiKey !== undefined && 'authorization' in metadata) {
    throw unusable(`${source.placeOf('TEMPORAL_API_KEY')} and a gRPC header authorization are both set`, 'Keep one of them.');
  }
  return metadata;
}

function unusable(cause: string, remedy: string): HoldpointError {
  return new HoldpointError('temporal-settings-invalid', { cause }, { remedy });
}

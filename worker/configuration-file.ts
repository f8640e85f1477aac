import { readFile, stat } from 'node:fs/promises';
import { dirname, join, posix, resolve } from 'node:path';
import { HoldpointError } from '../domain/errors.ts';
import { loadConfiguration, type Configuration, type EvidencePlace } from '../runbooks/configuration/configuration.ts';
import type { Endpoint } from '../runbooks/configuration/endpoints.ts';
import { writableByAll } from '../runbooks/configuration/file-mode.ts';
import { withPaths, type Notifications } from '../runbooks/configuration/notifications.ts';
import { evidenceDirectoryDefault } from '../runbooks/configuration/places.ts';
import { secretWithPath } from '../runbooks/configuration/secret.ts';
import { formatProblem } from '../runbooks/grammar/problem.ts';

/** Where artifacts go when it does not say, beside the evidence. */
const artifactsFolder = 'artifacts';
const problemsShownMax = 5;

/**
 * Reads holdpoint.yaml, anew whenever it has changed: who has left must not sign any more.
 * Throws `configuration-invalid`.
 */
export function createConfigurationReader(file: string): () => Promise<Configuration> {
  let known: { configuration: Configuration; version: string } | undefined;
  return async () => {
    const version = await versionOf(file);
    if (known?.version !== version) known = { configuration: await readConfiguration(file), version };
    return known.configuration;
  };
}

/** Where the records of runs are kept: a bucket, or a directory with its absolute path. */
export function evidencePlace(file: string, { evidence = { directory: evidenceDirectoryDefault } }: Configuration): EvidencePlace {
  return 's3' in evidence ? evidence : { directory: resolve(dirname(file), evidence.directory) };
}

/** The second place where heads of records are put; undefined where there is none. */
export function anchorPlace(file: string, { anchor }: Configuration): EvidencePlace | undefined {
  if (!anchor || 's3' in anchor) return anchor;
  return { directory: resolve(dirname(file), anchor.directory) };
}

/** Where large files are kept: where holdpoint.yaml says, or in `artifacts` beside the records of runs. */
export function artifactsPlace(file: string, configuration: Configuration): EvidencePlace {
  const { artifacts } = configuration;
  if (artifacts) return 's3' in artifacts ? artifacts : { directory: resolve(dirname(file), artifacts.directory) };
  const evidence = evidencePlace(file, configuration);
  if ('directory' in evidence) return { directory: join(dirname(evidence.directory), artifactsFolder) };
  const { prefix } = evidence.s3;
  return { s3: { ...evidence.s3, prefix: prefix === undefined ? artifactsFolder : posix.join(prefix, artifactsFolder) } };
}

/** What gates may ask over HTTP, with absolute paths. */
export function endpointsOf(file: string, { endpoints = {} }: Configuration): Record<string, Endpoint> {
  const absolute = (path: string): string => resolve(dirname(file), path);
  const complete = Object.entries(endpoints).map(([name, endpoint]): [string, Endpoint] => {
    return [name, endpoint.token ? { ...endpoint, token: secretWithPath(endpoint.token, absolute) } : endpoint];
  });
  return Object.fromEntries(complete);
}

/** Whom to tell of what, with absolute paths; undefined where nobody is told of anything. */
export function notificationsOf(file: string, { notifications }: Configuration): Notifications | undefined {
  return notifications && withPaths(notifications, (path) => resolve(dirname(file), path));
}

async function versionOf(file: string): Promise<string> {
  const { mtimeMs, ctimeMs, size, ino, mode } = await stat(file).catch((error: unknown) => Promise.reject(unreadable(file, error)));
  const cause = writableByAll(file, mode);
  if (cause !== undefined) throw new HoldpointError('configuration-invalid', { file, cause });
  return [mtimeMs, ctimeMs, size, ino].join(' ');
}

async function readConfiguration(file: string): Promise<Configuration> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => Promise.reject(unreadable(file, error)));
  const { configuration, problems } = loadConfiguration(text, file);
  if (configuration) return configuration;
  throw new HoldpointError('configuration-invalid', { file, cause: problems.slice(0, problemsShownMax).map(formatProblem).join('; ') });
}

function unreadable(file: string, error: unknown): HoldpointError {
  const cause = `${error instanceof Error ? error.message : String(error)}.`;
  return new HoldpointError('configuration-invalid', { file, cause }, { cause: error });
}

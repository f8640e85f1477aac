import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { ToldError } from '../domain/errors.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import type { Secret } from '../runbooks/configuration/secret.ts';
import { AuditLog, openAuditFile } from './audit.ts';
import type { ApiClient } from './context.ts';
import { Limits } from './limits.ts';
import { LiveRuns } from './live-runs.ts';
import { createServer } from './server.ts';
import { Sessions } from './sessions.ts';
import { DevelopmentCodes, noSignIn, oidcSignIn } from './sign-in.ts';

const secretBytesMax = 4_096;

/** What a server is made of. */
export interface ServerParts {
  holdpoint: ApiClient;
  readConfiguration: () => Promise<Configuration>;
  configurationFile: string;
  env: Readonly<Record<string, string | undefined>>;
  /** Where people reach it, without a path. */
  origin: string;
  version: string;
  /** Folder of the pages; none are served where it is left out. */
  pages?: string;
  /** People of a sandbox whom links sign in. */
  development?: readonly string[];
  isReady: () => Promise<boolean>;
  onError: (error: unknown) => void;
  /** Told of lines of the audit log, where no file is configured for them. */
  onAudit: (line: string) => void;
}

/** Puts a server together; `links` sign people of a sandbox in. Throws ToldError where its audit file cannot be gone on with. */
export async function composeServer(parts: ServerParts): Promise<{ app: FastifyInstance; links: Record<string, string> }> {
  const { holdpoint, readConfiguration, configurationFile, env, origin, isReady, onError } = parts;
  const { api } = await readConfiguration();
  const absolute = (path: string): string => resolve(dirname(configurationFile), path);
  const settings = async (): Promise<{ oidc: NonNullable<NonNullable<typeof api>['oidc']>; secret?: string }> => {
    const oidc = (await readConfiguration()).api?.oidc;
    if (!oidc) throw new ToldError('sign-in-failed', 'The sign-in has failed: holdpoint.yaml has no `api.oidc` any more.');
    return { oidc, ...(oidc.clientSecret && { secret: await secretIn(oidc.clientSecret, env, absolute) }) };
  };
  const codes = parts.development && new DevelopmentCodes(parts.development);
  const audit =
    api?.auditFile === undefined ? new AuditLog(async (line) => parts.onAudit(line)) : await openAuditFile(absolute(api.auditFile));
  const context = {
    holdpoint,
    readConfiguration,
    configurationFile,
    origin,
    sessions: new Sessions(),
    signIn: api?.oidc ? oidcSignIn(origin, settings) : noSignIn,
    limits: new Limits(),
    liveRuns: new LiveRuns((run) => holdpoint.show(run)),
    audit,
    nowMs: Date.now,
    isReady,
    onError,
  };
  const app = await createServer(context, { version: parts.version, development: codes, pages: parts.pages });
  return { app, links: codes?.links(origin) ?? {} };
}

/** A secret, read when it is needed. Throws ToldError without anything of it. */
async function secretIn(secret: Secret, env: ServerParts['env'], absolute: (path: string) => string): Promise<string> {
  const text = 'file' in secret ? await readFile(absolute(secret.file), 'utf8').catch(() => undefined) : env[secret.environment];
  const trimmed = text?.trim();
  if (trimmed !== undefined && trimmed !== '' && trimmed.length <= secretBytesMax) return trimmed;
  const where = 'file' in secret ? `the file ${secret.file}` : `the environment variable ${secret.environment}`;
  throw new ToldError('sign-in-failed', `The secret of the client for the identity provider is not in ${where}.`, 'Put it there.');
}

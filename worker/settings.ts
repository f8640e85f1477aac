import { resolve } from 'node:path';
import * as z from 'zod';
import { temporalSettings, type TemporalSettings } from '../client/connection.ts';
import { ToldError } from '../domain/errors.ts';
import { placeIn, queueAt } from '../domain/run/place.ts';
import { formatTarget } from '../domain/target.ts';
import type { WorkerVersion } from './versioning.ts';

const deploymentDefault = 'holdpoint';
/** Image tags and commits are shorter, and Temporal makes longer names out of these two. */
const versionCharactersMax = 128;

const settingsSchema = z.object({
  HOLDPOINT_CONFIG: z.string().min(1).default('holdpoint.yaml'),
  HOLDPOINT_WORKER_KEY: z.string().min(1).optional(),
  HOLDPOINT_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
  HOLDPOINT_MEMBER: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,62}\/[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/, 'must be a cluster of etcd and its member, such as prod/m1')
    .optional(),
  HOLDPOINT_DEPLOYMENT: z
    .string()
    .max(versionCharactersMax)
    // Temporal joins deployment and build id with `.` or `:` and refuses names that contain them.
    .regex(/^[A-Za-z0-9][A-Za-z0-9_/-]*$/, 'must be made of letters, digits, `-`, `_` and `/`, a letter or digit first')
    .optional(),
  HOLDPOINT_BUILD_ID: z
    .string()
    .max(versionCharactersMax)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._+-]*$/, 'must be made of letters, digits, `.`, `_`, `+` and `-`, a letter or digit first')
    .optional(),
});

/** What a worker needs to know; AWS credentials and endpoints are the AWS SDK's own business. */
export interface WorkerSettings extends TemporalSettings {
  /** Absolute path of holdpoint.yaml. */
  configurationFile: string;
  /** Absolute path of the key that signs the entries of records, as `holdpoint keys create` makes it; undefined where there is none. */
  keyFile?: string;
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
  /** The member of etcd on whose machine the worker is; it carries out nothing but what has to be done there. */
  member?: { cluster: string; name: string };
  /** The build that the worker is; undefined where it is not versioned. */
  version?: WorkerVersion;
}

/** Environment variables that a worker cannot start with. */
export class SettingsError extends ToldError {
  override readonly name = 'SettingsError';

  constructor(message: string, remedy: string) {
    super('configuration-invalid', message, remedy);
  }
}

/**
 * Reads the settings from the environment. Throws a SettingsError that names the variable where a value cannot be used, and
 * `temporal-settings-invalid`.
 */
export function workerSettings(env: Readonly<Record<string, string | undefined>>): WorkerSettings {
  const { success, data: settings, error } = settingsSchema.safeParse(env);
  if (!success) throw unusable(error, env);
  const { HOLDPOINT_MEMBER: member } = settings;
  const temporal = temporalSettings(env);
  return {
    ...temporal,
    ...(member !== undefined && atMember(member, temporal)),
    configurationFile: resolve(settings.HOLDPOINT_CONFIG),
    keyFile: settings.HOLDPOINT_WORKER_KEY === undefined ? undefined : resolve(settings.HOLDPOINT_WORKER_KEY),
    logLevel: settings.HOLDPOINT_LOG_LEVEL,
    version: versionOf(settings),
  };
}

/** The worker on the machine of a member has a task queue of its own: what is done there can be done nowhere else. */
function atMember(member: string, { taskQueue }: TemporalSettings): Pick<WorkerSettings, 'member' | 'taskQueue'> {
  const [cluster = '', name = ''] = member.split('/');
  const target = formatTarget({ kind: 'etcd', region: '', name: cluster });
  return { member: { cluster, name }, taskQueue: queueAt(taskQueue, placeIn(target, name)) };
}

/** The build id alone makes a worker a versioned one: it belongs to the image, and the deployment has a good name already. */
function versionOf({
  HOLDPOINT_DEPLOYMENT: deployment,
  HOLDPOINT_BUILD_ID: buildId,
}: z.infer<typeof settingsSchema>): WorkerSettings['version'] {
  if (buildId !== undefined) return { deployment: deployment ?? deploymentDefault, buildId };
  if (deployment === undefined) return undefined;
  throw new SettingsError(
    `HOLDPOINT_DEPLOYMENT is ${deployment}, but HOLDPOINT_BUILD_ID is not set: without it the worker would not be versioned at all.`,
    'Set HOLDPOINT_BUILD_ID to what is unique to this build, such as the tag of its image, or unset HOLDPOINT_DEPLOYMENT.',
  );
}

function unusable({ issues }: z.ZodError, env: Readonly<Record<string, string | undefined>>): SettingsError {
  const told = issues.map(({ path, message }) => {
    const variable = String(path[0]);
    return `${variable} is ${JSON.stringify(env[variable])}: ${message}`;
  });
  return new SettingsError(
    `The environment cannot be used: ${told.join('; ')}.`,
    'Correct the variables or unset them, then start the worker again.',
  );
}

import { resolve } from 'node:path';
import { z } from 'zod';

const settingsSchema = z.object({
  TEMPORAL_ADDRESS: z.string().min(1).default('127.0.0.1:7233'),
  TEMPORAL_NAMESPACE: z.string().min(1).default('default'),
  HOLDPOINT_TASK_QUEUE: z.string().min(1).default('holdpoint'),
  HOLDPOINT_CONFIG: z.string().min(1).default('holdpoint.yaml'),
  HOLDPOINT_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
});

/** What a worker needs to know; AWS credentials and endpoints are the AWS SDK's own business. */
export interface WorkerSettings {
  address: string;
  namespace: string;
  taskQueue: string;
  /** Absolute path of holdpoint.yaml. */
  configurationFile: string;
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
}

/** Reads the settings from the environment. Throws a ZodError for values that cannot be used. */
export function workerSettings(env: Readonly<Record<string, string | undefined>>): WorkerSettings {
  const settings = settingsSchema.parse(env);
  return {
    address: settings.TEMPORAL_ADDRESS,
    namespace: settings.TEMPORAL_NAMESPACE,
    taskQueue: settings.HOLDPOINT_TASK_QUEUE,
    configurationFile: resolve(settings.HOLDPOINT_CONFIG),
    logLevel: settings.HOLDPOINT_LOG_LEVEL,
  };
}

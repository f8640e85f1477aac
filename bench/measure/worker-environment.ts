import type { TemporalSettings } from '../../client/connection.ts';

/** The environment of a worker of ours whose AWS is a sandbox. */
export function workerEnvironment(
  { address, namespace, taskQueue }: TemporalSettings,
  configuration: string,
  awsEndpoint: string,
): NodeJS.ProcessEnv {
  return {
    ...process.env,
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: namespace,
    HOLDPOINT_TASK_QUEUE: taskQueue,
    HOLDPOINT_CONFIG: configuration,
    HOLDPOINT_LOG_LEVEL: 'error',
    AWS_ENDPOINT_URL: awsEndpoint,
    AWS_ACCESS_KEY_ID: 'sandbox',
    AWS_SECRET_ACCESS_KEY: 'sandbox',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

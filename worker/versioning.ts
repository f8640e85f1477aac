import type { WorkerDeploymentOptions } from '@temporalio/worker';

/** The build that a worker is, for Temporal's Worker Versioning. */
export interface WorkerVersion {
  /** Name of the Worker Deployment: the same for all builds that take turns. */
  deployment: string;
  buildId: string;
}

/**
 * What tells Temporal which build a worker is; undefined where the worker is not versioned, so that it takes whatever is there.
 *
 * Every workflow is pinned: a run of hours ends on the code that it began with, and so does the plan that somebody waits for.
 * A new run or plan begins on the build that is current at that moment.
 */
export function deploymentOptionsOf(version: WorkerVersion | undefined): WorkerDeploymentOptions | undefined {
  if (!version) return undefined;
  const { deployment, buildId } = version;
  return { version: { deploymentName: deployment, buildId }, useWorkerVersioning: true, defaultVersioningBehavior: 'PINNED' };
}

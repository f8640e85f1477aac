import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundle, type WorkerOptions } from '@temporalio/worker';

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** The workflow code in the form in which workers run it: a build brings it along, from the sources it is made now. */
export async function workflowCode(): Promise<NonNullable<WorkerOptions['workflowBundle']>> {
  return import.meta.url.endsWith('.ts') ? bundleWorkflows() : { codePath: path('../workflows/code.js') };
}

/** Makes the workflow code from the sources, which takes some seconds; tests add interceptors of their own. */
export async function bundleWorkflows(moreInterceptors: readonly string[] = []): Promise<WorkflowBundle> {
  const workflowsPath = path('../workflows/index.ts');
  return bundleWorkflowCode({
    workflowsPath,
    workflowInterceptorModules: [
      path('../workflows/client-result-interceptor.ts'),
      path('../workflows/update-size-interceptor.ts'),
      path('../workflows/early-event-interceptor.ts'),
      ...moreInterceptors,
    ],
    // Loaded once for all runs of a worker, which test/tidy sees to that they may be: a parked run takes 13 KiB then instead of 361.
    preloadModules: [workflowsPath],
    // What webpack has to say of a bundle that works is of no use to anybody.
    logger: new DefaultLogger('WARN'),
  });
}

import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { bundleWorkflows } from '../../worker/worker.ts';

/** The workflow code of tests that kill things: a worker counts as dead sooner than in production. */
async function bundleHastyWorkflows(): Promise<{ code: string }> {
  const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const workflowsPath = path('../../workflows/index.ts');
  return bundleWorkflowCode({
    workflowsPath,
    preloadModules: [workflowsPath],
    workflowInterceptorModules: [path('../../workflows/client-result-interceptor.ts'), path('scenario-timeouts.ts')],
    logger: new DefaultLogger('WARN'),
  });
}

// A program of its own, so that it does not hold up the process in which jest directs the tests.
const [, , kind, file = ''] = process.argv;
const { code } = await (kind === 'hasty-workflows' ? bundleHastyWorkflows() : bundleWorkflows());
await writeFile(file, code);

import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';

// A program of its own, so that it does not hold up the process in which jest directs the tests. It writes the workflow code of tests
// that kill things: a worker counts as dead sooner than in production.
const [, , file = ''] = process.argv;
const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const workflowsPath = path('../../workflows/index.ts');
const { code } = await bundleWorkflowCode({
  workflowsPath,
  preloadModules: [workflowsPath],
  workflowInterceptorModules: [path('../../workflows/client-result-interceptor.ts'), path('scenario-timeouts.ts')],
  logger: new DefaultLogger('WARN'),
});
await writeFile(file, code);

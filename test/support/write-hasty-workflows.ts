import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflows } from '../../worker/workflow-code.ts';

// A program of its own, so that it does not hold up the process in which jest directs the tests. It writes the workflow code of tests
// that kill things: a worker counts as dead sooner than in production.
const [, , file = ''] = process.argv;
const { code } = await bundleWorkflows([fileURLToPath(new URL('scenario-timeouts.ts', import.meta.url))]);
await writeFile(file, code);

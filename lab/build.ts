// Builds dist/: the programs, the workflow code as workers run it, and what they read beside themselves.
import { chmod, mkdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleWorkflows } from '../worker/workflow-code.ts';
import { buildPrograms, buildScript, copyCompanions } from './build-programs.ts';
import { buildConsole } from './build-console.ts';
import { buildDirectory, buildMarker, hasFreshBuild } from './fresh-build.mjs';

/** Makes dist/ anew unless it holds a build of just these sources. Throws with what esbuild or webpack says. */
export async function buildWhereStale(): Promise<void> {
  if (!hasFreshBuild()) await buildAll();
}

async function buildAll(): Promise<void> {
  const began = new Date();
  await rm(buildDirectory, { recursive: true, force: true });
  await mkdir(join(buildDirectory, 'workflows'), { recursive: true });
  const [{ code }, consoleBytes] = await Promise.all([
    bundleWorkflows(),
    buildConsole(join(buildDirectory, 'console')),
    buildPrograms(buildDirectory, { entries: ['cli/main', 'cli/kubectl-holdpoint', 'sandbox/main'], keepNames: false }),
    // The parts of Temporal in a worker share state, and one of them is native code.
    buildPrograms(buildDirectory, { entries: ['worker/main', 'activities/prepare-thread'], external: ['@temporalio/*'] }),
    copyCompanions(buildDirectory),
    // The page of a record, which verifies it in the browser.
    buildScript('cli/evidence-page/script.ts', join(buildDirectory, 'cli/evidence-page.js')),
  ]);
  await writeFile(join(buildDirectory, 'workflows/code.js'), code);
  for (const name of ['main', 'kubectl-holdpoint']) await chmod(join(buildDirectory, `cli/${name}.js`), 0o755);
  console.log(`The console has ${Math.ceil(consoleBytes / 1024)} KiB compressed.`);
  await writeFile(buildMarker, '');
  await utimes(buildMarker, began, began);
}

if (process.argv[1] === import.meta.filename) await buildAll();

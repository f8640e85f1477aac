// `npm run holdpoint`: the build in dist/ if it is one of just these sources, else the sources through tsx.
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildDirectory, hasFreshBuild } from './fresh-build.mjs';

let program = join(buildDirectory, 'cli/main.js');
if (!hasFreshBuild()) {
  const { register } = await import('tsx/esm/api');
  register();
  program = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
}
process.argv[1] = program;
await import(pathToFileURL(program).href);

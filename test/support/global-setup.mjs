import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { tsImport } from 'tsx/esm/api';
import { buildDirectory } from '../../lab/fresh-build.mjs';

/** What tests start as programs of their own, beside those of the build. */
const testPrograms = [
  'test/activities/artifacts/directory-writer',
  'test/activities/evidence/directory-writer',
  'test/support/crashing-worker',
  'test/support/uploading-worker',
];

/**
 * Builds dist/ where it is stale: what tests start as programs are those of the build, which start in a quarter of the time.
 * What else all test files of a run share is made once, when the first of them asks for it: the Temporal server, and code.
 * Test files run in several processes, so they ask over HTTP (test/support/shared.ts).
 */
export default async function globalSetup() {
  const { findTemporal, startTemporal } = await tsImport('../../lab/temporal.ts', import.meta.url);
  const { buildWhereStale } = await tsImport('../../lab/build.ts', import.meta.url);
  await buildWhereStale();
  // Found before the tests, since that can take minutes the first time.
  const found = findTemporal((sentence) => process.stderr.write(`${sentence}\n`));
  // Tests without Temporal run all the same; the others report the error.
  await found.catch(() => undefined);
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-tests-'));
  let server;
  const makers = {
    '/temporal': async () => (server = await startTemporal({ source: await found })).address,
    '/workflows': () => join(buildDirectory, 'workflows/code.js'),
    '/hasty-workflows': () => writeHastyBundle(directory),
    '/programs': () => buildTestPrograms(join(directory, 'programs')),
  };
  const made = new Map();
  const desk = createServer((request, response) => {
    const make = makers[request.url];
    if (!made.has(request.url)) made.set(request.url, Promise.resolve().then(make));
    made.get(request.url).then(
      (answer) => response.end(answer),
      (error) => response.writeHead(500).end(error.message),
    );
  });
  await new Promise((resolve) => desk.listen(0, '127.0.0.1', resolve));
  process.env.HOLDPOINT_TEST_DESK = `http://127.0.0.1:${desk.address().port}`;
  globalThis.closeTestDesk = async () => {
    desk.closeAllConnections();
    desk.close();
    await Promise.allSettled(made.values());
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  };
}

/** Resolves to the path of the code. */
async function writeHastyBundle(directory) {
  const program = fileURLToPath(new URL('write-hasty-workflows.ts', import.meta.url));
  const file = join(directory, 'hasty-workflows.js');
  await promisify(execFile)(process.execPath, ['--import', import.meta.resolve('tsx'), program, file]);
  return file;
}

/** Resolves to the directory of the programs. */
async function buildTestPrograms(directory) {
  const { buildProgramsApart } = await tsImport('../../lab/build-programs.ts', import.meta.url);
  await buildProgramsApart(directory, testPrograms);
  return directory;
}

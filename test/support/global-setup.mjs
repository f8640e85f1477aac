import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { tsImport } from 'tsx/esm/api';

/**
 * What all test files of a run share is made once, when the first of them asks for it: the Temporal server and the workflow code.
 * Test files run in several processes, so they ask over HTTP (test/support/shared.ts).
 */
export default async function globalSetup() {
  const { findTemporal, startTemporal } = await tsImport('../../lab/temporal.ts', import.meta.url);
  // Found before the tests, since that can take minutes the first time.
  const found = findTemporal((sentence) => process.stderr.write(`${sentence}\n`));
  // Tests without Temporal run all the same; the others report the error.
  await found.catch(() => undefined);
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-tests-'));
  let server;
  const makers = {
    '/temporal': async () => (server = await startTemporal({ source: await found })).address,
    '/workflows': () => writeBundle(directory, 'workflows'),
    '/hasty-workflows': () => writeBundle(directory, 'hasty-workflows'),
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
async function writeBundle(directory, kind) {
  const program = fileURLToPath(new URL('write-workflow-bundle.ts', import.meta.url));
  const file = join(directory, `${kind}.js`);
  await promisify(execFile)(process.execPath, ['--import', import.meta.resolve('tsx'), program, kind, file]);
  return file;
}

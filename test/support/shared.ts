import { readFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';

/**
 * What the test files of a run share, each made when the first of them asks for it (test/support/global-setup.mjs): the address of
 * the Temporal server, the path of the workflow code, that of the code in which a worker counts as dead sooner, and the directory of
 * the programs that only tests start.
 * Throws where it cannot be made, with the reasons.
 */
export async function askForShared(what: 'temporal' | 'workflows' | 'hasty-workflows' | 'programs'): Promise<string> {
  const desk = process.env.HOLDPOINT_TEST_DESK;
  if (desk === undefined) throw new Error('HOLDPOINT_TEST_DESK is not set: start the tests with npm test, which runs the global setup');
  const { status, text } = await getOnce(`${desk}/${what}`);
  if (status !== 200) throw new Error(text);
  return text;
}

/** A program of the tests, by its path in the project without extension. */
export async function testProgram(path: string): Promise<string> {
  return join(await askForShared('programs'), `${path}.js`);
}

/** The workflow code as workers run it. */
export async function workflowBundle(): Promise<{ code: string }> {
  return { code: await readFile(await askForShared('workflows'), 'utf8') };
}

/** The workflow code of tests that kill things: a worker counts as dead sooner than in production. */
export async function hastyWorkflowBundle(): Promise<{ code: string }> {
  return { code: await readFile(await askForShared('hasty-workflows'), 'utf8') };
}

/** Over a connection of its own: one that is kept open may be closed by the other side just when it is used again. */
function getOnce(url: string): Promise<{ status?: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString('utf8') }));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

import { createServer } from 'node:http';
import { tsImport } from 'tsx/esm/api';

/**
 * Finds the Temporal server before the tests, since that can take minutes the first time, and starts it when the first test
 * asks. Tests run in several processes, so they ask over HTTP (test/support/temporal.ts).
 */
export default async function globalSetup() {
  const { findTemporal, startTemporal } = await tsImport('../../lab/temporal.ts', import.meta.url);
  const found = findTemporal((sentence) => process.stderr.write(`${sentence}\n`));
  // Tests without Temporal run all the same; the others report the error.
  await found.catch(() => undefined);
  let started;
  const desk = createServer((_request, response) => {
    started ??= found.then((source) => startTemporal({ source }));
    started.then(
      ({ address }) => response.end(address),
      (error) => response.writeHead(500).end(error.message),
    );
  });
  await new Promise((resolve) => desk.listen(0, '127.0.0.1', resolve));
  process.env.HOLDPOINT_TEST_DESK = `http://127.0.0.1:${desk.address().port}`;
  globalThis.closeTemporalDesk = async () => {
    desk.closeAllConnections();
    desk.close();
    await started?.then(
      (server) => server.stop(),
      () => undefined,
    );
  };
}

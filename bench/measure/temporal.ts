import { createServer, type AddressInfo } from 'node:net';
import { Connection } from '@temporalio/client';
import { startProcess } from '../../lab/process.ts';
import { findTemporal, startTemporal, type TemporalServer } from '../../lab/temporal.ts';

const checkTimeoutMs = 5_000;

/**
 * A development server has one history shard, and a shard looks for tasks to hand out 20 times a second, so that a second task of
 * the same moment waits for up to 50 ms, whatever it belongs to. A production cluster has hundreds of shards, so that one run
 * hardly ever gets there: with this many looks neither does the development server.
 */
const looksPerSecond = 1_000;

/** A development server for measuring, or the one that TEMPORAL_ADDRESS names as it is. Throws where there is none. */
export async function startTemporalForMeasuring(report: (sentence: string) => void): Promise<TemporalServer> {
  const source = await findTemporal(report);
  if (source.kind === 'running') return startTemporal({ source });
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const looks = ['--dynamic-config-value', `history.transferProcessorMaxPollRPS=${looksPerSecond}`];
  const server = await startProcess({
    name: 'The Temporal server',
    command: source.path,
    args: ['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--port', String(port), '--log-level', 'error', ...looks],
    ready: () => serves(address),
  });
  return { address, stop: () => server.stop() };
}

async function serves(address: string): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: checkTimeoutMs });
  try {
    const namespace = 'default';
    await connection.withDeadline(Date.now() + checkTimeoutMs, () => connection.workflowService.describeNamespace({ namespace }));
  } finally {
    await connection.close();
  }
}

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Progress } from '../../domain/action.ts';
import { connectTemporal } from '../../client/connection.ts';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { findTemporal } from '../../lab/temporal.ts';
import { raiseRotation, type Rotation } from '../support/rotation.ts';

let folder: string;
let rotation: Rotation | undefined;
let server: RunningProcess | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdpoint-restart-'));
});
afterEach(async () => {
  await rotation?.stop();
  await server?.kill();
  await rm(folder, { recursive: true, force: true });
});

/** A server on that port with its data in a file: started again, it is the same server. */
async function startServer(port: number): Promise<RunningProcess> {
  const source = await findTemporal(() => undefined);
  if (source.kind !== 'program') throw new Error('this test needs a server of its own');
  const place = ['--ip', '127.0.0.1', '--port', String(port), '--db-filename', join(folder, 'temporal.db')];
  return startProcess({
    name: 'The Temporal server',
    command: source.path,
    args: ['server', 'start-dev', '--headless', '--log-level', 'error', ...place],
    ready: async () => {
      const client = await connectTemporal({ address: `127.0.0.1:${port}`, namespace: 'default', taskQueue: 'none' });
      await client.workflowService.describeNamespace({ namespace: 'default' }).finally(() => client.connection.close());
    },
  });
}

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const listener = createServer().listen(0, '127.0.0.1', () => {
      const { port } = listener.address() as AddressInfo;
      listener.close(() => resolve(port));
    });
  });
}

// Who names a running server with TEMPORAL_ADDRESS may have no program to start another.
const testWithProgram = process.env.TEMPORAL_ADDRESS ? test.skip : test;

testWithProgram(
  'a run survives its Temporal server being killed at a hold and in the middle of the drain',
  async () => {
    const port = await freePort();
    server = await startServer(port);
    rotation = await raiseRotation({ speed: 30, address: `127.0.0.1:${port}`, name: 'restart' });
    await rotation.startWorker();
    const run = await rotation.begin('node-group-rotation', { ...rotation.inputs, newNodegroup: 'green', nodesAtOnce: 2 });
    await rotation.until(run, 'holding');
    await server.kill();
    server = await startServer(port);
    await rotation.approve(run, 'sign-drain', 'ada');

    const drained = await rotation.until(run, ({ progress }) => isHalfDrained(progress));
    await server.kill();
    server = await startServer(port);
    await rotation.approve(run, 'sign-delete', 'grace');
    const live = await rotation.until(run, 'done');
    const { violations, counters } = rotation.sandbox.world.observer.summary();
    expect(violations).toEqual([]);
    expect(counters.evictionsGranted).toBe(drained.progress?.total);
    expect(rotation.nodes().filter(({ spec }) => spec.unschedulable === true)).toEqual([]);
    await expect(rotation.evidence(live)).resolves.toMatchObject({ ok: true, run, ending: 'ended', problems: [] });
  },
  120_000,
);

function isHalfDrained(progress: Progress | undefined): boolean {
  return progress?.unit === 'pods' && progress.done >= 10 && progress.done < progress.total - 10;
}

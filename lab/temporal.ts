import { createServer, type AddressInfo } from 'node:net';
import { Connection } from '@temporalio/client';
import { startProcess } from './process.ts';
import { reasonOf } from './reason.ts';
import {
  buildTemporal,
  cachedTemporal,
  downloadTemporal,
  goPackage,
  isExecutable,
  officialArchive,
  onPath,
  withLock,
  type Archive,
} from './temporal-binary.ts';

/** Tells the person what is being done and how long it took, one sentence at a time (for stderr). */
export type Report = (sentence: string) => void;

/** A Temporal server that runs already, or a program that can be one. */
export type TemporalSource =
  { kind: 'running'; address: string } | { kind: 'program'; path: string; from: 'PATH' | 'cache' | 'download' | 'go' };

/** Where to look: the real machine where left out. */
export interface Surroundings {
  env?: NodeJS.ProcessEnv;
  archive?: Archive | undefined;
}

/** A Temporal server to work with. */
export interface TemporalServer {
  /** `host:port` of its gRPC face. */
  address: string;
  /** Ends the server if it is ours; one that ran before is left alone. */
  stop(): Promise<void>;
}

const connectTimeoutMs = 5_000;
/**
 * A development server has one history shard, and a shard looks for tasks to hand out 20 times a second by itself, so that each task
 * waits for up to 50 ms; a production cluster has hundreds of shards. With this many looks a run hardly waits here either.
 */
const looksPerSecond = 1_000;

/** Bytes of all updates that are under way at one run: several large ones would keep its tasks failing (docs/decisions/0053). */
const updatesBytesMax = 2 * 1024 * 1024;
const startAttemptsMax = 3;

/**
 * Finds a Temporal server or a program to start one: TEMPORAL_ADDRESS, then `temporal` on PATH, then our cache, then the
 * official download, then a build with go; the last two fill the cache. Throws an Error that lists why each of them failed.
 */
export async function findTemporal(report: Report, surroundings: Surroundings = {}): Promise<TemporalSource> {
  const { env = process.env } = surroundings;
  if (env.TEMPORAL_ADDRESS) return { kind: 'running', address: env.TEMPORAL_ADDRESS };
  const installed = await onPath('temporal', env);
  if (installed !== undefined) return { kind: 'program', path: installed, from: 'PATH' };
  const cached = cachedTemporal(env);
  if (await isExecutable(cached)) return { kind: 'program', path: cached, from: 'cache' };
  const archive = 'archive' in surroundings ? surroundings.archive : officialArchive(process.platform, process.arch);
  const refusals = ['TEMPORAL_ADDRESS: not set', 'temporal on PATH: not installed', `the cache: no ${cached}`];
  const made = await makeTemporal(cached, archive, env, report, refusals).catch((error: unknown) => {
    refusals.push(`making one in the cache: ${reasonOf(error)}`);
    return undefined;
  });
  if (made !== undefined) return made;
  const list = refusals.map((line, index) => `  ${index + 1}. ${line}`).join('\n');
  throw new Error(
    `There is no Temporal server. Tried, in this order:\n${list}\n` +
      'Set TEMPORAL_ADDRESS to the host:port of a running server, or install the Temporal CLI ' +
      '(https://docs.temporal.io/cli) or Go (https://go.dev/dl), then try again.',
  );
}

/** Fills the cache, unless another process does so first. Adds to `refusals` what did not work. */
async function makeTemporal(
  target: string,
  archive: Archive | undefined,
  env: NodeJS.ProcessEnv,
  report: Report,
  refusals: string[],
): Promise<TemporalSource | undefined> {
  return withLock(target, async () => {
    if (await isExecutable(target)) return { kind: 'program', path: target, from: 'cache' };
    if (await downloaded(target, archive, report, refusals)) return { kind: 'program', path: target, from: 'download' };
    if (await built(target, env, report, refusals)) return { kind: 'program', path: target, from: 'go' };
    return undefined;
  });
}

async function downloaded(target: string, archive: Archive | undefined, report: Report, refusals: string[]): Promise<boolean> {
  if (archive === undefined) {
    refusals.push(`the official download: there is none for ${process.platform} on ${process.arch}`);
    return false;
  }
  try {
    await timed(report, `Downloading the Temporal server from ${archive.url}, once.`, () => downloadTemporal(archive, target));
    return true;
  } catch (error) {
    refusals.push(`the official download of ${archive.url}: ${reasonOf(error)}`);
    return false;
  }
}

async function built(target: string, env: NodeJS.ProcessEnv, report: Report, refusals: string[]): Promise<boolean> {
  const go = await onPath('go', env);
  if (go === undefined) {
    refusals.push(`go install ${goPackage}: go is not installed`);
    return false;
  }
  try {
    const what = 'Building the Temporal server with go; this takes about 3 minutes, once.';
    await timed(report, what, () => buildTemporal(go, target, env));
    return true;
  } catch (error) {
    refusals.push(`go install ${goPackage}: ${reasonOf(error)}`);
    return false;
  }
}

/** Tells what is being done and, afterwards, how long it took or why it failed. Throws what `work` throws. */
export async function timed(report: Report, what: string, work: () => Promise<void>): Promise<void> {
  const begin = performance.now();
  const seconds = (): string => ((performance.now() - begin) / 1000).toFixed(1);
  report(what);
  try {
    await work();
    report(`Done after ${seconds()} s.`);
  } catch (error) {
    report(`That failed after ${seconds()} s: ${reasonOf(error)}`);
    throw error;
  }
}

/**
 * Gives a server that answers: a running one as it is, or a development server of our own on `port` or a free one of 127.0.0.1 that
 * ends with us. Its data live in `databaseFile`, or in memory where that is left out.
 * Throws where it does not answer, with the server's last lines.
 */
export async function startTemporal(options: { source: TemporalSource; databaseFile?: string; port?: number }): Promise<TemporalServer> {
  const { source, databaseFile, port } = options;
  if (source.kind === 'running') {
    await checkServing(source.address).catch((error: unknown) => {
      throw new Error(
        `The Temporal server ${source.address} (TEMPORAL_ADDRESS) does not answer: ${reasonOf(error)}. ` +
          'Start it, correct the address, or unset TEMPORAL_ADDRESS to have a development server started.',
        { cause: error },
      );
    });
    return { address: source.address, stop: async () => undefined };
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await startDevelopmentServer(source.path, databaseFile, port);
    } catch (error) {
      // Somebody else took the port between our look and the server's start.
      if (attempt === startAttemptsMax || !/address already in use/i.test(reasonOf(error))) throw error;
    }
  }
}

async function startDevelopmentServer(path: string, databaseFile?: string, wanted?: number): Promise<TemporalServer> {
  const port = wanted ?? (await freePort());
  const address = `127.0.0.1:${port}`;
  const args = ['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--port', String(port), '--log-level', 'error'];
  args.push('--dynamic-config-value', `history.transferProcessorMaxPollRPS=${looksPerSecond}`);
  args.push('--dynamic-config-value', `history.maxInFlightUpdatePayloads=${updatesBytesMax}`);
  if (databaseFile !== undefined) args.push('--db-filename', databaseFile);
  const server = await startProcess({
    name: 'The Temporal server',
    command: path,
    args,
    ready: () => checkServing(address, 'default'),
  });
  return { address, stop: () => server.stop() };
}

/** Throws unless the server answers and, where a namespace is given, knows it. */
async function checkServing(address: string, namespace?: string): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: connectTimeoutMs });
  try {
    if (namespace !== undefined) {
      await connection.withDeadline(Date.now() + connectTimeoutMs, () => connection.workflowService.describeNamespace({ namespace }));
    }
  } finally {
    await connection.close();
  }
}

/** Whether nobody listens on a TCP port of 127.0.0.1 at the moment. */
export async function isFree(port: number): Promise<boolean> {
  return portFrom(port).then(
    () => true,
    () => false,
  );
}

/** A TCP port of 127.0.0.1 on which nobody listens at the moment. */
export async function freePort(): Promise<number> {
  return portFrom(0);
}

function portFrom(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(wanted, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

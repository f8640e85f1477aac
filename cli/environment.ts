import { existsSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKey } from '../client/keys.ts';
import type { JsonObject } from '../domain/json.ts';
import { startProcess, type RunningProcess } from '../lab/process.ts';
import { findTemporal, startTemporal } from '../lab/temporal.ts';
import { formatDuration } from './format.ts';
import { prepareNamespace } from './namespace.ts';
import { programCommand } from './program-files.ts';

/** The people of the demo: one who starts runs, two who may sign. */
export const stagePeople = { dana: 'Dana Requester', ada: 'Ada Approver', grace: 'Grace Approver' } as const;

const configurationName = 'holdpoint.yaml';
const workerName = 'demo';
const worldSeed = 7;
const workerRestartsMax = 20;

/** A cluster that is started for a demo. */
export interface EnvironmentCluster {
  /** For the worker, and for a second terminal. */
  env: Record<string, string>;
  /** The section `clusters` of holdpoint.yaml. */
  clusters: Record<string, { kubeconfig: string; context: string }>;
  /** The section `etcd`, where it has clusters of etcd. */
  etcd?: JsonObject;
  /** The sections `probes` and `availability`, where it has databases. */
  databases?: { probes?: JsonObject; availability?: JsonObject };
  /** The members, such as `prod/m1`, on whose machines workers are to be. */
  members?: readonly string[];
  /** Resolves when it has ended by itself, with a sentence on how. */
  broken: Promise<string>;
  stop(): Promise<void>;
}

/** What a cluster is started with; `directory` is one for files. */
export interface ClusterStart {
  directory: string;
  report: (sentence: string) => void;
  signal: AbortSignal;
}

/** Temporal, a cluster and a worker, started together: everything that a run needs, on this machine only. */
export interface Environment<Cluster extends EnvironmentCluster> {
  /** What a second terminal needs to take part. */
  env: Record<string, string>;
  directory: string;
  cluster: Cluster;
  /** Resolves when one of the parts has ended by itself, with a sentence on which and how. */
  broken: Promise<string>;
  stop(): Promise<void>;
}

/** Starts the environment and says what it is doing; stops what it has started if a part does not come up, or on an abort. */
export async function startEnvironment<Cluster extends EnvironmentCluster>(options: {
  startCluster: (start: ClusterStart) => Promise<Cluster>;
  report: (sentence: string) => void;
  signal: AbortSignal;
  /** Where keys, configuration, evidence and what Temporal knows are kept, and found again; a new folder where it is left out. */
  keep?: string;
  /** Where Temporal listens; a free port where it is left out. */
  temporalPort?: number;
  /** Where people will reach the pages, for the configuration. */
  pagesUrl?: string;
}): Promise<Environment<Cluster>> {
  const { startCluster, report, signal, keep, temporalPort: port, pagesUrl } = options;
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const source = await findTemporal(report);
    signal.throwIfAborted();
    const directory = keep ?? (await mkdtemp(join(tmpdir(), 'holdpoint-')));
    const databaseFile = keep === undefined ? undefined : join(keep, 'temporal.db');
    const temporal: Record<string, string> = {};
    if (source.kind === 'program') {
      const server = await timed('the Temporal server', report, () => startTemporal({ source, databaseFile, port }));
      stops.push(() => server.stop());
      Object.assign(temporal, await temporalEnvironment(directory, server.address));
    } else {
      temporal.TEMPORAL_ADDRESS = source.address;
    }
    await prepareNamespace({ ...process.env, ...temporal });
    const cluster = await startCluster({ directory, report, signal });
    stops.push(() => cluster.stop());
    const configured = await writeConfiguration(directory, cluster, pagesUrl);
    const env: Record<string, string> = { ...configured, ...temporal, ...cluster.env };
    signal.throwIfAborted();
    const places = [{}, ...(cluster.members ?? []).map((member) => ({ HOLDPOINT_MEMBER: member }))];
    const begun = await Promise.allSettled(places.map((place) => superviseWorker({ ...env, ...place }, report)));
    const workers = begun.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
    stops.push(async () => void (await Promise.all(workers.map((worker) => worker.stop()))));
    for (const end of begun) if (end.status === 'rejected') throw end.reason;
    return { env, directory, cluster, broken: Promise.race([...workers.map(({ broken }) => broken), cluster.broken]), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A sandboxed EKS cluster. */
export interface SandboxCluster extends EnvironmentCluster {
  url: string;
}

/** The worlds that a sandbox is started with, and what is in each. */
const worlds = {
  demo: 'an EKS cluster with 6 nodes',
  upgrade: 'an EKS cluster with 6 nodes',
  aurora: 'an Aurora cluster with 3 instances',
};
export type SandboxWorld = keyof typeof worlds;

/** How a sandbox is started. */
interface SandboxStart {
  world?: SandboxWorld;
  port?: number;
  /** Where the sandbox has real servers do what it does to the instances of its databases. */
  databaseServers?: string;
}

/** Starts a sandbox with a world. */
export async function startSandboxCluster(
  speed: number,
  { directory, report }: ClusterStart,
  options: SandboxStart = {},
): Promise<SandboxCluster> {
  const { process, url } = await startSandbox(options, speed, report);
  return {
    url,
    env: { ...awsEnvironment(url), ...(await writeKubeconfig(directory, url)) },
    clusters: {},
    broken: process.ended.then((how) => `The sandbox ${how}.\n${process.output()}`),
    stop: () => process.stop(),
  };
}

/** Tells how long a part of the environment took to start. */
export async function timed<Result>(what: string, report: (sentence: string) => void, work: () => Promise<Result>): Promise<Result> {
  const begin = performance.now();
  const result = await work();
  report(`Started ${what} (${formatDuration(performance.now() - begin)}).`);
  return result;
}

async function startSandbox(
  { world = 'demo', port, databaseServers }: SandboxStart,
  speed: number,
  report: (sentence: string) => void,
): Promise<{ process: RunningProcess; url: string }> {
  const { command, args } = programCommand('sandbox/main');
  const process = await timed(`the sandbox: ${worlds[world]}`, report, () =>
    startProcess({
      name: 'The sandbox',
      command,
      args: [
        ...args,
        ...(port === undefined ? [] : ['--port', String(port)]),
        ...(databaseServers === undefined ? [] : ['--database-servers', databaseServers]),
        '--world',
        world,
        '--seed',
        String(worldSeed),
        '--speed',
        String(speed),
      ],
      ready: /"url":"(?<url>[^"]+)"/,
    }),
  );
  return { process, url: process.readyMatch?.groups?.url ?? '' };
}

/** Starts a worker, and another one when it ends by itself, as whatever runs workers in production does. */
async function superviseWorker(
  env: Record<string, string>,
  report: (sentence: string) => void,
): Promise<{ stop: () => Promise<void>; broken: Promise<string> }> {
  let current = await startWorker(env, report);
  let stopping = false;
  const broken = new Promise<string>((resolve) => {
    const watch = (worker: RunningProcess, restarts: number): void => {
      void worker.ended.then(async (how) => {
        if (stopping) return;
        if (restarts >= workerRestartsMax) return resolve(`The worker ${how}.\n${worker.output()}`);
        report(`The worker ${how}. Starting another one; runs go on from where they were.`);
        current = await startWorker(env, report).catch((error: unknown) => (resolve(String(error)), worker));
        if (current === worker) return;
        if (stopping) await current.stop();
        else watch(current, restarts + 1);
      });
    };
    watch(current, 0);
  });
  const stop = async (): Promise<void> => {
    stopping = true;
    await current.stop();
  };
  return { stop, broken };
}

async function startWorker(env: Record<string, string>, report: (sentence: string) => void): Promise<RunningProcess> {
  const { command, args } = programCommand('worker/main');
  const { HOLDPOINT_MEMBER: member } = env;
  return timed(member === undefined ? 'the worker' : `the worker on the machine of ${member}`, report, () =>
    startProcess({
      name: 'The worker',
      command,
      args,
      env: { ...process.env, HOLDPOINT_LOG_LEVEL: 'warn', ...env },
      ready: /"listening":true/,
    }),
  );
}

/** For a server of our own: whatever the settings of whoever starts it are, those of another server must not be mixed in. */
async function temporalEnvironment(directory: string, address: string): Promise<Record<string, string>> {
  const file = join(directory, 'temporal.toml');
  await writeFile(file, `[profile.default]\naddress = "${address}"\n`);
  return {
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: 'default',
    TEMPORAL_CONFIG_FILE: file,
    TEMPORAL_PROFILE: 'default',
    TEMPORAL_TLS: 'false',
  };
}

/** The sandbox takes any credentials, but the AWS SDK will not send a request without some. */
function awsEnvironment(sandboxUrl: string): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: sandboxUrl,
    AWS_ACCESS_KEY_ID: 'sandbox',
    AWS_SECRET_ACCESS_KEY: 'sandbox',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

/** For kubectl, and for `holdpoint drain`. */
async function writeKubeconfig(directory: string, sandboxUrl: string): Promise<Record<string, string>> {
  const file = join(directory, 'kubeconfig');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'demo', cluster: { server: `${sandboxUrl}/kubernetes/demo` } }],
    users: [{ name: 'demo', user: {} }],
    contexts: [{ name: 'demo', context: { cluster: 'demo', user: 'demo' } }],
    'current-context': 'demo',
  };
  await writeFile(file, `${JSON.stringify(config, null, 2)}\n`);
  return { KUBECONFIG: file };
}

/** Keys for the demo's people and its workers, and the policies that they sign under. */
async function writeConfiguration(
  directory: string,
  { clusters, etcd, databases = {} }: Pick<EnvironmentCluster, 'clusters' | 'etcd' | 'databases'>,
  pagesUrl: string | undefined,
): Promise<Record<string, string>> {
  const file = join(directory, configurationName);
  // It was kept, and with it what people have signed.
  if (existsSync(file)) return configuredEnvironment(directory);
  const keys = join(directory, 'keys');
  const people: string[] = [];
  for (const [person, name] of Object.entries(stagePeople)) {
    people.push(`  ${person}: { name: ${name}, key: ${await createKey(person, keys)} }`);
  }
  // Apart from those of the people, of whom none is a worker.
  const workerKeys = join(directory, 'worker-keys');
  const workerKey = await createKey(workerName, workerKeys);
  const text = [
    'apiVersion: holdpoint.dev/v1',
    'kind: Configuration',
    'people:',
    ...people,
    'groups:',
    '  sre: [ada, grace]',
    'policies:',
    '  production-change: { atLeast: 1, of: sre, exclude: [requester], expires: 4h }',
    '  data-restore: { atLeast: 2, of: sre, exclude: [requester], expires: 4h }',
    'evidence:',
    '  directory: evidence',
    'workers:',
    `  ${workerName}: { key: ${workerKey}, from: ${new Date().toISOString()} }`,
    `clusters: ${JSON.stringify(clusters)}`,
    ...(etcd ? [`etcd: ${JSON.stringify(etcd)}`] : []),
    ...(pagesUrl === undefined ? [] : ['api:', `  url: ${pagesUrl}`, 'console:', '  rpId: localhost', `  origins: ['${pagesUrl}']`]),
    ...Object.entries(databases).map(([section, entries]) => `${section}: ${JSON.stringify(entries)}`),
    '',
  ];
  await writeFile(file, text.join('\n'));
  return configuredEnvironment(directory);
}

function configuredEnvironment(directory: string): Record<string, string> {
  return {
    HOLDPOINT_CONFIG: join(directory, configurationName),
    HOLDPOINT_KEYS: join(directory, 'keys'),
    HOLDPOINT_WORKER_KEY: join(directory, 'worker-keys', `${workerName}.jwk`),
  };
}

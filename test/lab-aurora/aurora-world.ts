import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createSystems } from '../../activities/catalogue.ts';
import { contextOfLook, type AnyAction } from '../../activities/action.ts';
import { createClients } from '../../activities/clients.ts';
import { actionsOf } from '../../activities/system.ts';
import { startCluster, worldWith, type TestCluster } from '../support/cluster.ts';
import { databaseNamed } from '../support/scenarios.ts';
import type { PostgresqlServers } from '../../lab/postgresql.ts';

/** The Aurora cluster of these tests. */
export const target = { kind: 'rds', region: 'eu-central-1', name: 'demo' };
export const instances = ['demo-a', 'demo-b', 'demo-c'];
/** Where a worker finds the addresses of the probe. */
const variables = { writer: 'HOLDPOINT_TEST_WRITER_URL', reader: 'HOLDPOINT_TEST_READER_URL' };
/** As many as the configuration allows: an outage is known to the time between two writes, before it and after it. */
const writesPerSecond = 200;

/** Every action, as a worker has them whose configuration says how the outage of the cluster is measured. */
export function actionsWithProbe(): ReadonlyMap<string, AnyAction> {
  const access = { writer: { environment: variables.writer }, reader: { environment: variables.reader }, writesPerSecond };
  const clients = createClients({ probes: async () => ({ 'rds/eu-central-1/demo': access }) });
  return actionsOf(createSystems(clients, ['rds']));
}

/** The context of one step of a run. */
export function contextOf(run: string): ReturnType<typeof contextOfLook> {
  return contextOfLook({ run, step: 'failover', target, retry: 0 });
}

/** URLs of the two endpoints, with the password in them. */
export function urlsOf({ user, password, database, writerPort, readerPort }: PostgresqlServers): { writer: string; reader: string } {
  const of = (port: number): string => `postgresql://${user}:${password}@127.0.0.1:${port}/${database}`;
  return { writer: of(writerPort), reader: of(readerPort) };
}

/** A sandbox of RDS that does to real servers what it does to its instances. */
export async function startAurora(servers: PostgresqlServers, writer: string, speed: number): Promise<TestCluster> {
  const aurora = await startCluster({ ...worldWith([], { nodes: 0 }), databases: [databaseNamed('demo')] }, { speed, kind: 'rds' });
  const [database] = aurora.sandbox.world.databases;
  if (!database) throw new Error('the world has no database');
  database.writer = writer;
  database.servers = servers;
  const urls = urlsOf(servers);
  process.env[variables.writer] = urls.writer;
  process.env[variables.reader] = urls.reader;
  return aurora;
}

/** What an independent client has seen. */
export interface Witnessed {
  acknowledged: number[];
  longestGap: { ms: number; fromMs: number; toMs: number };
}

/** Starts a client in a process of its own; what it returns ends that and tells what it has seen. */
export async function startIndependentClient(url: string, writesPerSecondWanted: number): Promise<() => Promise<Witnessed>> {
  const program = fileURLToPath(new URL('independent-client.mjs', import.meta.url));
  const env = { ...process.env, CLIENT_URL: url, CLIENT_RATE: String(writesPerSecondWanted) };
  const child = spawn(process.execPath, [program], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = once(child, 'close');
  await Promise.race([once(child.stdout, 'data'), ended]);
  return async () => {
    child.stdin.end();
    await ended;
    return JSON.parse(output.split('\n')[1] ?? '') as Witnessed;
  };
}

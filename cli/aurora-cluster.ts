import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serveDatabaseControl } from '../lab/database-control.ts';
import { findPostgresql, startPostgresqlServers, type PostgresqlServers } from '../lab/postgresql.ts';
import { reasonOf } from '../lab/reason.ts';
import { startSandboxCluster, timed, type ClusterStart, type EnvironmentCluster } from './environment.ts';

/** How the cluster is called in holdpoint.yaml. */
export const auroraTarget = 'rds/eu-central-1/demo';
const instances = ['demo-a', 'demo-b', 'demo-c'];
const writesPerSecond = 50;
const urlFile = 'writer-url';
const readerUrlFile = 'reader-url';

/** What the sandbox has counted of its Aurora cluster. */
export interface DatabaseSeen {
  name: string;
  writer: string;
  failovers: { from: string; to: string }[];
  trouble?: string;
}

/** An Aurora cluster of the sandbox, with real PostgreSQL behind its instances where this machine has it. */
export interface AuroraCluster extends EnvironmentCluster {
  /** Whether there are real servers, so that an outage can be measured. */
  isReal: boolean;
  seen(): Promise<DatabaseSeen>;
}

/** Starts the sandbox, and PostgreSQL if it is there; where it is not, says that the outage will not be measured. */
export async function startAuroraCluster(speed: number, start: ClusterStart): Promise<AuroraCluster> {
  const { directory, report } = start;
  const servers = await startServers(report);
  const control = servers && (await serveDatabaseControl(servers));
  const stop = async (): Promise<void> => {
    await control?.stop();
    await servers?.end();
  };
  try {
    const sandbox = await startSandboxCluster(speed, start, { world: 'aurora', databaseServers: control?.url });
    if (servers) await writeUrls(directory, servers);
    return {
      ...sandbox,
      isReal: servers !== undefined,
      databases: {
        ...(servers && { probes: { [auroraTarget]: { urlFile, readerUrlFile, writesPerSecond } } }),
        availability: { [auroraTarget]: { goal: '99.99%', per: '365d' } },
      },
      seen: async () => {
        const [database] = (await (await fetch(`${sandbox.url}/sandbox/databases`)).json()) as DatabaseSeen[];
        if (!database) throw new Error('the sandbox has no Aurora cluster');
        return database;
      },
      stop: async () => {
        await sandbox.stop();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startServers(report: (sentence: string) => void): Promise<PostgresqlServers | undefined> {
  const missing = await findPostgresql().then(
    () => undefined,
    (error: unknown) => reasonOf(error),
  );
  if (missing !== undefined) {
    report(`${missing} The instances are simulated without it, and the outage is not measured.`);
    return undefined;
  }
  return timed('PostgreSQL: a writer and two readers that replicate', report, () => startPostgresqlServers(instances));
}

/** With the password in them, as secrets are given to a worker. */
async function writeUrls(directory: string, { user, password, database, writerPort, readerPort }: PostgresqlServers): Promise<void> {
  const of = (port: number): string => `postgresql://${user}:${password}@127.0.0.1:${port}/${database}`;
  await writeFile(join(directory, urlFile), of(writerPort), { mode: 0o600 });
  await writeFile(join(directory, readerUrlFile), of(readerPort), { mode: 0o600 });
}

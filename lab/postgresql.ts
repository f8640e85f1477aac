import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { asUser, otherUser, type SystemUser } from './other-user.ts';
import { startMovingEndpoint, type MovingEndpoint } from './moving-endpoint.ts';
import { startProcess, type RunningProcess } from './process.ts';
import { isExecutable, onPath } from './temporal-binary.ts';
import { freePort } from './temporal.ts';

const runFile = promisify(execFile);
const loopback = '127.0.0.1';
const user = 'postgres';
const commandTimeoutMs = 60_000;
const readyTimeoutMs = 30_000;
const readyPattern = /database system is ready to accept (read-only )?connections/;
const programs = ['initdb', 'postgres', 'pg_basebackup'];
const debianFolder = '/usr/lib/postgresql';
const promotionTimeoutSeconds = 20;
/** Real PostgreSQL servers that replicate, one of which is the writer, on 127.0.0.1. They end with this process, however that ends. */
export interface PostgresqlServers {
  /** Of the address that leads to the writer. */
  writerPort: number;
  /** Of the address that leads to the readers in turn, and to the writer where none runs. */
  readerPort: number;
  user: string;
  password: string;
  database: string;
  /** The port of a server itself. */
  portOf(name: string): number;
  /** Ends a server, after what it has written is with the others; its connections are cut. */
  stop(name: string): Promise<void>;
  /** Has a server that was ended come back as what it was. */
  start(name: string): Promise<void>;
  /** Makes a reader the writer, and leads to it. */
  promote(name: string): Promise<void>;
  /** Has a server that was ended come back as a reader. */
  follow(name: string): Promise<void>;
  /** How many servers run now that take reads only. */
  readersRunning(): number;
  /** Ends all and removes the data. */
  end(): Promise<void>;
}

/** The folder of the programs of PostgreSQL: on PATH, or where Debian has them. Throws an Error that says how to get them. */
export async function findPostgresql(): Promise<string> {
  const found = await onPath('initdb', process.env);
  const versions = await readdir(debianFolder).catch(() => []);
  const debian = versions.sort((one, other) => Number(other) - Number(one)).map((version) => join(debianFolder, version, 'bin'));
  for (const folder of [...(found === undefined ? [] : [dirname(found)]), ...debian]) {
    const all = await Promise.all(programs.map((program) => isExecutable(join(folder, program))));
    if (all.every(Boolean)) return folder;
  }
  throw new Error(`There is no PostgreSQL on PATH or in ${debianFolder}: install it (\`apt-get install postgresql\`).`);
}

/** Starts a writer, the first of the names, and its readers. Throws an Error with the last lines of what did not come up. */
export async function startPostgresqlServers(names: readonly string[]): Promise<PostgresqlServers> {
  const servers = new ReplicatedServers(await findPostgresql(), await mkdtemp(join(tmpdir(), 'holdpoint-postgresql-')));
  try {
    await servers.startAll(names);
    return servers;
  } catch (error) {
    await servers.end();
    throw error;
  }
}

interface Server {
  name: string;
  port: number;
  folder: string;
  running: RunningProcess | undefined;
}

class ReplicatedServers implements PostgresqlServers {
  writerPort = 0;
  readerPort = 0;
  readonly user = user;
  readonly password = randomBytes(12).toString('hex');
  readonly database = 'postgres';
  private readonly programs: string;
  private readonly directory: string;
  private readonly servers = new Map<string, Server>();
  private readonly endpoints: MovingEndpoint[] = [];
  private writer: string | undefined;
  private turn = 0;
  private runAs: SystemUser | undefined;

  constructor(programs: string, directory: string) {
    this.programs = programs;
    this.directory = directory;
  }

  async startAll(names: readonly string[]): Promise<void> {
    this.runAs = await otherUser();
    await chmod(this.directory, 0o755);
    const passwordFile = join(this.directory, 'password');
    await writeFile(passwordFile, this.password);
    const writer = await startMovingEndpoint(() => this.runningPort(this.writer));
    const reader = await startMovingEndpoint(() => this.nextReader());
    this.endpoints.push(writer, reader);
    [this.writerPort, this.readerPort] = [writer.port, reader.port];
    for (const name of names) {
      const folder = join(this.directory, name);
      await mkdir(folder, { mode: 0o700 });
      if (this.runAs) for (const path of [folder, passwordFile]) await chown(path, this.runAs.uid, this.runAs.gid);
      this.servers.set(name, { name, port: await freePort(), folder, running: undefined });
    }
    const [first = '', ...others] = names;
    const { folder } = this.server(first);
    const who = [`--username=${user}`, '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
    await this.run('initdb', [`--pgdata=${folder}`, ...who, '--no-sync', '--encoding=UTF8', '--locale=C']);
    await this.launch(first);
    this.writer = first;
    await Promise.all(others.map((name) => this.copyFrom(first, name)));
  }

  portOf(name: string): number {
    return this.server(name).port;
  }

  async stop(name: string): Promise<void> {
    const { running } = this.server(name);
    if (!running) return;
    // A fast shutdown: connections are cut, and readers are given everything before it ends.
    process.kill(running.pid, 'SIGINT');
    await running.ended;
    this.server(name).running = undefined;
  }

  async start(name: string): Promise<void> {
    await this.launch(name);
  }

  async promote(name: string): Promise<void> {
    const client = new pg.Client({ host: loopback, port: this.portOf(name), user, password: this.password, database: this.database });
    await client.connect();
    try {
      const { rows } = await client.query<{ done: boolean }>('select pg_promote(true, $1) as done', [promotionTimeoutSeconds]);
      if (rows[0]?.done !== true) throw new Error(`PostgreSQL ${name} was not promoted within ${promotionTimeoutSeconds} s`);
    } finally {
      await client.end();
    }
    this.writer = name;
  }

  async follow(name: string): Promise<void> {
    await this.signalReader(name);
    await this.launch(name);
  }

  readersRunning(): number {
    return [...this.servers.values()].filter(({ name, running }) => running && name !== this.writer).length;
  }

  async end(): Promise<void> {
    await Promise.all([...this.servers.values()].map(async ({ running }) => running?.kill()));
    await Promise.all(this.endpoints.map((endpoint) => endpoint.stop()));
    await rm(this.directory, { recursive: true, force: true });
  }

  private server(name: string): Server {
    const found = this.servers.get(name);
    if (!found) throw new Error(`there is no PostgreSQL called ${name}`);
    return found;
  }

  private runningPort(name: string | undefined): number | undefined {
    const server = name === undefined ? undefined : this.server(name);
    return server?.running ? server.port : undefined;
  }

  private nextReader(): number | undefined {
    const readers = [...this.servers.values()].filter(({ name, running }) => running && name !== this.writer);
    this.turn += 1;
    return readers[this.turn % readers.length]?.port ?? this.runningPort(this.writer);
  }

  private async copyFrom(source: string, name: string): Promise<void> {
    const { folder } = this.server(name);
    const from = [`--host=${loopback}`, `--port=${this.portOf(source)}`, `--username=${user}`];
    await this.run('pg_basebackup', [`--pgdata=${folder}`, ...from, '--checkpoint=fast', '--no-sync', '--wal-method=stream']);
    await this.follow(name);
  }

  /** PostgreSQL manual, "standby.signal": a server that finds it follows another one. */
  private async signalReader(name: string): Promise<void> {
    const file = join(this.server(name).folder, 'standby.signal');
    await writeFile(file, '');
    if (this.runAs) await chown(file, this.runAs.uid, this.runAs.gid);
  }

  private async launch(name: string): Promise<void> {
    const server = this.server(name);
    const source = `host=${loopback} port=${this.writerPort} user=${user} password=${this.password} application_name=${name}`;
    const settings = {
      port: server.port,
      listen_addresses: loopback,
      unix_socket_directories: '',
      cluster_name: name,
      primary_conninfo: source,
      wal_retrieve_retry_interval: '100ms',
      wal_keep_size: '64MB',
      max_connections: 100,
      shared_buffers: '16MB',
      fsync: 'off',
      logging_collector: 'off',
      lc_messages: 'C',
    };
    const args = [`-D${server.folder}`, ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])];
    const [command, ...rest] = asUser(this.runAs, [join(this.programs, 'postgres'), ...args]);
    const started = await startProcess({ name: `PostgreSQL ${name}`, command: command!, args: rest, ready: readyPattern, readyTimeoutMs });
    server.running = started;
  }

  private async run(program: string, args: readonly string[]): Promise<void> {
    const [command, ...rest] = asUser(this.runAs, [join(this.programs, program), ...args]);
    const env = { ...process.env, PGPASSWORD: this.password, LC_ALL: 'C' };
    await runFile(command!, rest, { timeout: commandTimeoutMs, env, cwd: this.directory });
  }
}

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { onPath } from '../../lab/temporal-binary.ts';
import { freePort } from '../../lab/temporal.ts';
import { asUser, otherUser } from '../../lab/other-user.ts';

const runFile = promisify(execFile);
const loopback = '127.0.0.1';
const timeoutMs = 60_000;
/** Debian has it where only root's PATH leads. */
const systemPrograms = '/usr/sbin';

/** A real MariaDB on 127.0.0.1. It ends with this process, however that ends. */
export interface MariadbServer {
  port: number;
  user: string;
  password: string;
  database: string;
  /** Whether it takes writes of its user. */
  setReadOnly(isReadOnly: boolean): Promise<void>;
  /** Ends it as a crash would, and starts it again. */
  restart(): Promise<void>;
  end(): Promise<void>;
}

/** The path of mariadbd; undefined where it is not installed. */
export async function findMariadb(): Promise<string | undefined> {
  return onPath('mariadbd', { PATH: `${process.env.PATH}:${systemPrograms}` });
}

/** Starts one. Throws an Error with its last lines where it does not come up. */
export async function startMariadb(program: string): Promise<MariadbServer> {
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-mariadb-'));
  const data = join(directory, 'data');
  const runAs = await otherUser();
  await chmod(directory, 0o755);
  await mkdir(data);
  const password = randomBytes(12).toString('hex');
  const [user, database] = ['app', 'shop'];
  const begin = join(directory, 'begin.sql');
  await writeFile(
    begin,
    [
      `create database if not exists ${database};`,
      `create user if not exists '${user}'@'%' identified by '${password}';`,
      `grant select, insert, delete, create on ${database}.* to '${user}'@'%';`,
      `create user if not exists 'admin'@'%' identified by '${password}';`,
      `grant all on *.* to 'admin'@'%';\n`,
    ].join('\n'),
  );
  if (runAs) for (const path of [data, begin]) await chown(path, runAs.uid, runAs.gid);
  const base = dirname(dirname(program));
  const common = ['--no-defaults', `--datadir=${data}`, `--basedir=${base}`];
  await createSystemTables(asUser(runAs, [program, ...common, '--bootstrap']), join(base, 'share/mysql'));
  const port = await freePort();
  const own = [
    `--port=${port}`,
    `--bind-address=${loopback}`,
    `--socket=${join(data, 's')}`,
    `--init-file=${begin}`,
    '--skip-name-resolve',
  ];
  const sparing = ['--innodb-flush-log-at-trx-commit=2', '--innodb-buffer-pool-size=16M', '--performance-schema=off'];
  const start = (): Promise<RunningProcess> => {
    const [command, ...args] = asUser(runAs, [program, ...common, ...own, ...sparing]);
    return startProcess({ name: 'MariaDB', command: command!, args, ready: /ready for connections/ });
  };
  let running = await start();
  return {
    port,
    user,
    password,
    database,
    setReadOnly: async (isReadOnly) => {
      const admin = await createConnection({ host: loopback, port, user: 'admin', password });
      await admin.query(`set global read_only = ${isReadOnly ? 1 : 0}`);
      await admin.end();
    },
    restart: async () => {
      await running.kill();
      running = await start();
    },
    end: async () => {
      await running.kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** What mariadb-install-db does, which needs programs of the client besides. */
async function createSystemTables(line: string[], scripts: string): Promise<void> {
  const names = ['mysql_system_tables.sql', 'mysql_system_tables_data.sql'];
  const texts = await Promise.all(names.map((name) => readFile(join(scripts, name), 'utf8')));
  const running = runFile(line[0]!, line.slice(1), { timeout: timeoutMs, maxBuffer: 4 * 1024 * 1024 });
  running.child.stdin?.end(['create database mysql;', 'use mysql;', 'set @auth_root_socket = null;', ...texts].join('\n'));
  await running;
}

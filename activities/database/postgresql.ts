import { Socket } from 'node:net';
import type { Client } from 'pg';
import type { DatabaseAddress } from './address.ts';
import { DatabaseTrouble, heartbeatTable, networkTrouble, oldRowsDays, rowsPageSize, type DatabaseSession } from './session.ts';

const noAnswer = 'no answer in time';

/** PostgreSQL manual, "Error codes". After those of `unanswered`, a statement may have been carried out all the same. */
const states: Readonly<Record<string, string>> = {
  '25006': 'server is read-only',
  '57P01': 'server shuts down',
  '57P02': 'server has crashed',
  '57P03': 'server is starting or stopping',
  '28P01': 'password refused',
  '28000': 'user refused',
  '3D000': 'no such database',
  '42501': 'permission denied',
  '53300': 'too many connections',
};
const unanswered = ['57P01', '57P02', '57014'];

/** Opens a connection of its own and asks who answers. Throws DatabaseTrouble. */
export async function connectToPostgresql(address: DatabaseAddress, timeoutMs: number): Promise<DatabaseSession> {
  const { host, port, user, password, database, tls } = address;
  const { default: pg } = await import('pg');
  const socket = new Socket();
  const client = new pg.Client({
    host,
    port,
    user,
    // An empty one keeps the driver from looking for another in files and variables.
    password: password ?? '',
    database,
    ssl: tls ?? false,
    stream: () => socket,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    application_name: 'holdpoint-probe',
    keepAlive: false,
  });
  // A connection that is cut between two statements is seen by the next one.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return sessionOf(client, socket, await serverOf(client, `${host}:${port}`));
  } catch (error) {
    socket.destroy();
    throw new DatabaseTrouble(reasonOf(error), false);
  }
}

async function serverOf(client: Client, address: string): Promise<string> {
  const { rows } = await client.query<{ name: string; aurora: boolean; own: string | null }>(
    `select current_setting('cluster_name') as name, host(inet_server_addr()) || ':' || inet_server_port() as own,
       exists (select from pg_proc where proname = 'aurora_db_instance_identifier') as aurora`,
  );
  const [seen] = rows;
  if (seen?.aurora) {
    const { rows: named } = await client.query<{ name: string }>('select aurora_db_instance_identifier() as name');
    return named[0]?.name ?? address;
  }
  return seen?.name || seen?.own || address;
}

function sessionOf(client: Client, socket: Socket, server: string): DatabaseSession {
  const query = async <Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> => {
    try {
      return (await client.query<Row>(text, values)).rows;
    } catch (error) {
      const { code } = error as { code?: string };
      const isAnswered = code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('08') && !unanswered.includes(code);
      throw new DatabaseTrouble(reasonOf(error), !isAnswered);
    }
  };
  return {
    server,
    prepare: async () => {
      const [found] = await query<{ is: boolean }>(`select to_regclass('${heartbeatTable}') is not null as is`);
      if (!found?.is) {
        await query(`create table if not exists ${heartbeatTable} (id bigint generated always as identity primary key,
          probe varchar(64) not null, number bigint not null, written_at timestamptz not null default now())`);
      }
      await query(`delete from ${heartbeatTable} where written_at < now() - interval '${oldRowsDays} days'`);
    },
    write: async (probe, number) => {
      await query(`insert into ${heartbeatTable} (probe, number) values ($1, $2)`, [probe, number]);
    },
    read: async () => {
      await query('select 1');
    },
    rows: async (probe, afterNumber) => {
      const text = `select number, count(*) as count from ${heartbeatTable} where probe = $1 and number > $2
        group by number order by number limit ${rowsPageSize}`;
      const rows = await query<{ number: string; count: string }>(text, [probe, afterNumber]);
      return rows.map(({ number, count }) => ({ number: Number(number), count: Number(count) }));
    },
    removeRows: async (probe) => {
      await query(`delete from ${heartbeatTable} where probe = $1`, [probe]);
    },
    close: () => {
      socket.destroy();
    },
  };
}

/** The driver says of what it gives up itself only in words that it was a time-out, or that the connection has ended. */
function reasonOf(error: unknown): string {
  const { code, message = '' } = error as { code?: string; message?: string };
  if (code !== undefined && Object.hasOwn(states, code)) return states[code]!;
  const network = networkTrouble(error);
  if (network !== undefined) return network;
  if (/timeout/i.test(message)) return noAnswer;
  if (/terminated|not queryable|Connection ended|closed/i.test(message)) return 'connection cut';
  return code === undefined ? 'unknown trouble' : `error ${code.slice(0, 40)}`;
}

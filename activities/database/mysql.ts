import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { DatabaseAddress } from './address.ts';
import { DatabaseTrouble, heartbeatTable, networkTrouble, oldRowsDays, rowsPageSize, type DatabaseSession } from './session.ts';

/** MySQL reference, "Server error message reference". */
const errors: Readonly<Record<number, string>> = {
  1040: 'too many connections',
  1044: 'permission denied',
  1045: 'password refused',
  1049: 'no such database',
  1053: 'server shuts down',
  1142: 'permission denied',
  1290: 'server is read-only',
  1792: 'server is read-only',
  1836: 'server is read-only',
};
const unanswered = [1053, 1317, 3024];

/** Opens a connection of its own and asks who answers. Throws DatabaseTrouble. */
export async function connectToMysql(address: DatabaseAddress, timeoutMs: number): Promise<DatabaseSession> {
  const { host, port, user, password, database, tls } = address;
  const { createConnection } = await import('mysql2/promise');
  let connection: Connection | undefined;
  try {
    const ssl = tls && {
      ca: tls.ca as string | undefined,
      rejectUnauthorized: tls.rejectUnauthorized,
      verifyIdentity: tls.rejectUnauthorized,
    };
    connection = await createConnection({ host, port, user, password, database, connectTimeout: timeoutMs, ...(ssl && { ssl }) });
    // A connection that is cut between two statements is seen by the next one.
    connection.on('error', () => undefined);
    return sessionOf(connection, timeoutMs, await serverOf(connection, timeoutMs, `${host}:${port}`));
  } catch (error) {
    connection?.destroy();
    throw new DatabaseTrouble(reasonOf(error), false);
  }
}

async function serverOf(connection: Connection, timeout: number, address: string): Promise<string> {
  const sql = "show variables where variable_name in ('aurora_server_id', 'hostname', 'port')";
  const [rows] = await connection.query<RowDataPacket[]>({ sql, timeout });
  const named = new Map(rows.map(({ Variable_name: name, Value: value }) => [String(name), String(value)]));
  const hostname = named.get('hostname');
  return named.get('aurora_server_id') || (hostname ? `${hostname}:${named.get('port')}` : address);
}

function sessionOf(connection: Connection, timeout: number, server: string): DatabaseSession {
  const query = async (sql: string, values: unknown[] = []): Promise<RowDataPacket[]> => {
    try {
      const [rows] = await connection.query<RowDataPacket[]>({ sql, values, timeout });
      return rows;
    } catch (error) {
      const { errno } = error as { errno?: number };
      const isAnswered = typeof errno === 'number' && errno >= 1_000 && !unanswered.includes(errno);
      throw new DatabaseTrouble(reasonOf(error), !isAnswered);
    }
  };
  return {
    server,
    prepare: async () => {
      const [found] = await query(
        'select count(*) as count from information_schema.tables where table_schema = database() and table_name = ?',
        [heartbeatTable],
      );
      if (Number(found?.count ?? 0) === 0) {
        await query(`create table if not exists ${heartbeatTable} (id bigint auto_increment primary key, probe varchar(64) not null,
          number bigint not null, written_at timestamp not null default current_timestamp) engine = innodb`);
      }
      await query(`delete from ${heartbeatTable} where written_at < now() - interval ${oldRowsDays} day`);
    },
    write: async (probe, number) => {
      await query(`insert into ${heartbeatTable} (probe, number) values (?, ?)`, [probe, number]);
    },
    read: async () => {
      await query('select 1');
    },
    rows: async (probe, afterNumber) => {
      const sql = `select number, count(*) as count from ${heartbeatTable} where probe = ? and number > ?
        group by number order by number limit ${rowsPageSize}`;
      const rows = await query(sql, [probe, afterNumber]);
      return rows.map(({ number, count }) => ({ number: Number(number), count: Number(count) }));
    },
    removeRows: async (probe) => {
      await query(`delete from ${heartbeatTable} where probe = ?`, [probe]);
    },
    close: () => connection.destroy(),
  };
}

function reasonOf(error: unknown): string {
  const { errno, code, message = '' } = error as { errno?: number; code?: string; message?: string };
  if (errno !== undefined && Object.hasOwn(errors, errno)) return errors[errno]!;
  const network = networkTrouble(error);
  if (network !== undefined) return network;
  if (code === 'PROTOCOL_SEQUENCE_TIMEOUT' || /timeout/i.test(message)) return 'no answer in time';
  if (/closed state|closed the connection/i.test(message)) return 'connection cut';
  return code === undefined ? 'unknown trouble' : `error ${code.slice(0, 40)}`;
}

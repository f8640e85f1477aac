import type { DatabaseAddress } from './address.ts';
import { connectToMysql } from './mysql.ts';
import { connectToPostgresql } from './postgresql.ts';
import type { Connect } from './session.ts';

/** How to connect to an address; the name is looked up anew each time, as a client without a cache does. */
export function connectorFor(address: DatabaseAddress): Connect {
  const connect = address.engine === 'postgresql' ? connectToPostgresql : connectToMysql;
  return (timeoutMs) => connect(address, timeoutMs);
}

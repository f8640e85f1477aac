import { randomUUID } from 'node:crypto';
import { ToldError } from '../../domain/errors.ts';
import { readAddress } from './address.ts';
import { OutageProbe } from './probe.ts';
import { DatabaseTrouble } from './session.ts';

/** Addresses as URLs; `password` takes the place of those in them. */
export interface ProbeByHand {
  writer: string;
  reader?: string;
  password?: string;
  writesPerSecond: number;
}

const remedies: Readonly<Record<string, string>> = {
  'password refused': 'Check the user and the password.',
  'certificate not trusted': 'Name the authority with ?sslrootcert=FILE (for RDS, global-bundle.pem of AWS), or give ?sslmode=require.',
  'permission denied': 'Let the user create tables in the database, or create holdpoint_heartbeat and let the user write and delete there.',
  'server is read-only': 'Name the address that leads to the writer.',
};

/**
 * Begins a probe with addresses that somebody has given. Throws ToldError where an address cannot be read, or the database cannot be
 * written to now.
 */
export async function probeByHand({ writer, reader, password, writesPerSecond }: ProbeByHand): Promise<OutageProbe> {
  const address = readAddress(writer, password);
  const readerAddress = reader === undefined ? undefined : readAddress(reader, password);
  try {
    return await OutageProbe.start({ id: randomUUID(), writer: address, reader: readerAddress, writesPerSecond });
  } catch (error) {
    if (!(error instanceof DatabaseTrouble)) throw error;
    const { host, port, user, database } = address;
    const message = `The database ${database} at ${host}:${port} takes no writes of ${user}: ${error.message}.`;
    throw new ToldError(
      'database-unwritable',
      message,
      remedies[error.message] ?? 'Check that it can be reached from this machine; then try again.',
    );
  }
}

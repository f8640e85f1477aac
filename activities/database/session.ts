/** Where heartbeats are written. Its rows belong to probes only. */
export const heartbeatTable = 'holdpoint_heartbeat';
/** Rows of probes that were killed are removed by the next one after this time. */
export const oldRowsDays = 7;
/** How many numbers are read at once. */
export const rowsPageSize = 10_000;

/** A connection of one client to one server. Every call throws DatabaseTrouble. */
export interface DatabaseSession {
  /** The name of the instance that has answered: of Aurora, else `cluster_name` or the address. */
  readonly server: string;
  /** Makes the table where there is none, and removes rows that are old. */
  prepare(): Promise<void>;
  write(probe: string, number: number): Promise<void>;
  read(): Promise<void>;
  /** How often each number of a probe is there, from a number on, in ascending order: one page. */
  rows(probe: string, afterNumber: number): Promise<{ number: number; count: number }[]>;
  removeRows(probe: string): Promise<void>;
  /** Ends the connection at once, whatever is under way. */
  close(): void;
}

/** Opens connections to a database. */
export type Connect = (timeoutMs: number) => Promise<DatabaseSession>;

/** What a database, or the way to it, has said: a reason of a few words, without any secret. */
export class DatabaseTrouble extends Error {
  override readonly name = 'DatabaseTrouble';
  /** Whether a write may have been done all the same. */
  readonly isUnanswered: boolean;

  constructor(reason: string, isUnanswered: boolean) {
    super(reason);
    this.isUnanswered = isUnanswered;
  }
}

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection cut',
  EPIPE: 'connection cut',
  ETIMEDOUT: 'no answer in time',
  EHOSTUNREACH: 'host not reachable',
  ENETUNREACH: 'network not reachable',
  ENOTFOUND: 'name not found',
  EAI_AGAIN: 'name not resolved',
  PROTOCOL_CONNECTION_LOST: 'connection cut',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate not trusted',
  CERT_HAS_EXPIRED: 'certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate of another host',
};

/** Words for an error of the network; undefined where it is none. */
export function networkTrouble(error: unknown): string | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && Object.hasOwn(words, code) ? words[code] : undefined;
}

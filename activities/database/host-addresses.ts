import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AddressChange } from '../../domain/database/probe-report.ts';
import { nowMs } from './heartbeat-sender.ts';

const lookMs = 500;
const changesMax = 50;

/** Addresses of a name, as clients of this machine find them. */
export type LookUp = (host: string) => Promise<string[]>;

const lookUpHere: LookUp = async (host) => (await lookup(host, { all: true })).map(({ address }) => address);

/** Looks a name up again and again, and tells when it leads elsewhere, until the signal is aborted. An address has no name to look up. */
export async function watchHost(
  host: string,
  seen: (change: AddressChange) => void,
  signal: AbortSignal,
  lookUp: LookUp = lookUpHere,
): Promise<void> {
  if (isIP(host) !== 0) return;
  let known: string[] | undefined;
  let changes = 0;
  while (!signal.aborted && changes < changesMax) {
    const found = await lookUp(host).then(
      (addresses) => addresses.sort(),
      () => undefined,
    );
    if (found && known && found.join() !== known.join()) {
      changes += 1;
      seen({ host, atMs: nowMs(), from: known, to: found });
    }
    known = found ?? known;
    await sleep(lookMs, undefined, { signal }).catch(() => undefined);
  }
}

import { ApplicationFailure, ExternalStorage, StorageDriverClaim, type Payload, type StorageDriver } from '@temporalio/common';
import proto from '@temporalio/proto';
import { answerMark, heartbeatMark, payloadSizeMax, recordedValueBytesMax, splitBody } from '../../domain/evidence/evidence.ts';
import { EvidenceError, type EvidenceStore, type NewEntry } from './store.ts';

const { Payload: WirePayload } = proto.temporal.api.common.v1;

/** Temporal writes this name into histories: another one would leave them without a driver. */
const driverName = 'holdpoint-evidence';

type Keeper = Pick<EvidenceStore, 'keep' | 'fetch'>;

/**
 * Lets what workers, and clients that have it, send to Temporal leave the histories where it is larger than
 * `payloadSizeMax`: the evidence store keeps it, and its SHA-256 and size take its place. Answers to clients stay as they
 * are, so that whoever has no access to the store can read them; so do heartbeats, which come into no history.
 * What the store cannot take or give fails the workflow task or the activity, and is tried again.
 */
export function createPayloadStorage(store: Keeper): ExternalStorage {
  const driver: StorageDriver = {
    name: driverName,
    type: 'holdpoint.evidence',
    store: (_context, payloads) => withFailures(() => Promise.all(payloads.map((payload) => keepPayload(store, payload)))),
    retrieve: (_context, claims) => withFailures(() => Promise.all(claims.map((claim) => fetchPayload(store, claim)))),
  };
  return new ExternalStorage({
    drivers: [driver],
    driverSelector: (_context, { metadata }) => (metadata?.[answerMark] || metadata?.[heartbeatMark] ? null : driver),
    payloadSizeThreshold: payloadSizeMax,
  });
}

/**
 * Keeps what is too large for an entry beside the record. Returns the entry as it goes into the record (see KeptValue).
 * Throws EvidenceError where a value is too large even for that, or cannot be kept.
 */
export async function keepLargeValues(store: Keeper, run: string, { body, ...entry }: NewEntry): Promise<NewEntry> {
  const split = splitBody(body);
  for (const { name, bytes } of split.kept) {
    if (bytes.length > recordedValueBytesMax) {
      const size = `${bytes.length} bytes, and an entry holds at most ${recordedValueBytesMax} of one value`;
      const why = `the ${name} of ${entry.kind} has ${size}`;
      const message = `Run ${run} has something that cannot be recorded: ${why}.`;
      throw new EvidenceError('evidence-entry-malformed', 'refuse', message, 'Split the work into several runs, each with a smaller plan.');
    }
    await store.keep(bytes);
  }
  return { ...entry, body: split.body };
}

async function keepPayload(store: Keeper, { metadata, data }: Payload): Promise<StorageDriverClaim> {
  const bytes = WirePayload.encode({ metadata, data }).finish();
  return new StorageDriverClaim({ sha256: await store.keep(bytes), bytes: String(bytes.length) });
}

async function fetchPayload(store: Keeper, { claimData }: StorageDriverClaim): Promise<Payload> {
  return WirePayload.decode(await store.fetch(claimData.sha256 ?? ''));
}

/** Errors of the store cross into workflows as failures that a person can act upon. */
async function withFailures<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    const { code, consequence, message, remedy } = error;
    throw ApplicationFailure.create({ type: code, message, nonRetryable: consequence === 'refuse', details: [{ remedy }] });
  }
}

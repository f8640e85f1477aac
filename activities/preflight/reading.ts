import type { Reading } from '../../domain/preflight/snapshot.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { withoutFullStop } from '../failure.ts';

/** What a part reads, or why it cannot: a right that is missing keeps no other part from being checked. Throws what no server has said. */
export async function reading<Part>(read: () => Promise<Part>): Promise<Reading<Part>> {
  try {
    return { value: await read() };
  } catch (error) {
    if (!(error instanceof HoldpointError)) throw error;
    return { unread: withoutFullStop(error.message) };
  }
}

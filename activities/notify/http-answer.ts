import { HttpError, retryAfterMs, statusTrouble } from '../http.ts';
import { retryAfterMaxMs, type Delivery } from './channel.ts';

/** Statuses that may pass by themselves, besides those of the server (5xx). */
const passingStatuses = [408, 425, 429];

/** What the answer to a message says of it. */
export function deliveryOf(response: Response): Delivery {
  const trouble = statusTrouble(response);
  if (trouble === undefined) return { state: 'delivered' };
  const { status } = response;
  if (status < 500 && !passingStatuses.includes(status)) return { state: 'refused', reason: trouble };
  const wait = retryAfterMs(response, retryAfterMaxMs);
  return { state: 'failed', reason: trouble, ...(wait !== undefined && { retryAfterMs: wait }) };
}

/** What it says of a message that there was no whole answer. */
export function deliveryAfter(error: unknown): Delivery {
  if (!(error instanceof HttpError)) return { state: 'failed', reason: 'it could not be sent' };
  return { state: error.maySent ? 'unsure' : 'failed', reason: error.message };
}

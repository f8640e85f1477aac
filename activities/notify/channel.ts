import type { Message } from '../../domain/notification.ts';

/**
 * What became of a message. `failed`: it has not arrived, and may be tried again; `unsure`: nobody knows whether it has arrived;
 * `refused`: trying again is of no use before somebody changes something. Reasons hold no secret.
 */
export type Delivery =
  | { state: 'delivered' }
  | { state: 'failed'; reason: string; retryAfterMs?: number }
  | { state: 'unsure'; reason: string }
  | { state: 'refused'; reason: string };

/** Sends messages to one place. Never throws. */
export type Send = (message: Message) => Promise<Delivery>;

/** What one request to a channel may take. Its answers are small. */
export const sendLimits = { timeoutMs: 15_000, bytesMax: 64 * 1024 };

/** The longest wait that a server may ask for. */
export const retryAfterMaxMs = 3_600_000;

import { setTimeout as wait } from 'node:timers/promises';
import { ApiException } from '@kubernetes/client-node';

/** How often a server that is busy is asked again at most, as by client-go (rest/request.go). */
const busyAttemptsMax = 10;
/** The longest time that a server may ask for. */
const busyPauseMaxMs = 30_000;
const busyCodes: readonly number[] = [429, 503];

/** How long an answer asks to wait until the next request (`Retry-After` in seconds), in milliseconds; undefined where it says nothing. */
export function retryAfterMs(error: unknown): number | undefined {
  if (!(error instanceof ApiException)) return undefined;
  const text = (error.headers as Record<string, string | string[] | undefined> | undefined)?.['retry-after'];
  return typeof text === 'string' && /^\d{1,9}$/.test(text) ? Number(text) * 1000 : undefined;
}

/**
 * Sends again what a busy server has not taken, after as long as it asks for (API priority and fairness, or a server that starts).
 * It says that nothing has come of the request. Throws what `send` throws in the end.
 */
export async function asTold<Answer>(send: () => Promise<Answer>, signal?: AbortSignal): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send();
    } catch (error) {
      const pauseMs = retryAfterMs(error);
      const isBusy = error instanceof ApiException && busyCodes.includes(error.code) && pauseMs !== undefined;
      if (!isBusy || attempt >= busyAttemptsMax) throw error;
      await wait(Math.min(pauseMs, busyPauseMaxMs), undefined, { signal });
    }
  }
}

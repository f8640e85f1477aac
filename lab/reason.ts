import { isNativeError } from 'node:util/types';

/** What an error says, with the cause where the message alone says nothing ("fetch failed"). */
export function reasonOf(error: unknown): string {
  // Not instanceof: an error of another realm is one, too.
  if (!isNativeError(error)) return String(error);
  return isNativeError(error.cause) ? `${error.message} (${error.cause.message})` : error.message;
}

import type { JsonObject } from '../domain/json.ts';
import { findAction } from '../runbooks/actions/index.ts';

/** The input of an action with its defaults, as rules judge it; what does not fit is judged as it is, and refused by the action itself. */
export function settingsOf(action: string, input: JsonObject): JsonObject {
  const parsed = findAction(action)?.input.safeParse(input);
  return parsed?.success ? (parsed.data as JsonObject) : input;
}

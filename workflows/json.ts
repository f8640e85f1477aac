import type { JsonObject } from '../domain/json.ts';

/** A value as it goes into the record: what has no JSON form (absent properties) is left out. */
export function toJson<Value extends object>(value: Value): Value extends unknown[] ? JsonObject[] : JsonObject {
  return JSON.parse(JSON.stringify(value)) as Value extends unknown[] ? JsonObject[] : JsonObject;
}

import * as z from 'zod';
import type { Json, JsonObject } from '../../domain/json.ts';

/** Any JSON value. */
export const json = z.unknown() as unknown as z.ZodType<Json, Json>;

/** Any JSON object. */
export const jsonObject = z.record(z.string(), z.unknown()) as unknown as z.ZodType<JsonObject, JsonObject>;

/**
 * The schema of a type of ours, which has every field of it: an answer is cut down to its schema, so that a field that somebody adds
 * to the type and forgets here would be missed by no compiler otherwise.
 */
export function objectOf<Type extends object>() {
  return <Shape extends Record<keyof Type, z.ZodType>>(shape: Shape & Record<Exclude<keyof Shape, keyof Type>, never>) => z.object(shape);
}

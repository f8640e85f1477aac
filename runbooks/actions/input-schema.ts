import * as z from 'zod';
import type { JsonObject } from '../../domain/json.ts';
import { actions } from './index.ts';

/** JSON Schema (draft 2020-12) of what an action takes. */
export function actionInputSchema(name: keyof typeof actions): JsonObject {
  return jsonSchemaOf(actions[name].input);
}

/** JSON Schema (draft 2020-12) of what a grammar reads. */
export function jsonSchemaOf(grammar: z.ZodType): JsonObject {
  return z.toJSONSchema(grammar, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as JsonObject;
}

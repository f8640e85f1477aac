import type { Json } from '../../domain/json.ts';

/** What a value has to be; exactly one of the three. */
export interface Condition {
  above?: number;
  below?: number;
  equals?: Json;
}

/** Whether a value is as it has to be. What is no number is neither above nor below anything. */
export function holds({ above, below, equals }: Condition, value: Json): boolean {
  if (equals !== undefined) return value === equals;
  if (typeof value !== 'number' || Number.isNaN(value)) return false;
  return above === undefined ? below !== undefined && value < below : value > above;
}

/** The condition in words: `above 5`. */
export function inWords({ above, below, equals }: Condition): string {
  if (equals !== undefined) return `equal to ${JSON.stringify(equals)}`;
  return above === undefined ? `below ${below}` : `above ${above}`;
}

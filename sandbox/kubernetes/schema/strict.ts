import type { Json } from '../json.ts';
import type { Schema } from './fields.ts';

/** How many unknown fields are named. */
const unknownFieldsMax = 20;

/** The paths of the fields that a kind does not have, as the API server names them; none for a kind of which nothing is known. */
export function unknownFields(schema: Schema, kind: string, object: Json): string[] {
  const message = schema.messageOfKind(kind);
  const found: string[] = [];
  if (message !== undefined) look(schema, message, object, '', found);
  return found.slice(0, unknownFieldsMax);
}

function look(schema: Schema, name: string, value: Json | undefined, path: string, found: string[]): void {
  const fields = schema.fieldsInJson(name);
  if (fields.size === 0 || typeof value !== 'object' || value === null || Array.isArray(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    // What a strategic merge patch is told to do stands among the fields.
    if (key.startsWith('$') || (path === '' && (key === 'kind' || key === 'apiVersion'))) continue;
    const field = fields.get(key);
    const at = path === '' ? key : `${path}.${key}`;
    if (!field) found.push(at);
    else if (field.type.shape === 'list' && Array.isArray(inner)) {
      for (const [index, item] of inner.entries()) look(schema, field.type.name, item, `${at}[${index}]`, found);
    } else if (field.type.shape === 'map' && typeof inner === 'object' && inner !== null && !Array.isArray(inner)) {
      for (const [entry, item] of Object.entries(inner)) look(schema, field.type.name, item, `${at}.${entry}`, found);
    } else if (field.type.shape === 'single') look(schema, field.type.name, inner, at, found);
  }
}

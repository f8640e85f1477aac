import { useId, type ReactNode } from 'react';
import type { Json, JsonObject } from '../../domain/json.ts';
import { useWords } from '../language.ts';
import { Told, valueText } from './parts.tsx';

/** What the schema of a runbook says of an input, as far as runbooks use it; the server checks all of it. */
export interface Schema {
  type?: string;
  description?: string;
  enum?: Json[];
  default?: Json;
  anyOf?: Schema[];
}

interface FieldProps {
  name: string;
  schema: Schema;
  text: string;
  onText: (text: string) => void;
}

/** The field of an input: a choice where there are few values, a line for each element of a list, else a line of text. */
export function InputField({ name, schema, text, onText }: FieldProps): ReactNode {
  const words = useWords();
  const id = useId();
  const choices = schema.enum ?? (schema.type === 'boolean' ? [true, false] : undefined);
  return (
    <div className="field">
      <label htmlFor={id}>{name}</label>
      <p className="quiet" id={`${id}-says`}>
        <Told>{schema.description ?? ''}</Told>
        {schema.type === 'array' && ` ${words.oneALine}`}
        {schema.default !== undefined && ` ${words.ifLeftOut(valueText(schema.default))}`}
      </p>
      {choices ? (
        <select id={id} aria-describedby={`${id}-says`} value={text} onChange={({ target }) => onText(target.value)}>
          <option value="">–</option>
          {choices.map((choice) => (
            <option key={valueText(choice)} value={valueText(choice)}>
              {valueText(choice)}
            </option>
          ))}
        </select>
      ) : schema.type === 'array' ? (
        <textarea id={id} aria-describedby={`${id}-says`} rows={3} value={text} onChange={({ target }) => onText(target.value)} />
      ) : (
        <input id={id} aria-describedby={`${id}-says`} value={text} onChange={({ target }) => onText(target.value)} autoComplete="off" />
      )}
    </div>
  );
}

/** The inputs that were written, as values of their types; what was left empty is left out. */
export function valuesOf(schemas: Readonly<Record<string, Schema>>, texts: Readonly<Record<string, string>>): JsonObject {
  return Object.fromEntries(
    Object.entries(schemas).flatMap(([name, schema]) => {
      const text = (texts[name] ?? '').trim();
      return text === '' ? [] : [[name, valueOf(schema, text)]];
    }),
  );
}

function valueOf(schema: Schema, text: string): Json {
  const types = (schema.anyOf ?? [schema]).map(({ type }) => type);
  if (types.includes('array')) {
    return text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
  }
  if (types.includes('object')) return parsed(text);
  if (types.includes('boolean') && ['true', 'false'].includes(text)) return text === 'true';
  // A number where the type lets it be one, such as `2` of "a number or a share".
  if ((types.includes('integer') || types.includes('number')) && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  return text;
}

/** What is no JSON goes as it is, and the server says what is wrong with it. */
function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

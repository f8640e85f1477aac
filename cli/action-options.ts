import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Json, JsonObject } from '../domain/json.ts';

/** A value of an action's input that can be given as an option. */
interface Setting {
  name: string;
  option: Option;
}

/**
 * Options for everything that an action takes, made from the JSON Schema of its input: `nodesAtOnce` is `--nodes-at-once <value>`.
 * What is given as arguments is left out. Returns how the input is read from the options that were given.
 */
export function addActionOptions(command: Command, schema: JsonObject, leftOut: readonly string[]): (options: object) => JsonObject {
  const settings = Object.entries(schema.properties as Record<string, JsonObject>)
    .filter(([name]) => !leftOut.includes(name))
    .map(([name, property]): Setting => ({ name, option: optionOf(name, property) }));
  for (const { option } of settings) command.addOption(option);
  return (options) => {
    const given = options as Record<string, Json | undefined>;
    const values = settings.map(({ name, option }) => [name, given[option.attributeName()]] as const);
    return Object.fromEntries(values.filter((entry): entry is [string, Json] => entry[1] !== undefined));
  };
}

function optionOf(name: string, { description, ...property }: JsonObject): Option {
  const told = typeof description === 'string' ? description.replace(/\.$/, '') : '';
  const text = told.charAt(0).toLowerCase() + told.slice(1);
  const flag = `--${kebab(name)}`;
  const variants = [property, ...((property.anyOf ?? []) as JsonObject[])];
  if (property.type === 'boolean') return new Option(flag, text);
  const shown = property.default === undefined ? text : `${text} (default: ${JSON.stringify(property.default)})`;
  const option = new Option(`${flag} <${variants.some(({ type }) => type === 'integer') ? 'number' : 'value'}>`, shown);
  if (Array.isArray(property.enum)) return option.choices(property.enum as string[]);
  return option.argParser((value) => valueOf(value, variants));
}

function valueOf(text: string, variants: readonly JsonObject[]): number | string {
  const takes = (type: string): boolean => variants.some((variant) => variant.type === type);
  if (takes('integer') && /^-?\d+$/.test(text)) return Number(text);
  if (takes('string')) return text;
  throw new InvalidArgumentError('It takes a whole number.');
}

/** `deleteEmptyDirData` → `delete-emptydir-data`, as kubectl writes it. */
function kebab(name: string): string {
  return name.replace('EmptyDir', 'Emptydir').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

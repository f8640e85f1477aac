import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Json, JsonObject } from '../domain/json.ts';

const kubectlNames: Readonly<Record<string, string>> = { gracePeriodSeconds: 'grace-period', nodeDeadline: 'timeout' };

/** A value of an action's input that can be given as an option. */
interface Setting {
  name: string;
  option: Option;
}

/**
 * Options for everything that an action takes, made from the JSON Schema of its input: `nodesAtOnce` is `--nodes-at-once <value>`.
 * What is given as arguments is left out. Returns how the input is read from the options that were given.
 */
export function addActionOptions(
  command: Command,
  schema: JsonObject,
  { leftOut }: { leftOut: readonly string[] },
): (options: object) => JsonObject {
  const properties = Object.entries(schema.properties as Record<string, JsonObject>);
  // Descriptions speak of other settings by their names in a runbook.
  const inFlags = (text: string): string =>
    properties.reduce(
      (told, [name]) => told.replace(new RegExp(`\\b${name}\\b`, 'g'), /[A-Z]/.test(name) ? `--${flagOf(name)}` : name),
      text,
    );
  const settings = properties
    .filter(([name]) => !leftOut.includes(name))
    .map(([name, property]): Setting => ({ name, option: optionOf(flagOf(name), property, inFlags) }));
  for (const { option } of settings) command.addOption(option);
  return (options) => {
    const given = options as Record<string, Json | undefined>;
    const values = settings.map(({ name, option }) => [name, given[option.attributeName()]] as const);
    return Object.fromEntries(values.filter((entry): entry is [string, Json] => entry[1] !== undefined));
  };
}

function optionOf(flagName: string, { description, ...property }: JsonObject, inFlags: (text: string) => string): Option {
  const told = typeof description === 'string' ? inFlags(description.replace(/\.$/, '')) : '';
  const text = told.charAt(0).toLowerCase() + told.slice(1);
  const flag = `--${flagName}`;
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

/** A setting of an action as it is given on a command line: `force: true` is `--force`, `jobs: evict` is `--jobs evict`. */
export function optionOfSetting(name: string, value: string): string {
  return value === 'true' ? `--${flagOf(name)}` : `--${flagOf(name)} ${value}`;
}

/** `deleteEmptyDirData` → `delete-emptydir-data`: what means the same to kubectl has its name. */
function flagOf(name: string): string {
  return kubectlNames[name] ?? name.replace('EmptyDir', 'Emptydir').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

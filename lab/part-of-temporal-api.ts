// Temporal's client loads the definition of every message that Temporal has, which takes longer than all else that a command loads.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Plugin } from 'esbuild';

/** A part of protobuf.js's JSON: a package, a message, an enum or a service. */
export interface Definition {
  nested?: Record<string, Definition>;
  /** Of a message. */
  fields?: Record<string, { type: string }>;
  /** Of an enum. */
  values?: unknown;
  /** Of a service. */
  methods?: Record<string, { requestType: string; responseType: string }>;
}

const wholeStart = '.addJSON(';

/** Where messages and methods are named that a program of ours uses. */
const users = [
  { folder: 'node_modules/@temporalio/client/lib', ending: '.js' },
  { folder: 'node_modules/@temporalio/common/lib', ending: '.js' },
  ...['activities', 'cli', 'client', 'lab'].map((folder) => ({ folder, ending: '.ts' })),
];

/** In a program that holds Temporal's client, leaves out of the definitions what neither the client nor we can come to use. */
export function partOfTemporalApi(project: string): Plugin {
  return {
    name: 'part-of-temporal-api',
    setup(build) {
      build.onLoad({ filter: /@temporalio\/proto\/protos\/json-module\.js$/ }, async ({ path }) => {
        const module = await readFile(path, 'utf8');
        const [start, end] = [module.indexOf(wholeStart) + wholeStart.length, module.lastIndexOf(');')];
        const whole = JSON.parse(module.slice(start, end)) as Record<string, Definition>;
        const part = JSON.stringify(partOf(whole, await textsOfUsers(project)));
        // Text is parsed in less time than code.
        return { contents: `${module.slice(0, start)}JSON.parse(${JSON.stringify(part)})${module.slice(end)}` };
      });
    },
  };
}

/**
 * Of the definitions those whose full name is in one of the texts (of a package that is named: all in it), those of the methods that are
 * called in them as `…Service.method`, and what these are made of. Services stay, with these methods only.
 */
export function partOf(whole: Record<string, Definition>, texts: readonly string[]): Record<string, Definition> {
  const root: Definition = { nested: whole };
  const kept = new Set<Definition>();
  const text = texts.join('\n');
  const called = new Set([...text.matchAll(/Service\??\.(\w+)/g)].map(([, method]) => method!.toLowerCase()));
  for (const [name] of text.matchAll(/\b(?:temporal\.api|google|grpc)(?:\.\w+)+/g)) keepNamed(name.split('.'));
  keepCalled(root, []);
  return partIn(root).nested ?? {};

  /** What follows the name of a definition is a value or a method of it. */
  function keepNamed(name: readonly string[]): void {
    for (let length = name.length; length > 0; length -= 1) {
      const found = at(name.slice(0, length));
      if (!found) continue;
      if (!isPackage(found)) keep(name.slice(0, length));
      else if (length === name.length) for (const word of Object.keys(found.nested ?? {})) keep([...name, word]);
      return;
    }
  }

  /** With what it is made of, and the message that it is defined in. */
  function keep(name: readonly string[]): void {
    const definition = at(name);
    if (!definition || isPackage(definition) || kept.has(definition)) return;
    kept.add(definition);
    keep(name.slice(0, -1));
    for (const { type } of Object.values(definition.fields ?? {})) keepType(type, name);
  }

  /** Names are looked for from the inside to the outside; a type that is not found is one of the language, such as `string`. */
  function keepType(type: string, scope: readonly string[]): void {
    const names = scope.map((_, index) => [...scope.slice(0, scope.length - index), ...type.split('.')]);
    const found = [...names, type.split('.')].find((name) => at(name));
    if (found) keep(found);
  }

  function at(name: readonly string[]): Definition | undefined {
    return name.reduce<Definition | undefined>((outer, word) => outer?.nested?.[word], root);
  }

  function isCalled(method: string): boolean {
    return called.has(method.toLowerCase());
  }

  function keepCalled({ methods = {}, nested = {} }: Definition, name: readonly string[]): void {
    for (const [method, { requestType, responseType }] of Object.entries(methods)) {
      if (isCalled(method)) for (const type of [requestType, responseType]) keepType(type, name);
    }
    for (const [word, inner] of Object.entries(nested)) keepCalled(inner, [...name, word]);
  }

  /** Whatever holds something that is kept stays as its frame. */
  function partIn(definition: Definition): Definition {
    const parts = Object.entries(definition.nested ?? {}).map(([word, inner]) => [word, inner, partIn(inner)] as const);
    const wanted = parts.filter(([, inner, part]) => kept.has(inner) || inner.methods || part.nested);
    const { nested: _, methods, ...own } = definition;
    return {
      ...own,
      ...(methods && { methods: Object.fromEntries(Object.entries(methods).filter(([method]) => isCalled(method))) }),
      ...(wanted.length > 0 && { nested: Object.fromEntries(wanted.map(([word, , part]) => [word, part])) }),
    };
  }
}

function isPackage({ fields, values, methods }: Definition): boolean {
  return !fields && !values && !methods;
}

/** The texts by which it is seen what our programs use. */
export async function textsOfUsers(project: string): Promise<string[]> {
  const files = await Promise.all(
    users.map(async ({ folder, ending }) => {
      const entries = await readdir(join(project, folder), { recursive: true, withFileTypes: true });
      return entries.filter((entry) => entry.isFile() && entry.name.endsWith(ending)).map(({ parentPath, name }) => join(parentPath, name));
    }),
  );
  return Promise.all(files.flat().map((file) => readFile(file, 'utf8')));
}

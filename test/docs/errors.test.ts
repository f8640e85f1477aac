import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { errorKinds, errorsToldInPlace, type Consequence } from '../../domain/errors.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const folders = ['activities', 'api', 'cli', 'client', 'domain', 'runbooks', 'worker', 'workflows'];

/** Every code that Holdpoint reports, with what follows from it. */
const registry = new Map<string, Consequence>([
  ...Object.entries(errorKinds).map(([code, { consequence }]): [string, Consequence] => [code, consequence]),
  ...Object.entries(errorsToldInPlace),
]);

/** The sections of docs/errors.md: code, and the text below it. */
function sections(): Map<string, string> {
  const [, ...parts] = readFileSync(join(project, 'docs/errors.md'), 'utf8').split(/^### /m);
  return new Map(parts.map((part) => [/^`([a-z-]+)`\n/.exec(part)?.[1] ?? part.slice(0, 40), part.replace(/^## [^]*/m, '')]));
}

/** The sources but the registry itself. */
function sources(): string {
  const files = folders.flatMap((folder) =>
    readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
  return files
    .filter((name) => name !== join('domain', 'errors.ts'))
    .map((name) => readFileSync(join(project, name), 'utf8'))
    .join('\n');
}

test('docs/errors.md has a section for every code that is reported, and for no other', () => {
  expect([...sections().keys()].sort()).toEqual([...registry.keys()].sort());
});

describe('a section says what the code means, what happens and what to do', () => {
  test.each([...registry])('%s', (code, consequence) => {
    const text = sections().get(code) ?? '';
    expect(text).toMatch(/^- Means: \S.*\.$/m);
    expect(/^- Happens: \*\*(\w+)\*\*$/m.exec(text)?.[1]).toBe(consequence);
    expect(text).toMatch(/^- Do: \S.*\.$/m);
  });
});

test('every code of the registry is reported somewhere', () => {
  const text = sources();
  expect([...registry.keys()].filter((code) => !text.includes(`'${code}'`))).toEqual([]);
});

test('every code that the sources report is in the registry', () => {
  const reported = sources().matchAll(/(?:\bcode: |refused\(|(?:Refused|Evidence|Holdpoint)Error\(\s*|^ {2}\| )'([a-z]+(?:-[a-z]+)*)'/gm);
  const phasesAndTheLike = new Set(['planning', 'running', 'holding', 'paused', 'stuck', 'done', 'rejected', 'refused']);
  const codes = new Set([...reported].map(([, code]) => code ?? '').filter((code) => !phasesAndTheLike.has(code)));
  expect(codes.size).toBeGreaterThan(50);
  expect([...codes].filter((code) => !registry.has(code))).toEqual([]);
});

test('every text of the registry is made somewhere: what is told in place needs none', () => {
  const made = new Set(
    [...sources().matchAll(/(?:HoldpointError|trying)\(\s*(?:\w+ \? )?'([a-z-]+)'(?: : '([a-z-]+)')?/g)].flatMap(([, ...codes]) => codes),
  );
  expect(Object.keys(errorKinds).filter((code) => !made.has(code))).toEqual([]);
});

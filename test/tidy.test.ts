import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { retiredWordsIn } from './support/retired-words.ts';
import { offencesIn, replayedFiles, sourceFolders } from './support/source-law.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
/** In a further work tree of git, `.git` is a file. */
const notOurs = ['node_modules', 'dist', 'coverage', '.git'];

function projectFiles(folder = project): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (notOurs.includes(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      for (const [name, text] of projectFiles(path)) files.set(name, text);
    } else if (entry.isFile() && !entry.name.endsWith('.log')) {
      const text = readFileSync(path, 'utf8');
      if (!text.includes('\0')) files.set(relative(project, path).split(sep).join('/'), text);
    }
  }
  return files;
}

test('the project keeps its own law', () => {
  const files = projectFiles();
  expect(files.has('domain/plan/plan.ts')).toBe(true);
  const offences = offencesIn(files);
  if (offences.length > 0) throw new Error(`${offences.length} offences:\n${offences.join('\n')}`);
});

/** Checks small files that import each other through a fresh entry point, so that none of them is dead. */
function check(files: Record<string, string>): string[] {
  const paths = Object.keys(files).filter((path) => sourceFolders.includes(path.split('/')[0] ?? ''));
  const bench = paths.map((path) => `import type {} from '../${path}';`).join('\n');
  return offencesIn(new Map([...Object.entries(files), ['bench/all.ts', bench]]));
}

describe('imports', () => {
  test.each([
    ['domain', '../activities/x.ts', 'domain must not import activities/x.ts, only domain'],
    ['domain', 'zod', 'domain must not import zod, only canonicalize, @noble/hashes, @noble/curves, @noble/ed25519, @marcbachmann/cel-js'],
    ['domain', 'node:fs', 'domain must not import node:fs'],
    ['domain', 'canonicalize-other', 'domain must not import canonicalize-other'],
    ['runbooks', '../workflows/messages.ts', 'runbooks must not import workflows/messages.ts'],
    ['runbooks', 'node:http', 'runbooks must not import node:http'],
    ['workflows', '../runbooks/x.ts', 'workflows must not import runbooks/x.ts'],
    ['workflows', '@temporalio/activity', 'workflows must not import @temporalio/activity'],
    ['activities', '../workflows/messages.ts', 'activities must not import workflows/messages.ts'],
    ['activities', '@temporalio/client', 'only client talks to Temporal through @temporalio/client'],
    ['worker', '../workflows/index.ts', 'worker must not import workflows/index.ts'],
    ['worker', '../client/x.ts', 'worker must not import client/x.ts'],
    ['client', '../workflows/index.ts', 'client must not import workflows/index.ts'],
    ['client', '../domain-other/x.ts', 'client must not import domain-other/x.ts'],

    ['api', '../activities/x.ts', 'api must not import activities/x.ts'],
    ['api', '@temporalio/client', 'only client talks to Temporal'],
    ['api', '../cli/terminal.ts', 'api must not import cli/terminal.ts'],
    ['cli', '../sandbox/server.ts', 'cli must not import sandbox/server.ts'],
    ['cli', '@temporalio/client', 'only client talks to Temporal'],
    ['sandbox', '../domain/plan/plan.ts', 'sandbox must not import domain/plan/plan.ts, only sandbox'],
    ['lab', '../domain/plan/plan.ts', 'lab must not import domain/plan/plan.ts, only lab'],
    ['lab', '../test/support/temporal.ts', 'lab must not import test/support/temporal.ts'],
  ])('%s may not import %s', (folder, specifier, sentence) => {
    const path = `${folder}/bad.ts`;
    const expected = [expect.stringContaining(`${path}:2: ${sentence}`)];
    expect(check({ [path]: `\nimport { x } from '${specifier}';` })).toEqual(expected);
    expect(check({ [path]: `\nimport '${specifier}';` })).toEqual(expected);
    expect(check({ [path]: `\nexport { x } from '${specifier}';` })).toEqual(expected);
    expect(check({ [path]: `\nexport const x = await import('${specifier}');` })).toEqual(expected);
    expect(check({ [path]: `\nimport { type x } from '${specifier}';` })).toEqual(expected);
    expect(check({ [path]: `\nimport type { x } from '${specifier}';\nexport type { y } from '${specifier}';` })).toEqual([]);
  });

  test.each([
    ['domain', './json.ts'],
    ['domain', '@noble/hashes/sha2.js'],
    ['domain', 'canonicalize'],
    ['runbooks', '../domain/json.ts'],
    ['runbooks', 'node:fs/promises'],
    ['workflows', '../domain/json.ts'],
    ['workflows', '@temporalio/workflow'],
    ['activities', '../runbooks/x.ts'],
    ['activities/kubernetes', '../../domain/json.ts'],
    ['worker', '../workflows/messages.ts'],
    ['client', '@temporalio/client'],
    ['client', '../workflows/messages.ts'],
    ['cli', '../lab/temporal.ts'],
    ['cli', '../api/compose.ts'],
    ['api', '../client/holdpoint.ts'],
    ['lab', '@temporalio/client'],
    ['sandbox/eks', '../clock.ts'],
    ['bench', '../workflows/index.ts'],
    ['test', '../workflows/index.ts'],
  ])('%s may import %s', (folder, specifier) => {
    expect(check({ [`${folder}/good.ts`]: `import { x } from '${specifier}';` })).toEqual([]);
  });
});

describe('the same result each time', () => {
  test.each(['Date.now()', 'new Date(0)', 'Math.random()', 'process.env.HOME', 'setTimeout(f, 1)', '{ Date }'])(
    'domain and workflows must not use %s, other folders may',
    (expression) => {
      const text = `export const x = ${expression};`;
      expect(check({ 'domain/bad.ts': text, 'workflows/bad.ts': text, 'activities/good.ts': text })).toEqual([
        expect.stringContaining('domain/bad.ts:1: '),
        expect.stringContaining('workflows/bad.ts:1: '),
      ]);
    },
  );

  test.each(['let x = 1;', 'export const x = new Map<string, number>();', 'const x: Set<string> = new Set();'])(
    'modules of domain and workflows must not keep state as in %s, others may',
    (text) => {
      const offence = 'a module keeps no state: all runs of a worker share it';
      expect(check({ 'domain/bad.ts': text, 'workflows/bad.ts': text, 'activities/good.ts': text })).toEqual([
        `domain/bad.ts:1: ${offence}`,
        `workflows/bad.ts:1: ${offence}`,
      ]);
      expect(check({ 'workflows/good.ts': `export function f() {\n  ${text.replace('export ', '')}\n}` })).toEqual([]);
    },
  );

  test('the names may be spoken of in comments, strings and properties', () => {
    const text = "// Date, Math.random\nexport const x = 'process.env Date';\nexport const y = { process: plan.setTimeout };";
    expect(check({ 'domain/good.ts': `${text}\nexport interface Step { process: string }` })).toEqual([]);
  });
});

describe('length', () => {
  const body = (lines: number): string => `{\n${'  f();\n'.repeat(lines - 2)}}`;

  test.each([
    ['function', (lines: number) => `function f() ${body(lines)}`],
    ['arrow function', (lines: number) => `const f = () => ${body(lines)};`],
    ['method', (lines: number) => `class A { m() ${body(lines)} }`],
    ['constructor', (lines: number) => `class A { constructor() ${body(lines)} }`],
  ])('a %s may have 70 lines, not 71; tests may', (_kind, text) => {
    expect(check({ 'lab/x.ts': text(70) })).toEqual([]);
    expect(check({ 'lab/x.ts': text(71) })).toEqual(['lab/x.ts:1: the function has 71 lines, 70 are allowed']);
    expect(check({ 'test/x.test.ts': text(71) })).toEqual([]);
  });

  test('a line of code may have 140 characters, not 141; prose may', () => {
    const line = `// ${'x'.repeat(137)}`;
    expect(check({ 'lab/x.ts': line, 'test/y.ts': line, 'z.md': `${line}x` })).toEqual([]);
    expect(check({ 'lab/x.ts': `\n${line}x`, 'test/y.mjs': `${line}x` })).toEqual([
      'lab/x.ts:2: the line has 141 characters, 140 are allowed',
      'test/y.mjs:1: the line has 141 characters, 140 are allowed',
    ]);
  });
});

test('a file that only tests or itself mention is dead; entry points and files named by path are not', () => {
  const files = {
    'lab/used.ts': '',
    'lab/dead.ts': "import './dead.ts';",
    'lab/tested.ts': '',
    'workflows/named.ts': '',
    'cli/main.ts': "import type { x } from '../lab/used.ts'; const path = new URL('../workflows/named.ts', import.meta.url);",
    'bench/start.ts': '',
    'test/lab/tested.test.ts': "import { x } from '../../lab/tested.ts';",
  };
  expect(offencesIn(new Map(Object.entries(files)))).toEqual([
    'lab/dead.ts:1: nothing imports this file; remove it',
    'lab/tested.ts:1: nothing imports this file; remove it',
  ]);
});

test.each([
  '\nexport default 1;',
  '\nexport default function f() {}',
  '\nexport default class A {}',
  'const x = 1;\nexport { x as default };',
])('source folders have no default export, tests may: %j', (text) => {
  expect(check({ 'runbooks/x.ts': text })).toEqual(['runbooks/x.ts:2: default export; give it a name']);
  expect(check({ 'test/x.ts': text })).toEqual([]);
});

test.each([
  ['terminal.surroundings.stdout.write(text);', 'stdout'],
  ['const { stderr } = surroundings;', 'stderr'],
  ['console.log(text);', 'console'],
  ["import { createLogUpdate } from 'log-update';", 'log-update'],
  ["import pc from 'picocolors';", 'picocolors'],
  ['const red = `\\u001b[31m${text}`;', 'an escape code'],
])('the command line writes through its Terminal only, not by %s', (text, what) => {
  const sentence = `${what}; write through the Terminal, which makes everything visible`;
  expect(check({ 'cli/bad.ts': `\n${text}` })).toEqual([`cli/bad.ts:2: ${sentence}`]);
  expect(check({ 'cli/terminal.ts': text.replace('console', 'output'), 'lab/good.ts': text })).toEqual([]);
});

test('exported functions of domain carry a doc comment', () => {
  const documented = '/** Says f. */\nexport function f() {}\nfunction g() {}\nexport const h = 1;\n';
  const text = `${documented}// No.\nexport function i() {}\nexport const j = () => 1;`;
  expect(check({ 'domain/x.ts': text, 'lab/x.ts': text })).toEqual([
    'domain/x.ts:6: an exported function of domain without a doc comment',
    'domain/x.ts:7: an exported function of domain without a doc comment',
  ]);
});

test('no file names a path of the machine it was written on', () => {
  const homes = ['root', 'work'].map((name) => `/${name}/holdpoint`);
  const bad = homes.flatMap((home) => [`cd ${home}`, `"${home}"`, `file://${home}`]);
  const good = ['https://example.org/work/holdpoint', './work/x', '/workspace/x', '~/work/x', '${HOME}/work/x'];
  expect(check({ 'README.md': good.join('\n') })).toEqual([]);
  const sentence = 'names a path of the machine it was written on';
  expect(check({ '.ci/run': bad.join('\n') })).toEqual(bad.map((_, line) => `.ci/run:${line + 1}: ${sentence}`));
});

test('what workflow code reaches is replayed, and must not bring packages that a replay would hang on', () => {
  const files = {
    'workflows/index.ts': "import { x } from '../domain/x.ts'; import type { y } from '../domain/y.ts';",
    'domain/x.ts': "import { parse } from '@marcbachmann/cel-js';\nexport const x = parse;",
    'domain/y.ts': "import { parse } from '@marcbachmann/cel-js';\nexport const y = parse;",
  };
  expect(check(files)).toEqual(['domain/x.ts:1: workflow code reaches this file, and must not be replayed with @marcbachmann/cel-js']);
  expect(replayedFiles(projectFiles())).toEqual(expect.arrayContaining(['workflows/runbook.ts', 'domain/run/intent.ts']));
});

test('nothing uses a word that was given up, but the pages that name it', () => {
  const allowed = ['test/support/retired-words.ts', 'docs/glossary.md', 'test/tidy.test.ts'];
  const found = [...projectFiles()].flatMap(([path, text]) => {
    if (allowed.includes(path) || path.startsWith('test/replay/') || !/\.(ts|mjs|md|yaml|txt)$/.test(path)) return [];
    return retiredWordsIn(text).map(({ line, sentence }) => `${path}:${line}: ${sentence}`);
  });
  expect(found).toEqual([]);
  expect(retiredWordsIn('the way back\nas things stand')).toHaveLength(2);
});

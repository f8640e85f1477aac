import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';

const project = fileURLToPath(new URL('../..', import.meta.url));
const crossCutting = ['test/every-action', 'test/engine-shapes', 'test/every-runbook'];

interface Guarantee {
  promise: string;
  keepers: string[];
  file: string;
  testName: string;
}

/** The rows of docs/guarantees.md. */
function guarantees(): Guarantee[] {
  const lines = readFileSync(join(project, 'docs/guarantees.md'), 'utf8').split('\n');
  const rows = lines.filter((line) => line.startsWith('| ') && !line.startsWith('| Promise |'));
  return rows.map((line) => {
    const [, promise = '', kept = '', shown = ''] = line.split(' | ').length === 3 ? ['', ...line.slice(2, -2).split(' | ')] : [];
    const [, file = '', testName = ''] = /^`([^`]+)`: (.+)$/.exec(shown) ?? [];
    return { promise: promise || line, keepers: [...kept.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path), file, testName };
  });
}

const all = guarantees();

function foldersIn(folder: string): string[] {
  const entries = readdirSync(join(project, folder), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => `${folder}/${entry.name}`);
}

describe('a guarantee names what keeps it, and a test that there is', () => {
  test.each(all)('$promise', ({ keepers, file, testName }) => {
    expect(keepers).not.toEqual([]);
    expect(keepers.filter((path) => !existsSync(join(project, path)))).toEqual([]);
    expect(existsSync(join(project, file))).toBe(true);
    expect(readFileSync(join(project, file), 'utf8')).toContain(testName);
    expect(testName.length).toBeGreaterThan(10);
  });
});

test('every subject of domain and every system of activities keeps a promise', () => {
  const keepers = all.flatMap((guarantee) => guarantee.keepers);
  const folders = [...foldersIn('domain'), ...foldersIn('activities')];
  expect(folders.filter((folder) => !keepers.some((path) => path.startsWith(`${folder}/`)))).toEqual([]);
});

test('every cross-cutting test shows one', () => {
  const files = crossCutting.flatMap((folder) =>
    readdirSync(join(project, folder))
      .filter((name) => /\.(test|long)\.ts$/.test(name))
      .map((name) => `${folder}/${name}`),
  );
  expect(files.length).toBeGreaterThan(0);
  expect(files.filter((file) => !all.some((guarantee) => guarantee.file === file))).toEqual([]);
});

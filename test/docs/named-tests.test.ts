import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const project = fileURLToPath(new URL('../..', import.meta.url));

/** Pages that name tests, without their endings: `test/workflows/hold`, `test/lab-kubernetes/drain.lab`, or a folder. */
const pages = ['README.md', 'CHANGELOG.md', ...readdirSync(join(project, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
);

function isThere(path: string): boolean {
  try {
    const name = basename(path);
    const matches = (entry: string): boolean => entry === name || entry.startsWith(`${name}.`) || name.includes('*');
    return readdirSync(join(project, dirname(path))).some(matches);
  } catch {
    return false;
  }
}

test.each(pages)('every test that %s names is there', (page) => {
  const text = readFileSync(join(project, page), 'utf8');
  const named = [...text.matchAll(/`(test\/[\w/.*-]+?)\/?`/g)].map(([, path = '']) => path);
  expect(named.filter((path) => !isThere(path))).toEqual([]);
});

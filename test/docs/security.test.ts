import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const project = fileURLToPath(new URL('../..', import.meta.url));
/** The attacks of the reviews, by their numbers. */
const attacks = Array.from({ length: 21 }, (_, index) => `S${index + 1}`);

/** The rows of the last table of docs/security.md. */
const rows = readFileSync(join(project, 'docs/security.md'), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, attack = '', file = '', name = ''] = /^\| (.+) \| `(test\/[^`]+)`: (.+) \|$/.exec(line) ?? [];
    return file === '' ? [] : [{ attack, file, name }];
  });

test.each(rows)('$attack: the test is there', ({ file, name }) => {
  expect(existsSync(join(project, file))).toBe(true);
  expect(name.length).toBeGreaterThan(15);
  expect(readFileSync(join(project, file), 'utf8')).toContain(name);
});

test('every attack of the reviews has a test, and every file of attacks is named', () => {
  expect(attacks.filter((number) => !rows.some(({ attack }) => attack.startsWith(`${number}: `)))).toEqual([]);
  const files = readdirSync(join(project, 'test/attacks')).filter((name) => name.endsWith('.test.ts'));
  expect(files.filter((name) => !rows.some(({ file }) => file === `test/attacks/${name}`))).toEqual([]);
});

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { guards } from '../attacks/guards.ts';

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
  const files = readdirSync(join(project, 'test/attacks')).filter((name) => /\.(test|long)\.ts$/.test(name));
  expect(files.filter((name) => !rows.some(({ file }) => file === `test/attacks/${name}`))).toEqual([]);
});

test.each(guards)('$attack: what stands against it is where it is taken away', ({ file, from, test: tested, name }) => {
  expect(readFileSync(join(project, file), 'utf8').split(from)).toHaveLength(2);
  expect(readFileSync(join(project, tested), 'utf8')).toContain(name);
});

test('of every attack of the reviews a guard is taken away', () => {
  expect(attacks.filter((number) => !guards.some(({ attack }) => attack.startsWith(`${number}: `)))).toEqual([]);
});

interface HistoryEvent {
  [attributes: string]: string | ({ activityType?: { name: string } } & Record<string, unknown>);
}

test('every event of real histories that has contents is in the table of what stands in the clear', () => {
  const folder = join(project, 'test/replay/histories');
  const histories = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as { events: HistoryEvent[] });
  const withContents = histories.flatMap(({ events }) =>
    events.flatMap((event) =>
      Object.entries(event).flatMap(([name, attributes]) => {
        if (typeof attributes === 'string' || !JSON.stringify(attributes).includes('"metadata":{')) return [];
        const kind = name.replace(/EventAttributes$/, '').replace(/^./, (letter) => letter.toUpperCase());
        return [kind, ...(attributes.activityType ? [attributes.activityType.name] : [])];
      }),
    ),
  );
  const text = readFileSync(join(project, 'docs/security.md'), 'utf8');
  expect(withContents.length).toBeGreaterThan(100);
  expect([...new Set(withContents)].filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
});

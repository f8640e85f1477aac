import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { searchAttributes } from '../../domain/run/names.ts';

test('the page on Temporal names every search attribute that a namespace of Temporal Cloud must have', async () => {
  const page = await readFile('docs/temporal.md', 'utf8');
  expect(Object.values(searchAttributes).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});

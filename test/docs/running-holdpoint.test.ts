import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { loadConfiguration } from '../../runbooks/configuration/configuration.ts';

test('the holdpoint.yaml of the page has no problem, and the policies that the shipped runbooks ask for', async () => {
  const page = await readFile('docs/running-holdpoint.md', 'utf8');
  const [, text = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  const { configuration, problems } = loadConfiguration(text, 'holdpoint.yaml');
  expect(problems).toEqual([]);
  expect(Object.keys(configuration?.policies ?? {})).toEqual(['production-change', 'data-restore']);
});

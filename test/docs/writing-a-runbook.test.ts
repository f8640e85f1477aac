import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { actionNames, findAction } from '../../runbooks/actions.ts';
import { compileRunbook } from '../../runbooks/compile.ts';
import { parseInputArguments } from '../../runbooks/inputs.ts';

async function page(): Promise<string> {
  return readFile('docs/writing-a-runbook.md', 'utf8');
}

test('the runbook of the page compiles without a problem, and takes its list of nodes as the page says', async () => {
  const [, text = ''] = /```yaml\n([\s\S]*?)```/.exec(await page()) ?? [];
  const { runbook, problems } = compileRunbook(text, 'page.yaml');
  expect(problems).toEqual([]);
  expect(parseInputArguments(['nodes=["a","b"]'], runbook?.inputs ?? {})).toEqual({ given: { nodes: ['a', 'b'] }, problems: [] });
});

test('the table of the page names every action with every input and output', async () => {
  const text = await page();
  for (const name of actionNames()) {
    const row = text.split('\n').find((line) => line.startsWith(`| \`${name}\` |`)) ?? '';
    const declaration = findAction(name);
    const named = [...Object.keys(declaration?.input.shape ?? {}), ...Object.keys(declaration?.outputs ?? {})];
    const missing = named.filter((word) => !new RegExp(`\`${word}\\??\``).test(row));
    expect({ name, missing }).toEqual({ name, missing: [] });
  }
});

import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { actionNames, findAction } from '../../runbooks/actions/index.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { concurrencyMax, nestingMax, stepsMax } from '../../runbooks/grammar/runbook.ts';
import { parseInputArguments } from '../../runbooks/compiler/inputs.ts';
import { readRunbook } from '../../runbooks/library.ts';

async function page(): Promise<string> {
  return readFile('docs/writing-a-runbook.md', 'utf8');
}

/** The runbook of the page, and its other steps in a runbook with the same inputs. */
async function runbooksOfPage(): Promise<{ whole: string; others: string[] }> {
  const [whole = '', ...steps] = [...(await page()).matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text);
  return { whole, others: steps.map((text) => whole.replace(/^steps:\n[\s\S]*/m, text)) };
}

test('every runbook of the page compiles without a problem, those that carry out others, too', async () => {
  const { whole, others } = await runbooksOfPage();
  const nested = {
    './drain-for-repair.yaml': { file: 'drain-for-repair.yaml', text: whole },
    'node-group-update': readRunbook('node-group-update'),
  };
  expect(others).toHaveLength(2);
  for (const text of [whole, ...others]) {
    const { runbook, problems } = compileRunbook(text, 'page.yaml', undefined, nested);
    expect({ problems, name: runbook?.name }).toEqual({ problems: [], name: 'drain-for-repair' });
  }
});

test('lists and objects are given as JSON, as the page says', async () => {
  const { runbook } = compileRunbook((await runbooksOfPage()).whole, 'page.yaml');
  expect(parseInputArguments(['nodes=["a","b"]'], runbook?.inputs ?? {})).toEqual({ given: { nodes: ['a', 'b'] }, problems: [] });
});

test('the limits that the page names are those of the language', async () => {
  const text = (await page()).replace(/\s+/g, ' ');
  expect(text).toContain(`${nestingMax} deep at most`);
  expect(text).toContain(`all steps together are ${stepsMax} at most`);
  expect(text).toContain(`at the same time, 1 to ${concurrencyMax}`);
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

test('the runbook that keeps to a window compiles as it is shown', async () => {
  const text = [...(await readFile('docs/windows-and-schedules.md', 'utf8')).matchAll(/```yaml\n([\s\S]*?)```/g)].at(-1)?.[1] ?? '';
  const { runbook, problems } = compileRunbook(text, 'page.yaml');
  expect(problems).toEqual([]);
  expect(runbook).toMatchObject({ window: 'weekend', steps: [{}, { atClose: 'page' }] });
});

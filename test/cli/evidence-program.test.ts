import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createHostilePage, type HostilePage } from '../support/hostile-page.ts';
import { openPage } from '../support/page-in-vm.ts';
import { startProgram } from '../support/start-program.ts';

let made: HostilePage;
beforeAll(async () => {
  made = await createHostilePage();
});
afterAll(() => made.remove());

test('the program verifies and shows a record, makes its page, and finds that its end was cut off', async () => {
  const { record, configuration, directory, run } = made;
  const page = path.join(directory, 'program.html');
  const [verified, shown, paged] = await Promise.all([
    startProgram('cli/main', ['evidence', 'verify', record, '--config', configuration]),
    startProgram('cli/main', ['evidence', 'show', record, '--config', configuration]),
    startProgram('cli/main', ['evidence', 'show', record, '--config', configuration, '--html', '--out', page, '--json']),
  ]);
  expect(verified).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining(`✓ ${run}: 10 entries, 2 kept beside them`) });
  expect(verified.stdout).toMatch(/Proven:\n[^]*\(blue\)[^]*second place has 3 heads[^]*Not proven:\n/);
  expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining('bob signed approve at sign-drain') });
  expect(shown.stdout).toContain('onerror=alert(1)><!-- \\u2028 \\u202e');
  expect(paged.code).toBe(0);
  expect(JSON.parse(paged.stdout)).toMatchObject({ report: { ok: true, anchors: 3 }, page });
  expect((await openPage(await readFile(page, 'utf8'))).textContent).toContain(`✓ ${run}`);

  await rm(path.join(record, '000000010.json'));
  const cut = await startProgram('cli/main', ['evidence', 'verify', record, '--config', configuration]);
  expect(cut).toMatchObject({ code: 1, stdout: expect.stringContaining('The record has no entry 10, but one was anchored') });
});

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createHostilePage, type HostilePage } from '../support/hostile-page.ts';
import { partsOf } from '../support/page-in-vm.ts';

/** Where Debian has it; HOLDPOINT_TEST_CHROMIUM names another one. */
const chromium = process.env.HOLDPOINT_TEST_CHROMIUM ?? '/usr/bin/chromium';
const testInBrowser = existsSync(chromium) ? test : test.skip;
const browserLimitMs = 60_000;
const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

let made: HostilePage;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-browser-'));
  made = await createHostilePage();
});
afterAll(async () => {
  await made.remove();
  await rm(directory, { recursive: true, force: true });
});

/** What stands in the page after its script has run. */
async function shownBy(html: string): Promise<{ dom: string; said: string }> {
  const file = path.join(directory, 'page.html');
  await writeFile(file, html);
  const profile = await mkdtemp(path.join(directory, 'profile-'));
  const log = ['--enable-logging=stderr', '--v=0'];
  const args = [...flags, ...log, `--user-data-dir=${profile}`, '--virtual-time-budget=20000', '--dump-dom', `file://${file}`];
  const { stdout, stderr } = await promisify(execFile)(chromium, args, { timeout: browserLimitMs, maxBuffer: 16 * 1024 * 1024 });
  return { dom: stdout.slice(stdout.indexOf('<main'), stdout.indexOf('</main>')), said: stderr };
}

testInBrowser('a browser verifies the page of a record, finds an edit of one byte, and takes no name for HTML', async () => {
  const { dom, said } = await shownBy(made.html);
  expect(dom).toContain(`✓ ${made.run}: 10 entries, 2 signatures`);
  expect(dom).toContain('Verified by this page just now');
  expect(dom).toContain('&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&lt;!-- \\u2028 \\u202e');
  expect(dom).not.toContain('<img');
  // Nothing of the page was kept from running by its own policy.
  expect(said).not.toMatch(/Content.Security.Policy|Trusted/i);

  const { data } = partsOf(made.html);
  const edited = await shownBy(made.html.replace(data, () => data.replace('Drain?', 'Drain!')));
  expect(edited.dom).toContain('BROKEN');
  expect(edited.dom).not.toContain('✓ r-');

  // Somebody puts a script of theirs into the page: the policy of the page does not let it run.
  const foreign = await shownBy(
    made.html.replace('</main>', '</main><script>document.title = "foreign"; document.getElementById("page").remove()</script>'),
  );
  expect(foreign.dom).toContain(`✓ ${made.run}`);
  expect(foreign.said).toMatch(/Content.Security.Policy/i);
});

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { startBrowserSite, type BrowserSite, type Visitor } from './site.ts';

let site: BrowserSite;
beforeAll(async () => {
  site = await startBrowserSite();
});
afterAll(async () => {
  // Undefined where it has not started, and is stopped by then.
  await (site as BrowserSite | undefined)?.stop();
});

/** Makes a passkey on the page "me", and has it added to holdpoint.yaml. */
async function enrol({ page }: Visitor, person: 'ada' | 'grace' | 'dana'): Promise<void> {
  await page.goto(`${site.origin}/me`);
  await page.getByRole('button', { name: /Make a passkey|패스키 만들기/ }).click();
  const line = (await page.locator('pre').textContent()) ?? '';
  expect(line).toMatch(/^- \{ type: passkey, key: "passkey:(EdDSA|ES256):device-bound:localhost:/);
  site.addKey(person, line);
}

async function heldPage(page: Page, run: string): Promise<void> {
  await page.goto(`${site.origin}/runs/${run}/holds/sign/1`);
  await page.locator('.fresh.live').waitFor();
}

test('somebody signs in, makes a passkey, finds what waits for them, and approves it', async () => {
  const ada = await site.signedIn('ada');
  const { page } = ada;
  await enrol(ada, 'ada');
  const { run, target } = await site.engine.held('two');
  await page.goto(`${site.origin}/`);
  const link = page.locator(`a[href="/runs/${run}/holds/sign/1"]`);
  await link.click();
  await page.locator('.fresh.live').waitFor();
  const [text] = await page.locator('.consequence').allInnerTexts();
  expect(text).toContain('After yours 1 more signature is missing');
  expect(text).toContain('goes on to its end');
  await page.getByRole('textbox').fill('읽고 확인했습니다');
  await page.getByRole('button', { name: 'Approve with passkey' }).click();
  await page.locator('.stages').getByText('1 more signature(s) are missing.').waitFor();
  await site.engine.decide(target, 'grace');
  await site.engine.until(target, 'done');
  await site.engine.verifiedKinds(run);
  const accepted = (await site.engine.entries(run)).find(({ kind, body }) => kind === 'decision.accepted' && body.person === 'ada');
  expect(accepted?.body).toMatchObject({ reason: '읽고 확인했습니다', publicKey: expect.stringMatching(/^passkey:/) });
  expect(ada.complaints).toEqual([]);
  await ada.close();
});

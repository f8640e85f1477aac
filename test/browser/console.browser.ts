import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { challengeOf, readPasskey, signedByPasskey } from '../../domain/approval/passkey.ts';
import { bytesOfStatement, statementFor } from '../../domain/approval/statement.ts';
import { HoldpointError } from '../../domain/errors.ts';
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
  const line = await site.makePasskey(page);
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

test('a cancelled prompt signs nothing and keeps the reason; the keyboard alone is enough to reject then', async () => {
  const grace = await site.signedIn('grace');
  const { page } = grace;
  await enrol(grace, 'grace');
  const { run, target } = await site.engine.held('one');
  await heldPage(page, run);
  await grace.setVerified(false);
  await page.getByRole('textbox').focus();
  await page.keyboard.type('not tonight');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByText('Nothing was signed').waitFor();
  expect(await page.getByRole('textbox').inputValue()).toBe('not tonight');
  expect((await site.engine.until(target, 'holding')).refusedAttempts).toBe(0);
  await grace.setVerified(true);
  await page.getByRole('button', { name: 'Reject with passkey' }).focus();
  await page.keyboard.press('Enter');
  await page.locator('.stages').getByText('The hold is rejected.').waitFor();
  await site.engine.until(target, 'rejected');
  const decided = (await site.engine.entries(run)).filter(({ kind }) => kind.startsWith('decision.') || kind === 'attempt.refused');
  expect(decided.map(({ body }) => [body.person, body.decision, body.reason])).toEqual([['grace', 'reject', 'not tonight']]);
  await grace.close();
});

test('a plan that changes while the page is open locks it, and leads to the request that counts', async () => {
  const ada = await site.signedIn('ada');
  const { page } = ada;
  await enrol(ada, 'ada');
  const { run, target, site: cluster } = await site.engine.held('one');
  await heldPage(page, run);
  expect(await page.getByRole('button', { name: 'Approve with passkey' }).isEnabled()).toBe(true);
  cluster.generation = 2;
  await site.engine.decide(target, 'grace');
  await page.getByText('The signatures are requested anew.').waitFor();
  // Nobody signs what counts no more, and the page says why.
  const button = page.getByRole('button', { name: 'Approve with passkey' });
  expect((await button.count()) === 0 || (await button.isDisabled())).toBe(true);
  await page.getByRole('link', { name: 'Go to the request that counts' }).click();
  await page.waitForURL(`${site.origin}/runs/${run}/holds/sign/2`);
  await page.getByText('What has changed since the plan was signed').waitFor();
  await page.getByRole('button', { name: 'Approve with passkey' }).click();
  await page.getByText('All signatures are there: the run goes on.').waitFor();
  await site.engine.until(target, 'done');
  expect(ada.complaints).toEqual([]);
  await ada.close();
});

test('a page that hears nothing for a while says so and locks its buttons', async () => {
  const ada = await site.signedIn('ada');
  const { page } = ada;
  await enrol(ada, 'ada');
  const { run } = await site.engine.held('one');
  await page.clock.install();
  await heldPage(page, run);
  const button = page.getByRole('button', { name: 'Approve with passkey' });
  expect(await button.isEnabled()).toBe(true);
  await page.clock.runFor(40_000);
  await page.locator('.fresh.stale').waitFor();
  expect(await page.locator('.fresh').textContent()).toMatch(/^Not live for \d+ s; buttons are locked$/);
  expect(await button.isDisabled()).toBe(true);
  await ada.close();
});

test('an operator sees why a run is stuck, and has it try again', async () => {
  const dana = await site.signedIn('dana');
  const { page } = dana;
  await enrol(dana, 'dana');
  const { run, target } = await site.engine.working((cluster) =>
    cluster.failures.push(new HoldpointError('action-stuck', { cause: 'the disk of node-7 is full', remedy: 'Free some of it.' })),
  );
  await site.engine.until(target, 'stuck');
  await page.goto(`${site.origin}/runs/${run}`);
  await page.getByText('the disk of node-7 is full').first().waitFor();
  await page.getByText('Free some of it.').waitFor();
  await page.getByRole('button', { name: 'Sign “retry” with passkey' }).click();
  await site.engine.until(target, 'done');
  await page.getByText('The run is over').waitFor();
  expect(dana.complaints).toEqual([]);
  await dana.close();
});

test('a page of somebody else neither shows the console within itself nor gets a signature that counts', async () => {
  const ada = await site.signedIn('ada');
  await enrol(ada, 'ada');
  const { run, target } = await site.engine.held('one');
  const evil = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<iframe src="${site.origin}/runs/${run}/holds/sign/1"></iframe>`);
  });
  evil.listen(0, '127.0.0.1');
  await once(evil, 'listening');
  const { port } = evil.address() as AddressInfo;
  const { page } = ada;
  await page.goto(`http://localhost:${port}/`);
  const [frame] = page.frames().filter((one) => one !== page.mainFrame());
  expect(await frame?.evaluate('document.querySelector("#page")').catch(() => null)).toBeNull();
  // The host is the same, so the browser lets that page use the passkey; its origin stands in what was signed.
  const { keys } = site.engine.configuration.people.ada ?? {};
  const passkey = readPasskey(keys?.at(-1)?.key ?? '');
  const state = await site.engine.until(target, 'holding');
  if (!passkey || !state.hold) throw new Error('there is no passkey, or no hold');
  const said = { kind: 'decision' as const, run, request: state.hold.request, decision: 'approve' as const, reason: '' };
  const statement = statementFor<'decision'>(said, { person: 'ada', at: new Date().toISOString(), nonce: 'of-another-page' });
  const bytes = bytesOfStatement(statement);
  const asked = [[...challengeOf(bytes)], [...Buffer.from(passkey.credential, 'base64url')]];
  const parts: number[][] = await page.evaluate(`(async ([challenge, id]) => {
    const publicKey = { challenge: new Uint8Array(challenge), rpId: 'localhost', userVerification: 'required',
      allowCredentials: [{ type: 'public-key', id: new Uint8Array(id) }] };
    const { response } = await navigator.credentials.get({ publicKey });
    return [response.authenticatorData, response.clientDataJSON, response.signature].map((part) => [...new Uint8Array(part)]);
  })(${JSON.stringify(asked)})`);
  const none = new Uint8Array();
  const [authenticatorData = none, clientDataJSON = none, signature = none] = parts.map((part) => Uint8Array.from(part));
  const text = signedByPasskey(bytes, passkey, { authenticatorData, clientDataJSON, signature });
  await expect(site.engine.holdpoint.submit(run, statement, text)).rejects.toMatchObject({ code: 'passkey-origin-differs' });
  evil.closeAllConnections();
  evil.close();
  await ada.close();
});

test('an operator fills in the inputs of a runbook, sees what it would do, and starts that with a passkey', async () => {
  const dana = await site.signedIn('dana');
  const { page } = dana;
  await enrol(dana, 'dana');
  await page.goto(`${site.origin}/start`);
  await page.getByRole('link', { name: 'node-maintenance' }).click();
  const show = page.getByRole('button', { name: 'Show what it would do' });
  expect(await show.isDisabled()).toBe(true);
  await page.getByLabel('target', { exact: true }).fill('eks/eu-central-1/nowhere');
  await page.getByLabel('nodes', { exact: true }).fill('a\nb\n');
  await show.click();
  const refused = page.locator('.box.bad');
  await refused.waitFor();
  const text = await refused.innerText();
  expect(text).toContain('the tests have no cluster nowhere');
  expect(text).not.toContain('The record of the run has this attempt');
  const { target } = site.engine.newSite();
  await page.getByLabel('target', { exact: true }).fill(target);
  // What was read is of other inputs.
  expect(await refused.count()).toBe(0);
  await show.click();
  await page.getByRole('button', { name: 'Start with passkey' }).click();
  await page.locator('.stages').getByText('The run has begun:').waitFor();
  await page.locator('.stages a').click();
  await page.locator('.fresh.live').waitFor();
  const { requester, inputs } = await site.engine.until(target, 'holding');
  expect([requester, inputs.target, inputs.nodes]).toEqual(['dana', target, ['a', 'b']]);
  expect(dana.complaints).toEqual([]);
  await dana.close();
});

import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { HoldpointError } from '../../domain/errors.ts';
import { documentOf, untilTrue, type Held } from '../support/engine.ts';
import { startBrowserSite, type BrowserSite, type VisitorOptions } from './site.ts';

/** What somebody who wants to harm whoever looks may have called a node, or written as a reason. */
const hostile = `<img src=x onerror=alert(1)>"; </script><a href="javascript:alert(1)">x`;
/** Where pictures of all screens are put; none are made where it is not set. */
const screenshots = process.env.HOLDPOINT_SCREENSHOTS;
const limits = { level: 'wcag2a,wcag2aa,wcag21a,wcag21aa,wcag22aa'.split(',') };

let site: BrowserSite;
let axe: string;
let held: Held;
let stuck: string;
beforeAll(async () => {
  site = await startBrowserSite();
  axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  held = await heldWithHostileNames();
  const ada = await site.signedIn('ada');
  site.addKey('ada', await site.makePasskey(ada.page));
  await ada.close();
  const { run, target } = await site.engine.working((cluster) =>
    cluster.failures.push(new HoldpointError('action-stuck', { cause: hostile, remedy: hostile })),
  );
  await site.engine.until(target, 'stuck');
  stuck = run;
});
afterAll(async () => {
  // Undefined where it has not started, and is stopped by then.
  await (site as BrowserSite | undefined)?.stop();
});

/** A run at a hold whose nodes, question and reason are of somebody who means harm. */
async function heldWithHostileNames(): Promise<Held> {
  const { cluster, target, site: world } = site.engine.newSite();
  world.todo = ['10-0-1-12', '10-0-1-40', hostile];
  world.generation = `${hostile}\u202e`;
  const steps = `
  - { id: look, uses: eks.preflight }
  - { id: sign-drain, hold: two, question: "Move everything off \${inputs.cluster}? <b>bold</b> ${'x'.repeat(90)}" }
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }
  - { id: sign-delete, hold: two, question: 'Delete?' }
  - { id: rest, uses: kubernetes.cordon, with: { nodes: [node-first] } }`;
  const { run } = await site.engine.begin(cluster, documentOf(steps));
  const state = await site.engine.until(target, 'holding');
  await site.engine.decide(target, 'grace', 'approve', hostile);
  return { run, target, site: world, state };
}

/** The screens, each with what is there once it is whole. */
function screens(): [string, string, string][] {
  return [
    ['waiting', '/', '.cards'],
    ['decision', `/runs/${held.run}/holds/sign-drain/1`, '.fresh.live'],
    ['runs', '/runs', '.cards .run'],
    ['run', `/runs/${held.run}`, '.steps li'],
    ['nodes', `/runs/${held.run}/nodes`, '.fresh.live'],
    ['evidence', `/runs/${held.run}/evidence`, '.steps li'],
    ['runbooks', '/start', '.cards .run'],
    ['start', '/start/node-group-rotation', '.field'],
    ['stuck', `/runs/${stuck}`, '.box.bad'],
    ['me', '/me', '.keys'],
  ];
}

async function violationsOf(page: Page): Promise<string[]> {
  // The policy of the page lets no script in; what the browser itself runs is not asked.
  await page.evaluate(axe);
  const found: string = await page.evaluate(
    `axe.run(document, { runOnly: ${JSON.stringify(limits.level)} }).then(({ violations }) =>
      JSON.stringify(violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html.slice(0, 120)).join(' | '))))`,
  );
  return JSON.parse(found) as string[];
}

test.each<[string, VisitorOptions]>([
  ['English, light, at a desk', { locale: 'en', theme: 'light', width: 1280 }],
  ['Korean, dark, on a phone', { locale: 'ko', theme: 'dark', width: 360, height: 740 }],
  ['English, dark, on a phone', { locale: 'en', theme: 'dark', width: 360, height: 740 }],
  ['Korean, light, at a desk', { locale: 'ko', theme: 'light', width: 1280 }],
])('each screen can be used by everybody and runs nothing that it shows: %s', async (_what, options) => {
  const { locale = 'en', theme = 'light', width = 0 } = options;
  const visitor = await site.signedIn('ada', options);
  const { page } = visitor;
  for (const [name, address, whole] of screens()) {
    await page.goto(`${site.origin}${address}`);
    await page.locator(whole).first().waitFor();
    expect({ name, language: await page.locator('html').getAttribute('lang') }).toEqual({ name, language: locale });
    expect({ name, violations: await violationsOf(page) }).toEqual({ name, violations: [] });
    const [inner, outer]: number[] = await page.evaluate('[document.documentElement.scrollWidth, document.documentElement.clientWidth]');
    expect({ name, wider: (inner ?? 0) - (outer ?? 0) }).toEqual({ name, wider: 0 });
    expect({ name, images: await page.locator('main img, main script, main a[href^="javascript"]').count() }).toEqual({ name, images: 0 });
    if (screenshots === undefined) continue;
    await mkdir(screenshots, { recursive: true });
    await page.screenshot({ path: path.join(screenshots, `${name}-${locale}-${theme}-${width}.png`) });
  }
  expect(visitor.complaints).toEqual([]);
  // What is looked for would be found: markup that a script of the page makes is refused, and told.
  await page.evaluate(`try { document.body.innerHTML = '<b>x</b>' } catch {}`);
  await page.evaluate(`document.body.append(Object.assign(document.createElement('img'), { src: 'https://example.com/x' }))`);
  const isTold = (words: string): boolean => visitor.complaints.some((one) => one.includes(words));
  await untilTrue(() => isTold('Trusted') && isTold('img-src'));
  await visitor.close();
});

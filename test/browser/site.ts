import { createServer as createSocket } from 'node:net';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type CDPSession, type Page } from 'playwright-core';
import { AuditLog } from '../../api/audit.ts';
import type { ApiContext } from '../../api/context.ts';
import { Limits } from '../../api/limits.ts';
import { LiveRuns } from '../../api/live-runs.ts';
import { createServer } from '../../api/server.ts';
import { Sessions } from '../../api/sessions.ts';
import { oidcSignIn } from '../../api/sign-in.ts';
import { keysOf, type PersonKey } from '../../domain/approval/keys.ts';
import { buildConsole } from '../../lab/build-console.ts';
import { startEngine, type Engine, type Person } from '../support/engine.ts';
import { clientId, clientSecret, startIdentityProvider } from './identity-provider.ts';

const waitMs = 20_000;

/** The console over everything that is real: API, identity provider, Temporal server, worker. */
export interface BrowserSite {
  engine: Engine;
  origin: string;
  browser: Browser;
  /** From now on the person has that key, too, in holdpoint.yaml. */
  addKey(person: Person, line: string): void;
  /** Makes a passkey on the page "me"; returns the line for holdpoint.yaml. */
  makePasskey(page: Page): Promise<string>;
  /** A browser of its own, with an authenticator, in which that person has signed in. */
  signedIn(person: Person, options?: VisitorOptions): Promise<Visitor>;
  stop(): Promise<void>;
}

export interface VisitorOptions {
  locale?: 'en' | 'ko';
  theme?: 'light' | 'dark';
  width?: number;
  height?: number;
}

/** Somebody at a browser. */
export interface Visitor {
  page: Page;
  context: BrowserContext;
  /** What the page has reported: broken security policies, and errors of scripts. */
  complaints: string[];
  /** Whether the authenticator says yes to whatever it is asked. */
  setVerified(isVerified: boolean): Promise<void>;
  close(): Promise<void>;
}

/** Starts it; the pages are built anew. */
export async function startBrowserSite(): Promise<BrowserSite> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one().catch(() => undefined);
  };
  try {
    return await start(stops, stop);
  } catch (error) {
    // A worker that nobody stops asks for ever for a server that is gone.
    await stop();
    throw error;
  }
}

async function start(stops: (() => Promise<unknown>)[], stop: () => Promise<void>): Promise<BrowserSite> {
  const pages = await mkdtemp(join(tmpdir(), 'holdpoint-console-'));
  stops.push(() => rm(pages, { recursive: true, force: true }));
  await buildConsole(pages);
  const engine = await startEngine('browser');
  stops.push(() => engine.stop());
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  const provider = await startIdentityProvider(origin);
  stops.push(() => provider.stop());
  const { configuration } = engine;
  const oidc = { issuer: provider.issuer, clientId, groupsClaim: 'groups', scopes: ['openid', 'profile', 'groups'] };
  configuration.api = { url: origin, oidc, roles: { viewer: ['staff'], operator: ['platform'], auditor: ['audit'] } };
  // What shipped runbooks ask for.
  configuration.policies['production-change'] = configuration.policies.one!;
  configuration.evidence = { directory: dirname(engine.evidence.pathOf('r')) };
  configuration.console = { rpId: 'localhost', origins: [origin] };
  for (const [id, person] of Object.entries(configuration.people)) person.oidc = { issuer: provider.issuer, subject: id };
  const context: ApiContext = {
    holdpoint: engine.holdpoint,
    readConfiguration: async () => configuration,
    configurationFile: '/nowhere/holdpoint.yaml',
    origin,
    sessions: new Sessions(),
    signIn: oidcSignIn(origin, async () => ({ oidc, secret: clientSecret })),
    limits: new Limits(),
    liveRuns: new LiveRuns((run) => engine.holdpoint.show(run)),
    audit: new AuditLog(async () => undefined),
    nowMs: Date.now,
    isReady: async () => true,
    onError: (error) => process.stderr.write(`the server has failed: ${String(error)}\n`),
  };
  const app = await createServer(context, { version: '0.0.0', pages });
  stops.push(() => app.close());
  await app.listen({ host: '127.0.0.1', port });
  const browser = await chromium.launch({
    executablePath: process.env.HOLDPOINT_TEST_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'].concat([
      '--disable-component-update',
      '--disable-sync',
    ]),
  });
  stops.push(() => browser.close());
  return {
    engine,
    origin,
    browser,
    addKey: (person, line) => addKey(engine, person, line, origin),
    makePasskey: (page) => makePasskey(page, origin),
    signedIn: (person, options) => signIn(browser, origin, person, options),
    stop,
  };
}

async function makePasskey(page: Page, origin: string): Promise<string> {
  await page.goto(`${origin}/me`);
  await page.getByRole('button', { name: /Make a passkey|패스키 만들기/ }).click();
  return (await page.locator('pre').textContent()) ?? '';
}

/** As the platform team adds what the page has printed. */
function addKey({ configuration: { people } }: Engine, person: Person, line: string, origin: string): void {
  const known = people[person];
  const [, key = ''] = /key: "([^"]+)"/.exec(line) ?? [];
  const added: PersonKey = { type: 'passkey', key, origins: [origin] };
  people[person] = { name: person, oidc: known?.oidc, keys: [...keysOf(known), added] };
}

async function signIn(browser: Browser, origin: string, person: Person, options: VisitorOptions = {}): Promise<Visitor> {
  const { locale = 'en', theme = 'light', width = 1280, height = 800 } = options;
  const context = await browser.newContext({
    locale: locale === 'ko' ? 'ko-KR' : 'en-GB',
    timezoneId: 'Asia/Seoul',
    colorScheme: theme,
    viewport: { width, height },
  });
  const page = await context.newPage();
  page.setDefaultTimeout(waitMs);
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (/Content Security Policy|Trusted/.test(message.text())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  const authenticator = await addAuthenticator(await context.newCDPSession(page));
  await page.goto(`${origin}/`);
  await page.locator('a.button.main').click();
  await page.locator('input[name=login]').fill(person);
  await page.locator('input[name=password]').fill('any');
  await page.locator('button[type=submit]').click();
  // The provider asks whether the console may know who it is.
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL(`${origin}/**`);
  await page.locator('.who').waitFor();
  return { page, context, complaints, setVerified: authenticator, close: () => context.close() };
}

/** An authenticator that answers at once, and its switch for who it thinks is there. */
async function addAuthenticator(session: CDPSession): Promise<Visitor['setVerified']> {
  await session.send('WebAuthn.enable');
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true },
  });
  return async (isUserVerified) => {
    await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
  };
}

async function freePort(): Promise<number> {
  const socket = createSocket();
  socket.listen(0, '127.0.0.1');
  await once(socket, 'listening');
  const address = socket.address();
  socket.close();
  if (typeof address !== 'object' || !address) throw new Error('there is no free port');
  return address.port;
}

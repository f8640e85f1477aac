import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { OidcSettings } from '../../runbooks/configuration/api.ts';
import { signInLastsMs, oidcSignIn } from '../../api/sign-in.ts';
import { client, startForgingProvider, startRealProvider, type Forgery, type IdentityProvider } from './identity-provider.ts';
import { startServer, type ServerInTest } from './server.ts';

const origin = 'http://localhost:8080';
const host = 'localhost:8080';
const callback = `${origin}/api/v1/auth/callback`;
const note = 'holdpoint-sign-in';

/** A server of ours that signs in at a provider. */
async function startFor({ issuer }: IdentityProvider): Promise<ServerInTest> {
  const oidc: OidcSettings = { issuer, clientId: client.id, groupsClaim: 'groups', scopes: ['openid', 'profile', 'groups'] };
  const settings = async () => ({ oidc, secret: client.secret });
  const clock = { nowMs: Date.now() };
  const server = await startServer({ origin, signIn: oidcSignIn(origin, settings, () => clock.nowMs) });
  server.current.api!.url = origin;
  for (const [id, person] of Object.entries(server.current.people)) person.oidc = { issuer, subject: `sub-${id}` };
  return Object.assign(server, { clock: Object.assign(server.clock, clock) }, { signInClock: clock });
}

type Cookies = Record<string, string>;
const cookieHeader = (cookies: Cookies): string =>
  Object.entries(cookies)
    .map(([name, value]) => `${name}=${value}`)
    .join('; ');

async function get(server: ServerInTest, path: string, cookies: Cookies = {}, headers: Record<string, string> = {}) {
  const cookie = cookieHeader(cookies);
  return server.app.inject({ url: path, headers: { host, ...(cookie !== '' && { cookie }), ...headers } });
}

async function begin(server: ServerInTest, returnTo = '/runs'): Promise<{ location: URL; cookies: Cookies }> {
  const answer = await get(server, `/api/v1/auth/login?returnTo=${encodeURIComponent(returnTo)}`);
  expect(answer.statusCode).toBe(303);
  const set = answer.cookies.find(({ name }) => name === note)!;
  expect(set).toMatchObject({ httpOnly: true, sameSite: 'Lax', path: '/' });
  return { location: new URL(String(answer.headers.location)), cookies: { [note]: set.value } };
}

describe('at the real identity provider', () => {
  let provider: Awaited<ReturnType<typeof startRealProvider>>;
  let server: ServerInTest;
  beforeAll(async () => {
    jest.spyOn(console, 'warn').mockImplementation(() => undefined);
    jest.spyOn(console, 'info').mockImplementation(() => undefined);
    provider = await startRealProvider(callback);
    server = await startFor(provider);
  });
  afterAll(async () => {
    await server.app.close();
    await provider.stop();
  });

  /** What a browser does at the provider: goes where it is sent, with its cookies, until it is sent back. */
  async function consent(start: URL): Promise<string> {
    const jar = new Map<string, string>();
    for (let at = start, hops = 0; hops < 10; hops += 1) {
      const answer = await fetch(at, {
        redirect: 'manual',
        headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
      });
      await answer.arrayBuffer();
      for (const set of answer.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
        jar.set(name, value);
      }
      at = new URL(answer.headers.get('location') ?? '', at);
      if (at.href.startsWith(callback)) return at.pathname + at.search;
    }
    throw new Error('the provider sends the browser round in a circle');
  }

  test('somebody signs in with PKCE, state and nonce, is known by issuer and subject, and gets a new session', async () => {
    const { location, cookies } = await begin(server);
    expect(Object.fromEntries(location.searchParams)).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      redirect_uri: callback,
    });
    const back = await consent(location);
    const fixed = 'x'.repeat(43);
    const answer = await get(server, back, { ...cookies, holdpoint: fixed });
    expect([answer.statusCode, answer.headers.location]).toEqual([303, '/runs']);
    const session = answer.cookies.find(({ name }) => name === 'holdpoint')!;
    expect(session).toMatchObject({ httpOnly: true, sameSite: 'Lax', path: '/' });
    expect(session.value).not.toBe(fixed);
    expect((await get(server, '/api/v1/me', { holdpoint: session.value })).json()).toMatchObject({
      person: 'ada',
      name: 'The ada',
      roles: ['viewer'],
    });
    // Signing in again ends the session of before in the same browser.
    const again = await begin(server);
    const second = await get(server, await consent(again.location), { ...again.cookies, holdpoint: session.value });
    expect(second.statusCode).toBe(303);
    expect((await get(server, '/api/v1/me', { holdpoint: session.value })).statusCode).toBe(401);
    // A code that was used is used up.
    expect((await get(server, back, cookies)).json()).toMatchObject({ status: 401, code: 'sign-in-failed' });
  });

  test('groups are roles; somebody whom holdpoint.yaml does not have signs nothing', async () => {
    Object.assign(provider, { subject: 'sub-visitor', groups: ['platform', 'audit'] });
    const { location, cookies } = await begin(server);
    const answer = await get(server, await consent(location), cookies);
    const session = answer.cookies.find(({ name }) => name === 'holdpoint')!.value;
    expect((await get(server, '/api/v1/me', { holdpoint: session })).json()).toMatchObject({
      person: null,
      name: 'The sub-visitor',
      roles: ['viewer', 'operator', 'auditor'],
    });
  });

  test('what belongs to another attempt, another browser, or to nobody, signs nobody in', async () => {
    const [one, other] = [await begin(server), await begin(server)];
    const back = await consent(one.location);
    const url = new URL(back, origin);
    const changed = (name: string, value: string): string => {
      const copy = new URL(url);
      copy.searchParams.set(name, value);
      return copy.pathname + copy.search;
    };
    const attempts: [string, Cookies][] = [
      [back, {}],
      [back, other.cookies],
      [back, { [note]: `${one.cookies[note]!.slice(0, -4)}AAAA` }],
      [changed('state', 'x'.repeat(43)), one.cookies],
      [changed('code', 'x'.repeat(43)), one.cookies],
      [changed('iss', 'https://evil.example.com'), one.cookies],
      ['/api/v1/auth/callback?error=access_denied&error_description=%3Cscript%3E', one.cookies],
      ['/api/v1/auth/callback', one.cookies],
    ];
    for (const [path, cookies] of attempts) {
      const answer = await get(server, path, cookies);
      expect([path, answer.json()]).toEqual([path, expect.objectContaining({ status: 401, code: 'sign-in-failed' })]);
      expect(answer.cookies).toEqual([]);
      expect(answer.body).not.toContain('script');
    }
    // A browser is shown a page, with the code and nothing else of what came.
    const page = await get(server, '/api/v1/auth/callback?error=x', one.cookies, { accept: 'text/html' });
    expect([page.statusCode, page.headers.location]).toEqual([303, '/?problem=sign-in-failed']);
    const { signInClock } = server as ServerInTest & { signInClock: { nowMs: number } };
    signInClock.nowMs += signInLastsMs;
    expect((await get(server, back, one.cookies)).statusCode).toBe(401);
    expect(server.audit.at(-1)).toMatchObject({ code: 'sign-in-failed', route: '/api/v1/auth/callback' });
  });
});

test.each([
  '//evil.example.com',
  '/\\evil.example.com',
  'https://evil.example.com',
  '/\t/evil.example.com',
  '/api/v1/auth/login',
  'runs',
  '',
])('nobody is sent to %j after the sign-in', async (returnTo) => {
  const server = await startServer({ origin });
  const answer = await get(server, `/api/v1/auth/login?returnTo=${encodeURIComponent(returnTo)}`);
  expect(answer.json()).toMatchObject({ status: 422, code: 'request-malformed' });
  await server.app.close();
});

describe('an identity provider that lies, or somebody in its place', () => {
  let provider: Awaited<ReturnType<typeof startForgingProvider>>;
  let server: ServerInTest;
  beforeAll(async () => {
    provider = await startForgingProvider();
    server = await startFor(provider);
  });
  afterAll(async () => {
    await server.app.close();
    await provider.stop();
  });

  const sound: Forgery = { claims: {}, algorithm: 'RS256', otherKey: false };
  const past = Math.floor(Date.now() / 1_000) - 3_600;

  async function attempt(forgery: Partial<Forgery>): Promise<number> {
    provider.forgery = sound;
    const { location, cookies } = await begin(server);
    provider.forgery = { ...sound, ...forgery };
    provider.nonce = location.searchParams.get('nonce') ?? '';
    return (await get(server, `/api/v1/auth/callback?code=x&state=${location.searchParams.get('state')}`, cookies)).statusCode;
  }

  test('a sound token signs in', async () => {
    expect(await attempt({})).toBe(303);
  });

  test.each<[string, Partial<Forgery>]>([
    ['for another audience', { claims: { aud: 'another' } }],
    ['of another issuer', { claims: { iss: 'https://evil.example.com' } }],
    ['with another nonce', { claims: { nonce: 'another' } }],
    ['without a nonce', { claims: { nonce: undefined } }],
    ['that is over', { claims: { iat: past, exp: past + 60 } }],
    ['without a subject', { claims: { sub: undefined } }],
    ['signed by nobody (alg none)', { algorithm: 'none' }],
    ['signed with the secret of the client (HS256)', { algorithm: 'HS256' }],
    ['signed with another key', { otherKey: true }],
    ['of a provider that calls itself something else', { namesItself: 'https://evil.example.com' }],
  ])('a token %s signs nobody in', async (_what, forgery) => {
    expect(await attempt(forgery)).toBe(401);
  });
});

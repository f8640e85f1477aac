import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

/** What these tests use of oidc-provider, which has no types of its own. */
interface Provider {
  callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  interactionDetails(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<{ prompt: { name: string }; params: Record<string, unknown>; grantId?: string }>;
  interactionFinished(request: IncomingMessage, response: ServerResponse, result: object, options: object): Promise<void>;
  Grant: { new (of: { accountId: string; clientId: string }): Grant; find(id: string): Promise<Grant | undefined> };
}
interface Grant {
  addOIDCScope(scope: string): void;
  save(): Promise<string>;
}
const providerPackage: string = 'oidc-provider';

/** An identity provider of a test. */
export interface IdentityProvider {
  issuer: string;
  stop(): Promise<void>;
}

/** The real one, at which everybody is `subject`, and in `groups`, as soon as they come. */
export interface RealProvider extends IdentityProvider {
  subject: string;
  groups: string[];
}

export const client = { id: 'holdpoint', secret: 'a-secret-of-the-test' };

/** Starts oidc-provider with one client, which asks nobody anything. */
export async function startRealProvider(redirectUri: string): Promise<RealProvider> {
  const { server, issuer, stop } = await listening();
  const real: RealProvider = { issuer, subject: 'sub-ada', groups: ['staff'], stop };
  // Loaded here, when the test has had the console be quiet: it warns of what is right in a test.
  const { default: RealProvider } = (await import(providerPackage)) as { default: new (issuer: string, settings: object) => Provider };
  const provider = new RealProvider(issuer, {
    clients: [{ client_id: client.id, client_secret: client.secret, redirect_uris: [redirectUri], response_types: ['code'] }],
    claims: { openid: ['sub'], profile: ['name'], groups: ['groups'] },
    scopes: ['openid', 'profile', 'groups'],
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    findAccount: (_context: unknown, sub: string) => ({ accountId: sub, claims: () => ({ sub, name: `The ${sub}`, groups: real.groups }) }),
    cookies: { keys: ['a-key-of-the-test'] },
  });
  const callback = provider.callback();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.startsWith('/interaction/')) void finish(provider, real, request, response);
    else void callback(request, response);
  });
  return real;
}

async function finish(provider: Provider, { subject }: RealProvider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { prompt, params, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: subject } }, { mergeWithLastSubmission: false });
  }
  const grant =
    grantId === undefined
      ? new provider.Grant({ accountId: subject, clientId: String(params.client_id) })
      : await provider.Grant.find(grantId);
  grant?.addOIDCScope(String(params.scope));
  const consent = { grantId: await grant?.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

/** How the forged one makes its ID tokens. */
export interface Forgery {
  claims: Record<string, unknown>;
  /** Of the header; `none` signs nothing. */
  algorithm: 'RS256' | 'none' | 'HS256';
  /** Signs with a key that it does not publish. */
  otherKey: boolean;
  /** What it calls itself in its own description. */
  namesItself?: string;
}

/** One that gives out whatever ID token a test wants; its `nonce` is that of the last attempt. */
export async function startForgingProvider(): Promise<IdentityProvider & { forgery: Forgery; nonce: string }> {
  const { server, issuer, stop } = await listening();
  const [own, other] = await Promise.all([generateKeyPair('RS256'), generateKeyPair('RS256')]);
  const jwk = { ...(await exportJWK(own.publicKey)), kid: 'k', alg: 'RS256', use: 'sig' };
  const forging = { issuer, stop, nonce: '', forgery: { claims: {}, algorithm: 'RS256', otherKey: false } as Forgery };
  const token = async (): Promise<string> => {
    const { claims: changed, algorithm, otherKey } = forging.forgery;
    const second = Math.floor(Date.now() / 1_000);
    const claims = {
      iss: issuer,
      sub: 'sub-ada',
      aud: client.id,
      nonce: forging.nonce,
      iat: second,
      exp: second + 300,
      groups: ['staff'],
      ...changed,
    };
    if (algorithm === 'none') {
      const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      return `${part({ alg: 'none' })}.${part(claims)}.`;
    }
    if (algorithm === 'HS256') return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(client.secret));
    return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k' }).sign((otherKey ? other : own).privateKey);
  };
  const answer = async (path: string): Promise<object> => {
    if (path === '/jwks') return { keys: [jwk] };
    if (path === '/token') return { access_token: 'x', token_type: 'Bearer', id_token: await token() };
    return {
      issuer: forging.forgery.namesItself ?? issuer,
      authorization_endpoint: `${issuer}/auth`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
      id_token_signing_alg_values_supported: ['RS256'],
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
    };
  };
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    void answer(request.url ?? '').then((body) => response.setHeader('content-type', 'application/json').end(JSON.stringify(body)));
  });
  return forging;
}

async function listening(): Promise<{ server: Server; issuer: string; stop: () => Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { server, issuer: `http://localhost:${(server.address() as AddressInfo).port}`, stop };
}

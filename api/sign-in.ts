import { createCipheriv, createDecipheriv, randomBytes, timingSafeEqual } from 'node:crypto';
import * as oidc from 'openid-client';
import { HoldpointError } from '../domain/errors.ts';
import { isObject, parseJson } from '../domain/json.ts';
import { developmentIssuer, type OidcSettings } from '../runbooks/configuration/api.ts';
import type { SignedIn } from './sessions.ts';

/** For how long somebody may take to sign in at the identity provider. */
export const signInLastsMs = 10 * 60_000;
const groupsMax = 1_000;
const nameCharactersMax = 200;
const cipher = 'aes-256-gcm';
const ivBytes = 12;
const tagBytes = 16;
const requestTimeoutSeconds = 10;

/** The way to a session: where to send a browser, and what it comes back with. */
export interface SignIn {
  /** Where a browser is sent, and the sealed note that it is to bring back. Throws `sign-in-failed`. */
  begin(returnTo: string): Promise<{ location: string; note: string }>;
  /** Who has come back, and where they wanted to go. Throws `sign-in-failed`. */
  finish(query: URLSearchParams, note: string | undefined): Promise<{ who: SignedIn; returnTo: string }>;
}

/** What the note of a browser that signs in has in it; nobody else can read or make one. */
interface Pending {
  state: string;
  nonce: string;
  verifier: string;
  returnTo: string;
  untilMs: number;
}

/**
 * Signs people in at an identity provider: authorization code with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636). What belongs
 * to an attempt is in a sealed note of the browser that began it, so that nothing is kept for attempts that nobody finishes.
 *
 * @param settings read anew for each attempt; `secret` is what the client proves itself with.
 */
export function oidcSignIn(
  origin: string,
  settings: () => Promise<{ oidc: OidcSettings; secret?: string }>,
  nowMs: () => number = Date.now,
): SignIn {
  const key = randomBytes(32);
  const redirectUri = `${origin}/api/v1/auth/callback`;
  return {
    begin: async (returnTo) => {
      const given = await settings();
      const config = await discovered(given);
      const pending: Pending = {
        state: oidc.randomState(),
        nonce: oidc.randomNonce(),
        verifier: oidc.randomPKCECodeVerifier(),
        returnTo,
        untilMs: nowMs() + signInLastsMs,
      };
      const location = oidc.buildAuthorizationUrl(config, {
        redirect_uri: redirectUri,
        scope: given.oidc.scopes.join(' '),
        code_challenge: await oidc.calculatePKCECodeChallenge(pending.verifier),
        code_challenge_method: 'S256',
        state: pending.state,
        nonce: pending.nonce,
      });
      return { location: location.href, note: sealed(pending, key) };
    },
    finish: async (query, note) => {
      const pending = note === undefined ? undefined : opened(note, key);
      if (!pending || pending.untilMs <= nowMs()) throw failed('it was not begun in this browser, or too long ago');
      const given = await settings();
      const config = await discovered(given);
      const who = await granted(config, new URL(`${redirectUri}?${query.toString()}`), pending, given.oidc);
      return { who, returnTo: pending.returnTo };
    },
  };
}

/** Signs nobody in: there is no identity provider. */
export const noSignIn: SignIn = {
  begin: () => Promise.reject(failed('no identity provider is configured (`api.oidc` of holdpoint.yaml)')),
  finish: () => Promise.reject(failed('no identity provider is configured (`api.oidc` of holdpoint.yaml)')),
};

/** Codes with which people of a sandbox sign in, each for one of them, made anew with each start of the server. */
export class DevelopmentCodes {
  private readonly codes: Map<string, string>;

  constructor(people: readonly string[]) {
    this.codes = new Map(people.map((person) => [person, randomBytes(24).toString('base64url')]));
  }

  /** The links that sign people in, by their ids. */
  links(origin: string): Record<string, string> {
    return Object.fromEntries([...this.codes].map(([person, code]) => [person, `${origin}/api/v1/auth/development?code=${code}`]));
  }

  /** Whose code it is. Throws `sign-in-failed`. */
  whoHas(code: string): SignedIn {
    const given = Buffer.from(code);
    const found = [...this.codes].find(([, own]) => own.length === given.length && timingSafeEqual(Buffer.from(own), given));
    if (!found) throw failed('the link is not one of this start of `holdpoint`');
    return { issuer: developmentIssuer, subject: found[0], name: found[0], groups: [developmentIssuer] };
  }
}

function failed(cause: string, error?: unknown): HoldpointError {
  return new HoldpointError('sign-in-failed', { cause }, { cause: error });
}

/** The identity provider as it describes itself. Asked each time: sign-ins are few, and its keys change. */
async function discovered({ oidc: { issuer, clientId }, secret }: { oidc: OidcSettings; secret?: string }): Promise<oidc.Configuration> {
  // The configuration lets no http address pass but one of this machine, for a server of this machine.
  const insecure = issuer.startsWith('http:') ? [oidc.allowInsecureRequests] : [];
  try {
    return await oidc.discovery(new URL(issuer), clientId, undefined, secret === undefined ? oidc.None() : oidc.ClientSecretBasic(secret), {
      // Besides TLS, the signature of each ID token is verified.
      execute: [...insecure, oidc.enableNonRepudiationChecks],
      timeout: requestTimeoutSeconds,
    });
  } catch (error) {
    throw failed(`the identity provider ${issuer} cannot be reached, or is not the one that it says`, error);
  }
}

async function granted(
  config: oidc.Configuration,
  url: URL,
  { state, nonce, verifier }: Pending,
  { issuer, groupsClaim }: OidcSettings,
): Promise<SignedIn> {
  try {
    const tokens = await oidc.authorizationCodeGrant(config, url, {
      expectedState: state,
      expectedNonce: nonce,
      pkceCodeVerifier: verifier,
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    if (!claims || claims.iss !== issuer) throw new Error('the ID token is of another issuer');
    // Many providers have groups and names in only one of the two.
    const isWhole = groupsIn(claims[groupsClaim]) !== undefined && nameIn(claims) !== undefined;
    const told = isWhole ? {} : await userinfo(config, tokens.access_token, claims.sub);
    const groups = groupsIn(claims[groupsClaim]) ?? groupsIn(told[groupsClaim]) ?? [];
    return { issuer: claims.iss, subject: claims.sub, name: nameIn(claims) ?? nameIn(told) ?? claims.sub, groups };
  } catch (error) {
    throw failed('the identity provider has refused it, or what it answered does not hold', error);
  }
}

async function userinfo(config: oidc.Configuration, accessToken: string, subject: string): Promise<Record<string, unknown>> {
  return config.serverMetadata().userinfo_endpoint === undefined ? {} : oidc.fetchUserInfo(config, accessToken, subject);
}

function groupsIn(claim: unknown): string[] | undefined {
  if (typeof claim === 'string') return [claim];
  return Array.isArray(claim) ? claim.filter((group): group is string => typeof group === 'string').slice(0, groupsMax) : undefined;
}

function nameIn(claims: Record<string, unknown>): string | undefined {
  const name = [claims.name, claims.preferred_username].find((value): value is string => typeof value === 'string' && value !== '');
  return name?.slice(0, nameCharactersMax);
}

function sealed(pending: Pending, key: Uint8Array): string {
  const iv = randomBytes(ivBytes);
  const seal = createCipheriv(cipher, key, iv);
  const text = Buffer.concat([seal.update(JSON.stringify(pending), 'utf8'), seal.final()]);
  return Buffer.concat([iv, seal.getAuthTag(), text]).toString('base64url');
}

function opened(note: string, key: Uint8Array): Pending | undefined {
  const bytes = Buffer.from(note, 'base64url');
  try {
    const seal = createDecipheriv(cipher, key, bytes.subarray(0, ivBytes));
    seal.setAuthTag(bytes.subarray(ivBytes, ivBytes + tagBytes));
    const text = Buffer.concat([seal.update(bytes.subarray(ivBytes + tagBytes)), seal.final()]);
    const pending = parseJson(text);
    return isObject(pending) ? (pending as unknown as Pending) : undefined;
  } catch {
    return undefined;
  }
}

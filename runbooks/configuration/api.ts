import * as z from 'zod';
import type { SourceMap } from '../grammar/document.ts';
import { httpUrl, isLoopback, secretFile, secretOf, secretVariable, type Secret } from './secret.ts';

const groupsMax = 100;
const tokensMax = 100;
const hashPattern = /^sha256:[0-9a-f]{64}$/;

/** The issuer of people who were signed in by `holdpoint up`, or `serve --development-login`; no identity provider can have it. */
export const developmentIssuer = 'development';

/** Who signs people in. */
export interface OidcSettings {
  issuer: string;
  clientId: string;
  /** Left out for a public client, which proves itself by PKCE alone. */
  clientSecret?: Secret;
  /** The claim that has the groups of a person. */
  groupsClaim: string;
  scopes: string[];
}

/** How people and machines reach runs over HTTP. */
export interface ApiSettings {
  /** Where people reach it, such as https://holdpoint.example.com. */
  url: string;
  oidc?: OidcSettings;
  /** Groups of the identity provider, by what they may do. */
  roles?: Partial<Record<'viewer' | 'operator' | 'auditor', string[]>>;
  /** Tokens of machines, which may only read, by any name; `hash` is the SHA-256 in hex. */
  tokens?: Record<string, { hash: string; until?: string }>;
  /** Where attempts that were refused before they reached a run are written down. */
  auditFile?: string;
}

const time = z.iso.datetime({ error: 'must be a time in UTC such as 2026-11-28T00:00:00Z' });
const groups = z.array(z.string().min(1).max(300)).min(1).max(groupsMax);

/** The section `api` of holdpoint.yaml. */
export const apiGrammar = z.strictObject({
  url: httpUrl.describe('Where people reach it, without a path: https://holdpoint.example.com. Messages and commands link to it.'),
  oidc: z
    .strictObject({
      issuer: httpUrl.describe('The identity provider, as its `iss` names it.'),
      clientId: z.string().min(1).max(300).describe('What the identity provider calls this server.'),
      clientSecretFile: secretFile('the secret of the client', 'holdpoint serve reads'),
      clientSecretFromEnvironment: secretVariable('the secret of the client', 'holdpoint serve'),
      groupsClaim: z
        .string()
        .min(1)
        .max(100)
        .describe('The claim of the ID token or of userinfo that has the groups; `groups` if left out.')
        .optional(),
      scopes: z
        .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/, 'must be a scope of OAuth'))
        .min(1)
        .max(20)
        .describe('What is asked of the identity provider; openid, profile and groups if left out.')
        .optional(),
    })
    .describe('Who signs people in.')
    .optional(),
  roles: z
    .strictObject({
      viewer: groups.describe('May look at runs, plans and runbooks.').optional(),
      operator: groups.describe('May plan, start and operate runs, besides.').optional(),
      auditor: groups.describe('May read the records of all runs, besides.').optional(),
    })
    .describe('Groups of the identity provider, by what they may do. Whose signature counts, policies say alone.')
    .optional(),
  tokens: z
    .record(
      z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'must be made of small letters, digits, `-`, `_` and `.`'),
      z.strictObject({
        hash: z
          .string()
          .regex(hashPattern, 'must be sha256: and 64 digits of hex; `holdpoint keys token` makes one')
          .describe('SHA-256 of the token, which is kept nowhere here.'),
        until: time.describe('From this moment on it is refused.').optional(),
      }),
    )
    .refine((tokens) => Object.keys(tokens).length <= tokensMax, { error: `must be ${tokensMax} tokens at most` })
    .describe('Tokens of machines, by any name. They may read what a viewer may, and nothing else.')
    .optional(),
  auditFile: z
    .string()
    .min(1)
    .max(4096)
    .describe('File, relative to this one, for attempts that were refused before they reached a run. It is made if it is not there.')
    .optional(),
});

/** How the identity provider knows a person, as a key of `people`. */
export const oidcOfPerson = z.strictObject({
  issuer: httpUrl.describe('The identity provider.'),
  subject: z.string().min(1).max(255).describe('Its `sub` of the person: never an address of mail, which may pass to somebody else.'),
});

type Document = z.output<typeof apiGrammar>;

/** Tells what a grammar cannot. */
export function checkApi(
  { url, oidc, roles }: Document,
  people: Record<string, { oidc?: z.output<typeof oidcOfPerson> }>,
  sourceMap: SourceMap,
): void {
  const { origin, hostname } = new URL(url);
  if (url.replace(/\/$/, '') !== origin) sourceMap.error(['api', 'url'], `Must have no path: write ${origin}.`);
  if (url.startsWith('http:') && hostname !== 'localhost') {
    sourceMap.error(['api', 'url'], 'Must be an https:// address, or http://localhost: browsers make passkeys for no other http address.');
  }
  if (oidc?.clientSecretFile !== undefined && oidc.clientSecretFromEnvironment !== undefined) {
    sourceMap.error(['api', 'oidc'], 'Must name either `clientSecretFile` or `clientSecretFromEnvironment`, not both.');
  }
  if (oidc && !oidc.issuer.startsWith('https:') && !isLoopback(hostname)) {
    sourceMap.error(['api', 'oidc', 'issuer'], 'Must be an https:// address: whoever is on the way could sign anybody in.');
  }
  if (roles && !oidc) sourceMap.error(['api', 'roles'], 'Says what groups of an identity provider may do, and there is no `oidc`.');
  const owners = new Map<string, string>();
  for (const [id, person] of Object.entries(people)) {
    if (!person.oidc) continue;
    const key = JSON.stringify([person.oidc.issuer, person.oidc.subject]);
    const owner = owners.get(key);
    if (owner !== undefined) sourceMap.error(['people', id, 'oidc'], `Is also "${owner}": one person would be two.`);
    owners.set(key, id);
  }
}

/** Of settings that have been checked. */
export function apiSettingsOf({ url, oidc, roles, tokens, auditFile }: Document): ApiSettings {
  return {
    url: new URL(url).origin,
    ...(oidc && { oidc: oidcSettingsOf(oidc) }),
    ...(roles && { roles }),
    ...(tokens && {
      tokens: Object.fromEntries(
        Object.entries(tokens).map(([name, { hash, until }]) => [name, { hash: hash.slice('sha256:'.length), ...(until && { until }) }]),
      ),
    }),
    ...(auditFile !== undefined && { auditFile }),
  };
}

function oidcSettingsOf(oidc: NonNullable<Document['oidc']>): OidcSettings {
  const { issuer, clientId, clientSecretFile, clientSecretFromEnvironment, groupsClaim, scopes } = oidc;
  const hasSecret = clientSecretFile !== undefined || clientSecretFromEnvironment !== undefined;
  return {
    issuer,
    clientId,
    ...(hasSecret && { clientSecret: secretOf(clientSecretFile, clientSecretFromEnvironment) }),
    groupsClaim: groupsClaim ?? 'groups',
    scopes: scopes ?? ['openid', 'profile', 'groups'],
  };
}

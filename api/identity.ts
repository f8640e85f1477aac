import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { HoldpointError } from '../domain/errors.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { developmentIssuer, type ApiSettings } from '../runbooks/configuration/api.ts';
import { roles, type Role } from './schema/answers.ts';
import type { Session, Sessions } from './sessions.ts';

/** Whoever asks: a person who has signed in, or a machine with a token. */
export interface Identity {
  kind: 'person' | 'token';
  /** Id in holdpoint.yaml; undefined for a token, and for somebody who is not there. */
  person?: string;
  name: string;
  roles: ReadonlySet<Role>;
  session?: Session;
}

/** The cookie of a session. Only over TLS can it have the prefix that keeps siblings of the host from setting it. */
export function sessionCookie(origin: string): string {
  return origin.startsWith('https:') ? '__Host-holdpoint' : 'holdpoint';
}

/**
 * Who asks. Undefined where nobody is signed in. Throws `token-refused` for any Authorization header that is no token of ours, and
 * `identity-ambiguous` for a request with a token and a session: which of the two counts must not be a matter of order.
 */
export function identify(
  request: Pick<FastifyRequest, 'headers' | 'cookies'>,
  { sessions, origin, configuration, nowMs }: { sessions: Sessions; origin: string; configuration: Configuration; nowMs: number },
): Identity | undefined {
  const { authorization } = request.headers;
  const cookie = request.cookies[sessionCookie(origin)];
  if (authorization !== undefined) {
    if (cookie !== undefined) throw new HoldpointError('identity-ambiguous');
    return identityOfToken(authorization, configuration.api, nowMs);
  }
  const session = cookie === undefined ? undefined : sessions.find(cookie, { used: true });
  return session && identityOf(session, configuration);
}

/** What somebody who has signed in is and may do by the configuration of this moment. */
export function identityOf(session: Session, { people, api }: Pick<Configuration, 'people' | 'api'>): Identity {
  const person = personOf(session, people);
  // In a sandbox of one machine everybody may do what the roles are for; what they sign counts by policies all the same.
  const isSandbox = session.issuer === developmentIssuer && person !== undefined;
  const given = roles.filter((role) => isSandbox || (api?.roles?.[role] ?? []).some((group) => session.groups.includes(group)));
  // Whoever may look at all may look at runs: operators, auditors, and people whose signature may be wanted.
  const isViewer = given.length > 0 || person !== undefined;
  return {
    kind: 'person',
    ...(person !== undefined && { person }),
    name: person === undefined ? session.name : (people[person]?.name ?? person),
    roles: new Set<Role>(isViewer ? ['viewer', ...given] : []),
    session,
  };
}

function personOf({ issuer, subject }: Session, people: Configuration['people']): string | undefined {
  if (issuer === developmentIssuer) return Object.hasOwn(people, subject) ? subject : undefined;
  return Object.entries(people).find(([, { oidc }]) => oidc?.issuer === issuer && oidc.subject === subject)?.[0];
}

function identityOfToken(authorization: string, api: ApiSettings | undefined, nowMs: number): Identity {
  const [, token] = /^Bearer ([\w.~+/-]{32,512}=*)$/.exec(authorization) ?? [];
  const digest = createHash('sha256')
    .update(token ?? '')
    .digest();
  const found = Object.entries(api?.tokens ?? {}).find(([, { hash }]) => timingSafeEqual(digest, Buffer.from(hash, 'hex')));
  const isOver = found?.[1].until !== undefined && Date.parse(found[1].until) <= nowMs;
  if (token === undefined || !found || isOver) throw new HoldpointError('token-refused');
  return { kind: 'token', name: found[0], roles: new Set<Role>(['viewer']) };
}

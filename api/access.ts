import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { HoldpointError } from '../domain/errors.ts';
import type { ApiContext } from './context.ts';
import { identify, type Identity } from './identity.ts';
import { probePaths } from './routes/health.ts';
import type { Role } from './schema/answers.ts';

/** Who may call a route: everybody, whoever is signed in, or whoever has a role. Every route says it; one that does not is not served. */
export type Access = 'anybody' | 'signed-in' | Role;

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
  interface FastifyRequest {
    /** Undefined only in routes for anybody. */
    identity?: Identity;
  }
}

const safeMethods = ['GET', 'HEAD'];

/**
 * Has every request pass one gate before its route: the host that it was sent to, where it comes from, who asks, and what they may do.
 * A route without `config.access` is refused when it is added, so that none is open because it was forgotten.
 */
export function addGate(app: FastifyInstance, context: ApiContext): void {
  app.decorateRequest('identity', undefined);
  app.addHook('onRoute', ({ url, config }) => {
    if (config?.access === undefined) throw new Error(`the route ${url} does not say who may call it`);
  });
  app.addHook('onRequest', async (request: FastifyRequest, _reply: FastifyReply) => {
    if (request.is404) return;
    const { access = 'auditor' } = request.routeOptions.config;
    // A probe of a cluster names the address of a pod.
    if (!probePaths.includes(request.routeOptions.url ?? '')) requireHost(request, context.origin);
    if (!safeMethods.includes(request.method)) {
      requireOwnOrigin(request, context.origin);
      requireJson(request);
    }
    if (access === 'anybody') return;
    request.identity = await identityOfRequest(request, context);
    requireRole(request.identity, access);
    if (request.identity.kind === 'token' && !safeMethods.includes(request.method)) {
      throw new HoldpointError('role-missing', { who: `the token ${request.identity.name}`, role: 'a person' });
    }
  });
}

async function identityOfRequest(request: FastifyRequest, context: ApiContext): Promise<Identity> {
  const configuration = await context.readConfiguration();
  const identity = identify(request, { ...context, configuration, nowMs: context.nowMs() });
  if (!identity) throw new HoldpointError('session-missing');
  return identity;
}

/** Throws `role-missing` where somebody may not do what a route is for. */
export function requireRole({ roles, name }: Identity, access: Exclude<Access, 'anybody'>): void {
  if (access === 'signed-in' || roles.has(access)) return;
  throw new HoldpointError('role-missing', { who: name, role: access });
}

/** Who asks, in a route that is not for anybody. */
export function identityOfCaller({ identity }: FastifyRequest): Identity {
  if (!identity) throw new Error('the gate has let in a request without an identity');
  return identity;
}

/** A name that somebody else has pointed at this machine (DNS rebinding) would be another origin to the browser, and ours to nobody. */
function requireHost({ headers }: FastifyRequest, origin: string): void {
  if (headers.host === new URL(origin).host) return;
  throw new HoldpointError('host-refused', { origin });
}

/**
 * The rule against forged requests: the browser says that the page is of our origin, or names our origin itself. A request that says
 * neither is refused, though it may come from no browser: nobody but browsers has the cookie.
 */
function requireOwnOrigin({ headers }: FastifyRequest, origin: string): void {
  const site = headers['sec-fetch-site'];
  const isOwn = site === undefined ? headers.origin === origin : site === 'same-origin';
  if (!isOwn) throw new HoldpointError('origin-refused', { origin });
}

/** Forms can send three media types to any site; JSON is none of them. Fastify has odd spellings fall to no parser at all. */
function requireJson({ headers }: FastifyRequest): void {
  if (/^application\/json(; ?charset=utf-8)?$/i.test(headers['content-type'] ?? '')) return;
  throw new HoldpointError('media-type-refused');
}

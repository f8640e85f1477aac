import cookie from '@fastify/cookie';
import swagger from '@fastify/swagger';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { createJsonSchemaTransform, serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { HoldpointError } from '../domain/errors.ts';
import { addGate } from './access.ts';
import type { ApiContext } from './context.ts';
import { addHeaders } from './headers.ts';
import { addPages } from './pages.ts';
import { problemOf } from './problem.ts';
import { authRoutes } from './routes/auth.ts';
import { eventRoutes } from './routes/events.ts';
import { evidenceRoutes } from './routes/evidence.ts';
import { healthRoutes } from './routes/health.ts';
import { peopleRoutes } from './routes/people.ts';
import { runbookRoutes } from './routes/runbooks.ts';
import { runRoutes } from './routes/runs.ts';
import { wordRoutes } from './routes/words.ts';
import type { DevelopmentCodes } from './sign-in.ts';

/** Where all routes are, but those that a cluster probes. */
export const apiPath = '/api/v1';
const bodyBytesMax = 2 * 1024 * 1024;
const parameterCharactersMax = 300;
const requestTimeoutMs = 60_000;

/** Refusals that no run hears of, and that somebody should. */
const auditedCodes: readonly string[] = [
  'session-missing',
  'token-refused',
  'identity-ambiguous',
  'sign-in-failed',
  'role-missing',
  'origin-refused',
  'host-refused',
  'media-type-refused',
  'person-differs',
  'too-many-writes',
  'too-many-refusals',
  'too-many-streams',
];

/** What a server has besides its context. */
export interface ServerOptions {
  version: string;
  /** Signs people of a sandbox in by links. */
  development?: DevelopmentCodes;
  /** Folder of the pages; none are served where it is left out. */
  pages?: string;
  /** Told of each route, such as `GET /healthz`. */
  onRoute?: (route: string) => void;
}

/**
 * The HTTP server: the routes under `/api/v1`, and the pages where there are some. It listens nowhere yet.
 *
 */
export async function createServer(context: ApiContext, { version, development, pages, onRoute }: ServerOptions): Promise<FastifyInstance> {
  const app = fastify({
    bodyLimit: bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    routerOptions: { maxParamLength: parameterCharactersMax },
    forceCloseConnections: true,
  }).withTypeProvider<ZodTypeProvider>();
  // A text is what a form of another site can send.
  app.removeContentTypeParser('text/plain');
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error, request, reply) => tell(error, request, reply, context));
  app.setNotFoundHandler((request, reply) =>
    tell(new HoldpointError('route-unknown', { route: routeOf(request) }), request, reply, context),
  );
  addHeaders(app, context.origin);
  await app.register(cookie);
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'Holdpoint', version }, servers: [{ url: context.origin }] },
    transform: createJsonSchemaTransform({ skipList: ['/*', '/'] }),
  });
  addGate(app, context);
  app.addHook('onClose', () => context.audit.close());
  if (onRoute) app.addHook('onRoute', ({ method, url }) => [method].flat().forEach((one) => onRoute(`${one} ${url}`)));
  await app.register(healthRoutes(context));
  for (const routes of [peopleRoutes, runRoutes, eventRoutes, runbookRoutes, wordRoutes, evidenceRoutes]) {
    await app.register(routes(context), { prefix: apiPath });
  }
  await app.register(authRoutes(context, development), { prefix: apiPath });
  app.get(`${apiPath}/openapi.json`, { config: { access: 'viewer' }, schema: { hide: true } }, () => app.swagger());
  if (pages !== undefined) await addPages(app, pages);
  return app;
}

async function tell(error: unknown, request: FastifyRequest, reply: FastifyReply, context: ApiContext): Promise<FastifyReply> {
  const { run } = (request.params ?? {}) as { run?: string };
  const { problem, retryAfterSeconds } = problemOf(error, run);
  if (problem.code === 'unexpected') context.onError(error);
  if (auditedCodes.includes(problem.code)) await note(problem.code, request, context).catch(context.onError);
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds));
  // Who comes from the identity provider sees a page, which has words for the code.
  const isFromBrowser = routeOf(request).startsWith(`${apiPath}/auth/`) && (request.headers.accept ?? '').includes('text/html');
  if (isFromBrowser && request.method === 'GET') return reply.redirect(`/?problem=${problem.code}`, 303);
  // As a string: what is sent is no answer of the route, whose schema would cut it down.
  return reply.code(problem.status).type('application/problem+json; charset=utf-8').serializer(JSON.stringify).send(problem);
}

async function note(code: string, request: FastifyRequest, { audit }: ApiContext): Promise<void> {
  const { identity, method, ip, params, body } = request;
  const { run } = (params ?? {}) as { run?: string };
  const signer = (body as { statement?: { person?: unknown } } | undefined)?.statement?.person;
  await audit.note({
    code,
    ...(identity && { who: identity.person ?? identity.name }),
    ...(code === 'person-differs' && typeof signer === 'string' && { asks: signer }),
    method,
    route: routeOf(request),
    ...(typeof run === 'string' && { run }),
    address: ip,
  });
}

/** The pattern of the route; nothing that was sent, as that may be anything. */
function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'an unknown path';
}

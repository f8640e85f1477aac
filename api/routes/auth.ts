import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import type { ApiContext } from '../context.ts';
import { sessionCookie } from '../identity.ts';
import { health } from '../schema/answers.ts';
import { signInLastsMs, type DevelopmentCodes } from '../sign-in.ts';
import { sessionLastsMs, type SignedIn } from '../sessions.ts';

const returnToMax = 2_048;
/** Paths of our own pages only: neither `//host` nor anything that a browser would take for it, and no route of the API. */
const returnTo = z
  .string()
  .max(returnToMax)
  .regex(/^\/(?!\/|api\/)[\x21\x23-\x5b\x5d\x5f\x61-\x7a\x7c\x7e]*$/, 'must be the path of a page')
  .optional();

/** Sign-in and sign-out. */
export function authRoutes(context: ApiContext, development: DevelopmentCodes | undefined): FastifyPluginAsyncZod {
  const { signIn, origin, sessions } = context;
  const noteCookie = `${sessionCookie(origin)}-sign-in`;
  const cookie = { path: '/', httpOnly: true, secure: origin.startsWith('https:'), sameSite: 'lax' as const };

  /** A new session under a new token, whatever token the browser came with: nobody can have fixed it beforehand. */
  const begin = (request: FastifyRequest, reply: FastifyReply, who: SignedIn, to: string): FastifyReply => {
    const before = request.cookies[sessionCookie(origin)];
    if (before !== undefined) sessions.end(before);
    return reply
      .setCookie(sessionCookie(origin), sessions.begin(who), { ...cookie, maxAge: sessionLastsMs / 1_000 })
      .clearCookie(noteCookie, cookie)
      .redirect(to, 303);
  };

  return async (app) => {
    app.get(
      '/auth/login',
      {
        config: { access: 'anybody' },
        schema: { summary: 'Sends a browser to the identity provider', querystring: z.strictObject({ returnTo }) },
      },
      async ({ query }, reply) => {
        const { location, note } = await signIn.begin(query.returnTo ?? '/');
        return reply.setCookie(noteCookie, note, { ...cookie, maxAge: signInLastsMs / 1_000 }).redirect(location, 303);
      },
    );
    app.get(
      '/auth/callback',
      { config: { access: 'anybody' }, schema: { summary: 'Where the identity provider sends it back to' } },
      async (request, reply) => {
        const { who, returnTo: to } = await signIn.finish(new URL(request.url, origin).searchParams, request.cookies[noteCookie]);
        return begin(request, reply, who, to);
      },
    );
    app.post(
      '/auth/logout',
      { config: { access: 'anybody' }, schema: { summary: 'Ends the session', body: z.strictObject({}), response: { 200: health } } },
      async (request, reply) => {
        const token = request.cookies[sessionCookie(origin)];
        if (token !== undefined) sessions.end(token);
        reply.clearCookie(sessionCookie(origin), cookie);
        return { ok: true };
      },
    );
    if (!development) return;
    app.get(
      '/auth/development',
      {
        config: { access: 'anybody' },
        schema: { summary: 'Signs a person of a sandbox in', querystring: z.strictObject({ code: z.string().max(100), returnTo }) },
      },
      (request, reply) => begin(request, reply, development.whoHas(request.query.code), request.query.returnTo ?? '/'),
    );
  };
}

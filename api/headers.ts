import type { FastifyInstance } from 'fastify';

/**
 * What the pages may load and do: their own scripts, styles, and this API. No exception for anything inline, and no string becomes
 * markup or script (Trusted Types), so that a name with markup in it stays a name.
 */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

const headers: Readonly<Record<string, string>> = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=(), geolocation=()',
  'x-frame-options': 'DENY',
};
const strictTransport = 'max-age=31536000';

/** Puts the same headers on every answer; what the API says is kept by no cache. */
export function addHeaders(app: FastifyInstance, origin: string): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(headers);
    if (origin.startsWith('https:')) reply.header('strict-transport-security', strictTransport);
    if (!isPage(request.url)) reply.header('cache-control', 'no-store');
  });
}

function isPage(url: string): boolean {
  return !/^\/(api|healthz|readyz)(\/|\?|$)/.test(url);
}

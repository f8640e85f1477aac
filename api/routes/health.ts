import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { HoldpointError } from '../../domain/errors.ts';
import type { ApiContext } from '../context.ts';
import { health } from '../schema/answers.ts';

/** Where a cluster asks whether the server is alive, and whether it can be of use. */
export const probePaths: readonly string[] = ['/healthz', '/readyz'];

/** What a cluster probes; no data. */
export function healthRoutes({ isReady }: ApiContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/healthz',
      { config: { access: 'anybody' }, schema: { summary: 'The server is alive', response: { 200: health } } },
      async () => ({ ok: true }),
    );
    app.get('/readyz', { config: { access: 'anybody' }, schema: { summary: 'Temporal answers', response: { 200: health } } }, async () => {
      if (!(await isReady())) throw new HoldpointError('not-ready');
      return { ok: true };
    });
  };
}

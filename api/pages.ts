import { join } from 'node:path';
import statics from '@fastify/static';
import type { FastifyInstance } from 'fastify';

const assetMaxAge = '365d';

/** Serves the pages: their files by name, and one document for every address of a page. Anybody may load them: no data is in them. */
export async function addPages(app: FastifyInstance, folder: string): Promise<void> {
  await app.register(async (pages) => {
    // What is built has a digest in its name; the document that names it has none.
    pages.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'anybody' };
    });
    await pages.register(statics, { root: folder, wildcard: false, index: false, maxAge: assetMaxAge, immutable: true });
    for (const url of ['/', '/runs', '/runs/*', '/start/*', '/calendar', '/me', '/evidence/*', '/errors']) {
      pages.get(url, (_request, reply) => reply.sendFile('index.html', join(folder), { maxAge: 0, immutable: false }));
    }
  });
}

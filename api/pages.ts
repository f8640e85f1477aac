import { readdir } from 'node:fs/promises';
import statics from '@fastify/static';
import type { FastifyInstance } from 'fastify';

const assetMaxAge = '365d';
const documentName = 'index.html';

/** Serves the pages: their files by name, and one document for every address of a page. Anybody may load them: no data is in them. */
export async function addPages(app: FastifyInstance, folder: string): Promise<void> {
  const names = await readdir(folder);
  await app.register(async (pages) => {
    await pages.register(statics, { root: folder, serve: false });
    const access = { config: { access: 'anybody' as const }, schema: { hide: true } };
    // What is built has a digest in its name; the document that names it has none.
    for (const name of names.filter((one) => one !== documentName)) {
      pages.get(`/${name}`, access, (_request, reply) => reply.sendFile(name, { maxAge: assetMaxAge, immutable: true }));
    }
    for (const url of ['/', '/runs', '/runs/*', '/start', '/start/*', '/calendar', '/me', '/evidence/*', '/errors']) {
      pages.get(url, access, (_request, reply) => reply.sendFile(documentName, { maxAge: 0, immutable: false }));
    }
  });
}

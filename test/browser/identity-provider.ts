import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import Provider, { type Configuration } from 'oidc-provider';

/** The groups of everybody who signs in at the identity provider of the tests, by their login. */
export const groupsOf: Readonly<Record<string, string[]>> = { dana: ['platform'], ada: ['staff', 'platform'], grace: ['staff', 'audit'] };
export const clientId = 'holdpoint';
export const clientSecret = 'the-secret-of-the-client-in-the-browser-tests';

/** A real identity provider, which takes every login with any password; it sends people back to the origin. */
export async function startIdentityProvider(origin: string): Promise<{ issuer: string; stop(): Promise<void> }> {
  const server: Server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || !address) throw new Error('the identity provider has no port');
  const issuer = `http://localhost:${address.port}`;
  const configuration: Configuration = {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [`${origin}/api/v1/auth/callback`] }],
    claims: { openid: ['sub'], profile: ['name'], groups: ['groups'] },
    cookies: { keys: ['only for tests'] },
    findAccount: (_context, id) => ({ accountId: id, claims: async () => ({ sub: id, name: `The ${id}`, groups: groupsOf[id] ?? [] }) }),
  };
  const provider = new Provider(issuer, configuration);
  const handle = provider.callback();
  server.on('request', (request, response) => void handle(request, response));
  return {
    issuer,
    stop: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

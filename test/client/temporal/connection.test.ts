import { createServer, type AddressInfo, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { connectTemporal, temporalSettings } from '../../../client/connection.ts';
import { createAuthority, type Authority, type Identity } from '../../support/certificates.ts';
import { startTemporalProxy, type TemporalProxy } from '../../support/temporal-proxy.ts';
import { temporalAddress } from '../../support/temporal.ts';

type Env = Record<string, string>;

const apiKey = 'hush-0123456789';
/** Where the name stands for an address that is known only when the servers run. */
const servers: Record<string, string> = {};
const ends: (() => Promise<unknown>)[] = [];
let authority: Authority;
let foreign: Authority;
let client: Identity;
let stranger: Identity;

beforeAll(async () => {
  const plain = await temporalAddress();
  [authority, foreign] = await Promise.all([createAuthority('Example CA'), createAuthority('Foreign CA')]);
  client = await authority.issue({ name: 'worker' });
  stranger = await foreign.issue({ name: 'stranger' });
  const here = await authority.issue({ name: 'temporal', hosts: ['127.0.0.1'] });
  const elsewhere = await authority.issue({ name: 'front', hosts: ['front.example'] });
  const old = await authority.issue({ name: 'old', hosts: ['127.0.0.1'], validTo: new Date('2026-01-02T03:04:05Z') });
  const start = async (...[identity, options]: [Identity, Parameters<typeof startTemporalProxy>[2]?]): Promise<TemporalProxy> => {
    const proxy = await startTemporalProxy(plain, identity, options);
    ends.push(() => proxy.stop());
    return proxy;
  };
  const proxies = {
    tls: await start(here),
    mutual: await start(here, { clientAuthority: authority.cert }),
    elsewhere: await start(elsewhere),
    old: await start(old),
    keyed: await start(here, {
      admit: ({ authorization }) => (authorization === `Bearer ${apiKey}` ? undefined : { status: 16, message: 'Request unauthorized.' }),
    }),
    forbidding: await start(here, { admit: () => ({ status: 7, message: 'no permission' }) }),
  };
  for (const [name, { address }] of Object.entries(proxies)) servers[name] = address;
  Object.assign(servers, {
    plain,
    refusing: await listen(createTlsServer({ ...here, ca: authority.cert, maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' })),
    silent: await listen(createServer(() => undefined)),
    nobody: '127.0.0.1:1',
  });
});

afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

async function listen(server: Server): Promise<string> {
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => sockets.add(socket.on('error', () => undefined)));
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const trusting = (): Env => ({ TEMPORAL_TLS_SERVER_CA_CERT_DATA: authority.cert });
const as = ({ cert, key }: Identity): Env => ({ TEMPORAL_TLS_CLIENT_CERT_DATA: cert, TEMPORAL_TLS_CLIENT_KEY_DATA: key });

describe('gets through', () => {
  test.each<[string, string, () => Env]>([
    ['plain text', 'plain', () => ({})],
    ['TLS', 'tls', trusting],
    ['a certificate of our own', 'mutual', () => ({ ...trusting(), ...as(client) })],
    ['another name than the one in the address', 'elsewhere', () => ({ ...trusting(), TEMPORAL_TLS_SERVER_NAME: 'front.example' })],
    ['an API key', 'keyed', () => ({ ...trusting(), TEMPORAL_API_KEY: apiKey })],
    ['an API key as a header', 'keyed', () => ({ ...trusting(), TEMPORAL_GRPC_META_AUTHORIZATION: `Bearer ${apiKey}` })],
  ])('%s', async (_what, server, env) => {
    const found = await connectTemporal(temporalSettings({ ...env(), TEMPORAL_ADDRESS: servers[server]! }));
    await found.connection.close();
  });
});

const cases: [string, string, () => Env, { code: string; cause: string; remedy: string }][] = [
  [
    'a server of an unknown authority',
    'tls',
    () => ({ TEMPORAL_TLS: 'true' }),
    {
      code: 'temporal-tls-failed',
      cause: 'the certificate of the server (temporal) is signed by Example CA, and that is not one of the public authorities.',
      remedy: 'Set TEMPORAL_TLS_SERVER_CA_CERT_PATH',
    },
  ],
  [
    'a server of another authority than the one that is given',
    'tls',
    () => ({ TEMPORAL_TLS_SERVER_CA_CERT_DATA: foreign.cert }),
    {
      code: 'temporal-tls-failed',
      cause: 'signed by Example CA, and that is not in the CA certificate (TEMPORAL_TLS_SERVER_CA_CERT_DATA).',
      remedy: 'Give the certificate of the authority',
    },
  ],
  [
    'a server of another name',
    'elsewhere',
    trusting,
    {
      code: 'temporal-tls-failed',
      cause: 'the certificate of the server is not for 127.0.0.1; the names in it are: DNS:front.example.',
      remedy: 'set TEMPORAL_TLS_SERVER_NAME',
    },
  ],
  [
    'a server whose certificate has expired',
    'old',
    trusting,
    { code: 'temporal-tls-failed', cause: 'the certificate of the server (old) expired on 2026-01-02T03:04:05Z.', remedy: 'Renew it' },
  ],
  [
    'no certificate where one is wanted',
    'mutual',
    trusting,
    {
      code: 'temporal-tls-failed',
      cause: 'the server wants a client certificate, and none is given.',
      remedy: 'Set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH.',
    },
  ],
  [
    'a certificate that the server does not accept',
    'mutual',
    () => ({ ...trusting(), ...as(stranger) }),
    {
      code: 'temporal-tls-failed',
      cause: 'the server does not accept the client certificate (TEMPORAL_TLS_CLIENT_CERT_DATA)',
      remedy: 'Give one that is signed by an authority that the server admits',
    },
  ],
  [
    'plain text to TLS',
    'tls',
    () => ({}),
    { code: 'temporal-tls-failed', cause: 'the server speaks TLS, and TLS is not switched on.', remedy: 'Set TEMPORAL_TLS=true' },
  ],
  [
    'TLS to plain text',
    'plain',
    () => ({ TEMPORAL_API_KEY: apiKey }),
    { code: 'temporal-tls-failed', cause: 'the server does not speak TLS.', remedy: 'set TEMPORAL_TLS=false' },
  ],
  [
    'a handshake that fails for another reason',
    'refusing',
    trusting,
    { code: 'temporal-tls-failed', cause: 'the server breaks off the handshake (', remedy: 'It may want a client certificate' },
  ],
  [
    'somebody who says nothing',
    'silent',
    trusting,
    { code: 'temporal-tls-failed', cause: 'no answer within 3000 ms.', remedy: 'Check that Temporal is what answers there' },
  ],
  [
    'an API key that is refused',
    'keyed',
    () => ({ ...trusting(), TEMPORAL_API_KEY: `${apiKey}x` }),
    {
      code: 'temporal-denied',
      cause: 'refuses the API key (TEMPORAL_API_KEY) in the namespace default: Request unauthorized.',
      remedy: 'Check that the key has not expired',
    },
  ],
  [
    'no API key where one is wanted',
    'keyed',
    trusting,
    { code: 'temporal-denied', cause: 'refuses a connection without API key and client certificate', remedy: 'Set TEMPORAL_API_KEY' },
  ],
  [
    'a certificate that may not use the namespace',
    'forbidding',
    () => ({ ...trusting(), ...as(client), TEMPORAL_NAMESPACE: 'orders.a1b2c' }),
    {
      code: 'temporal-denied',
      cause: 'refuses the client certificate (TEMPORAL_TLS_CLIENT_CERT_DATA) in the namespace orders.a1b2c: no permission.',
      remedy: 'Check which authority and which names the namespace admits',
    },
  ],
  ['nobody', 'nobody', trusting, { code: 'temporal-unreachable', cause: 'connect ECONNREFUSED 127.0.0.1:1.', remedy: 'Start one' }],
];

test.concurrent.each(cases)('says what is wrong: %s', async (_what, server, env, { code, cause, remedy }) => {
  const settings = temporalSettings({ ...env(), TEMPORAL_ADDRESS: servers[server]! });
  const error = (await connectTemporal(settings).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )) as { code: string; message: string; remedy: string };
  expect(error).toMatchObject({ code, message: expect.stringContaining(cause), remedy: expect.stringContaining(remedy) });
  expect(error.message).toContain(servers[server]);
  expect(JSON.stringify([error, error.message, error.remedy])).not.toContain('hush');
});

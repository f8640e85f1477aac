import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { temporalSettings } from '../../../client/connection.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { createAuthority, type Authority, type Identity } from '../../support/certificates.ts';

type Env = Record<string, string>;

let home: string;
let authority: Authority;
let worker: Identity;
let other: Identity;
let expired: Identity;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'holdpoint-settings-'));
  await mkdir(join(home, '.config/temporalio'), { recursive: true });
  authority = await createAuthority('Example CA');
  worker = await authority.issue({ name: 'worker' });
  other = await authority.issue({ name: 'other' });
  expired = await authority.issue({ name: 'expired', validTo: new Date('2026-01-02T03:04:05Z') });
});

afterAll(() => rm(home, { recursive: true, force: true }));

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(home, name), text);
  return join(home, name);
}

const toml = (text: string): Promise<string> => file('profiles.toml', text);

describe('what is said where', () => {
  test('nothing at all is a server on this machine, in plain text', () => {
    const settings = temporalSettings({});
    expect(settings).toMatchObject({ address: '127.0.0.1:7233', namespace: 'default', taskQueue: 'holdpoint' });
    expect(settings.access?.options).toEqual({ metadata: {} });
  });

  test('a variable wins over the profile, and the profile over the default', async () => {
    const text = '[profile.prod]\naddress = "prod.example:7233"\nnamespace = "orders"\n[profile.prod.tls]\nserver_name = "front.example"\n';
    const env = { TEMPORAL_CONFIG_FILE: await toml(text), TEMPORAL_PROFILE: 'prod', TEMPORAL_NAMESPACE: 'other' };
    const { address, namespace, access } = temporalSettings({ ...env, HOLDPOINT_TASK_QUEUE: 'mine' });
    expect({ address, namespace }).toEqual({ address: 'prod.example:7233', namespace: 'other' });
    expect(access?.options.tls).toMatchObject({ serverNameOverride: 'front.example' });
    expect(temporalSettings({ ...env, TEMPORAL_TLS: 'false' }).access?.options.tls).toBe(false);
  });

  test('the profile `default` of the file of the Temporal CLI is read without being asked for', async () => {
    const where = process.platform === 'darwin' ? 'Library/Application Support/temporalio' : '.config/temporalio';
    const own = join(home, 'own');
    await mkdir(join(own, where), { recursive: true });
    await writeFile(join(own, where, 'temporal.toml'), '[profile.default]\naddress = "own.example:7233"\n');
    expect(temporalSettings({ HOME: own, APPDATA: join(own, '.config') }).address).toBe('own.example:7233');
  });

  test.each(['', '# nothing yet\n', '[profile.other]\naddress = "other.example:7233"\n'])(
    'a file without the profile (%j) is none',
    async (text) => {
      expect(temporalSettings({ TEMPORAL_CONFIG_FILE: await toml(text) }).address).toBe('127.0.0.1:7233');
    },
  );

  test('an API key switches TLS on, and headers go along', async () => {
    const text = '[profile.default]\napi_key = "from-the-file"\n[profile.default.grpc_meta]\nother_header_too = "b"\n';
    const env = { TEMPORAL_CONFIG_FILE: await toml(text), TEMPORAL_GRPC_META_CF_ACCESS_CLIENT_ID: 'a' };
    expect(temporalSettings(env).access?.options).toEqual({
      tls: true,
      apiKey: 'from-the-file',
      metadata: { 'cf-access-client-id': 'a', 'other-header-too': 'b' },
    });
  });

  test('certificates by path and as data are the same', async () => {
    const data = {
      TEMPORAL_TLS_CLIENT_CERT_DATA: worker.cert,
      TEMPORAL_TLS_CLIENT_KEY_DATA: worker.key,
      TEMPORAL_TLS_SERVER_CA_CERT_DATA: authority.cert,
    };
    const paths = {
      TEMPORAL_TLS_CLIENT_CERT_PATH: await file('worker.pem', worker.cert),
      TEMPORAL_TLS_CLIENT_KEY_PATH: await file('worker.key', worker.key),
      TEMPORAL_TLS_SERVER_CA_CERT_PATH: await file('ca.pem', authority.cert),
    };
    const textOf = (env: Env): unknown => {
      const { tls } = temporalSettings(env).access?.options ?? {};
      if (typeof tls !== 'object' || tls === null) return tls;
      const { serverRootCACertificate: ca, clientCertPair } = tls;
      return [ca, clientCertPair?.crt, clientCertPair?.key].map((bytes) => Buffer.from(bytes ?? []).toString());
    };
    expect(textOf(data)).toEqual([authority.cert, worker.cert, worker.key]);
    expect(textOf(paths)).toEqual(textOf(data));
  });
});

/** The error of settings that cannot be used. */
function refusal(env: Env): { message: string; remedy: string } {
  try {
    temporalSettings(env);
  } catch (error) {
    expect(error).toBeInstanceOf(HoldpointError);
    expect(error).toMatchObject({ code: 'temporal-settings-invalid' });
    return error as HoldpointError;
  }
  throw new Error('the settings were taken');
}

describe('what cannot be right is refused by name', () => {
  test.each<[string, Env, string]>([
    ['empty', { TEMPORAL_API_KEY: '' }, 'TEMPORAL_API_KEY is empty'],
    ['empty', { HOLDPOINT_TASK_QUEUE: '' }, 'HOLDPOINT_TASK_QUEUE is empty'],
    [
      'no address',
      { TEMPORAL_ADDRESS: 'https://temporal.example' },
      'TEMPORAL_ADDRESS is "https://temporal.example", which is not host:port',
    ],
    ['no truth', { TEMPORAL_TLS: 'TRUE' }, 'TEMPORAL_TLS is "TRUE"'],
    ['no file', { TEMPORAL_CONFIG_FILE: '/nowhere.toml' }, '/nowhere.toml (TEMPORAL_CONFIG_FILE) cannot be read: there is no such file'],
    ['no profile', { TEMPORAL_PROFILE: 'prod' }, 'TEMPORAL_PROFILE is prod, and temporal.toml is not there'],
    [
      'no certificate',
      { TEMPORAL_TLS_CLIENT_CERT_PATH: '/nowhere.pem', TEMPORAL_TLS_CLIENT_KEY_PATH: '/nowhere.key' },
      'the client certificate /nowhere.pem (TEMPORAL_TLS_CLIENT_CERT_PATH) cannot be read: there is no such file',
    ],
    [
      'both',
      { TEMPORAL_TLS_SERVER_CA_CERT_PATH: 'a', TEMPORAL_TLS_SERVER_CA_CERT_DATA: 'b' },
      'TEMPORAL_TLS_SERVER_CA_CERT_PATH and TEMPORAL_TLS_SERVER_CA_CERT_DATA are both set',
    ],
    [
      'two names',
      { TEMPORAL_API_KEY: 'k', TEMPORAL_GRPC_META_AUTHORIZATION: 'Bearer k' },
      'TEMPORAL_API_KEY and a gRPC header authorization',
    ],
  ])('%s: %j', (_what, env, sentence) => {
    const { message, remedy } = refusal(env);
    expect(message).toContain(`The settings for Temporal cannot be used: ${sentence}`);
    expect(remedy).toMatch(/^[A-Z].*\.$/);
  });

  test('an unknown profile, with those that are there', async () => {
    const TEMPORAL_CONFIG_FILE = await toml('[profile.default]\n[profile.staging]\n');
    const { message } = refusal({ TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE: 'prod' });
    expect(message).toContain(`TEMPORAL_PROFILE is prod, and ${TEMPORAL_CONFIG_FILE} has only: default, staging.`);
  });

  test.each([
    ['[profile.default]\napi_key = "hush" hush\n', 'in line 2, column 18'],
    ['[profile.default]\naddress = 7233\n', 'address of the profile default in'],
    ['[profile]\ndefault = "hush"\n', 'profile.default in'],
    ['[profile.default]\ntls = true\n', 'profile.default.tls in'],
    ['[profile.default.tls]\nclient_cert_path = "/nowhere"\n', '(tls.client_cert_path of the profile default in'],
  ])('a file that is not as it should be: %j', async (text, sentence) => {
    const path = await toml(text);
    const { message, remedy } = refusal({ TEMPORAL_CONFIG_FILE: path });
    expect(message).toContain(sentence);
    expect(message).toContain(path);
    expect(message + remedy).not.toContain('hush');
  });

  // Who may do everything may read everything.
  const testAsSomebody = process.getuid?.() === 0 ? test.skip : test;
  testAsSomebody('a key that may not be read', async () => {
    const path = await file('secret.key', worker.key);
    await chmod(path, 0o000);
    expect(refusal({ TEMPORAL_TLS_CLIENT_KEY_PATH: path }).message).toContain(
      `${path} (TEMPORAL_TLS_CLIENT_KEY_PATH) cannot be read: you may not`,
    );
  });
});

describe('certificates are looked at before they are used', () => {
  const given = (cert: string, key: string): Env => ({ TEMPORAL_TLS_CLIENT_CERT_DATA: cert, TEMPORAL_TLS_CLIENT_KEY_DATA: key });
  const passphrase = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n';
  const cases: [string, () => Env, string][] = [
    [
      'the other way round',
      () => given(worker.key, worker.cert),
      'the client certificate (TEMPORAL_TLS_CLIENT_CERT_DATA) is a private key',
    ],
    ['a certificate as key', () => given(worker.cert, worker.cert), 'the client key (TEMPORAL_TLS_CLIENT_KEY_DATA) is a certificate'],
    ['no PEM', () => given('hello', worker.key), '(TEMPORAL_TLS_CLIENT_CERT_DATA) is no certificate in PEM'],
    ['a key that is no PEM', () => given(worker.cert, 'hello'), '(TEMPORAL_TLS_CLIENT_KEY_DATA) is no private key in PEM'],
    ['no line breaks', () => given(worker.cert.replaceAll('\n', '\\n'), worker.key), 'is damaged'],
    [
      'two in a line',
      () => ({ TEMPORAL_TLS_SERVER_CA_CERT_DATA: authority.cert.trim() + authority.cert }),
      'the CA certificate (TEMPORAL_TLS_SERVER_CA_CERT_DATA) is damaged',
    ],
    [
      'a damaged key',
      () => given(worker.cert, worker.key.replace(/\n..../, '\n!!!!')),
      'the client key (TEMPORAL_TLS_CLIENT_KEY_DATA) is damaged',
    ],
    ['a passphrase', () => given(worker.cert, passphrase), 'the client key (TEMPORAL_TLS_CLIENT_KEY_DATA) has a passphrase'],
    ['another key', () => given(worker.cert, other.key), 'do not belong together'],
    ['no key', () => ({ TEMPORAL_TLS_CLIENT_CERT_DATA: worker.cert }), 'is given, but not the private key to it'],
    ['no certificate', () => ({ TEMPORAL_TLS_CLIENT_KEY_DATA: worker.key }), 'is given, but not the certificate to it'],
    ['expired', () => given(expired.cert, expired.key), 'expired on 2026-01-02T03:04:05Z'],
    [
      'a key as path',
      () => ({ TEMPORAL_TLS_CLIENT_KEY_PATH: worker.key }),
      'TEMPORAL_TLS_CLIENT_KEY_PATH is not a path, but the PEM itself',
    ],
  ];
  test.each(cases)('%s', (_what, env, sentence) => {
    const { message, remedy } = refusal(env());
    expect(message).toContain(sentence);
    for (const { key } of [worker, other]) expect(message + remedy).not.toContain(key.split('\n')[1]);
  });

  test('a chain, several authorities and Windows line ends are fine', () => {
    const chain = `${worker.cert}\n${authority.cert}\n`.replaceAll('\n', '\r\n');
    const env = { ...given(chain, worker.key), TEMPORAL_TLS_SERVER_CA_CERT_DATA: `${authority.cert}\n${authority.cert}\n` };
    expect(temporalSettings(env).access?.options.tls).toBeTruthy();
  });

  test('where TLS is switched off nobody looks at them', () => {
    expect(temporalSettings({ TEMPORAL_TLS: 'false', TEMPORAL_TLS_CLIENT_CERT_PATH: '/nowhere' }).access?.options.tls).toBe(false);
  });
});

describe('what is secret stays so', () => {
  test('neither inspection nor JSON shows a key', () => {
    const env = { TEMPORAL_API_KEY: 'hush-key', TEMPORAL_GRPC_META_TOKEN: 'hush-token', TEMPORAL_TLS_CLIENT_CERT_DATA: worker.cert };
    const settings = temporalSettings({ ...env, TEMPORAL_TLS_CLIENT_KEY_DATA: worker.key });
    expect(settings.access?.options.apiKey).toBe('hush-key');
    for (const shown of [inspect(settings, { depth: 10, showHidden: true }), JSON.stringify(settings)]) {
      expect(shown).not.toMatch(/hush|BEGIN/);
    }
  });

  test.each<Env>([{ TEMPORAL_API_KEY: 'hush\n' }, { TEMPORAL_GRPC_META_TOKEN: 'hush\n' }])(
    'what no header can hold is refused unseen: %j',
    (env) => {
      const { message, remedy } = refusal(env);
      expect(message).toContain('cannot be sent');
      expect(message + remedy).not.toContain('hush');
    },
  );
});

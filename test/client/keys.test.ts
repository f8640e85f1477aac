import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createKey, keyDirectory, knownPeople, readKey } from '../../client/keys.ts';
import { KeyError } from '../../client/signing.ts';

let root: string;
let directory: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'holdpoint-keys-'));
  directory = path.join(root, 'config', 'keys');
});

afterEach(() => rm(root, { recursive: true, force: true }));

async function modeOf(file: string): Promise<string> {
  return ((await stat(file)).mode & 0o777).toString(8);
}

async function errorOf(work: Promise<unknown>): Promise<KeyError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof KeyError) return error;
  throw new Error(`expected a KeyError, got ${String(error)}`);
}

describe('a new key', () => {
  test('is kept for its owner only, and its public part is returned', async () => {
    const publicKey = await createKey('ann', directory);
    const file = path.join(directory, 'ann.jwk');
    expect([await modeOf(directory), await modeOf(file)]).toEqual(['700', '600']);
    expect(publicKey).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(await readKey('ann', directory)).toMatchObject({ person: 'ann', publicKey });
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ kty: 'OKP', crv: 'Ed25519', kid: 'ann', x: publicKey });
  });

  test('never overwrites an older one', async () => {
    const publicKey = await createKey('ann', directory);
    const error = await errorOf(createKey('ann', directory));
    expect(error.message).toBe(`ann has a key already, in ${path.join(directory, 'ann.jwk')}.`);
    expect((await readKey('ann', directory)).publicKey).toBe(publicKey);
  });

  test('is not put into a directory that is open to others', async () => {
    await mkdir(directory, { recursive: true });
    await chmod(directory, 0o750);
    expect(await errorOf(createKey('ann', directory))).toMatchObject({
      message: `The key directory ${directory} is open to other users.`,
      remedy: `Close it with: chmod 700 ${directory}`,
    });
  });

  test('is not made where a file stands in the way', async () => {
    await writeFile(path.join(root, 'config'), '');
    expect((await errorOf(createKey('ann', directory))).message).toBe(`The key directory ${directory} cannot be made (ENOTDIR).`);
  });

  test.each(['../ann', 'Ann', '', 'ann/bob', 'ann\0'])('is not made for %j, which is no id', async (person) => {
    expect((await errorOf(createKey(person, directory))).message).toContain('cannot be the id of a person');
    expect((await errorOf(readKey(person, directory))).message).toContain('cannot be the id of a person');
  });
});

describe('a key file', () => {
  const file = () => path.join(directory, 'ann.jwk');

  beforeEach(async () => {
    await createKey('ann', directory);
  });

  test('that is not there is named, with the way to make one', async () => {
    expect(await errorOf(readKey('bob', directory))).toMatchObject({
      message: `bob has no key in ${directory}.`,
      remedy: expect.stringContaining('holdpoint keys create'),
    });
  });

  test.each([0o640, 0o604, 0o620, 0o601])('of mode %o is not read', async (mode) => {
    await chmod(file(), mode);
    expect(await errorOf(readKey('ann', directory))).toMatchObject({
      message: `The key file ${file()} is open to other users (mode ${mode.toString(8)}).`,
      remedy: `Close it with: chmod 600 ${file()}`,
    });
  });

  test("of somebody else is not read as one's own", async () => {
    await copyFile(file(), path.join(directory, 'bob.jwk'));
    expect((await errorOf(readKey('bob', directory))).message).toContain('it was not made for bob');
  });

  test.each<[string, (jwk: Record<string, string>) => unknown, string]>([
    ['cut in half', (jwk) => JSON.stringify(jwk).slice(0, 120), 'it is not a private Ed25519 key in JWK form'],
    ['without its private part', ({ d: _d, ...jwk }) => jwk, 'it is not a private Ed25519 key in JWK form'],
    ['of another curve', (jwk) => ({ ...jwk, crv: 'X25519' }), 'it is not a private Ed25519 key in JWK form'],
    ['with a private part that is too short', (jwk) => ({ ...jwk, d: jwk.d?.slice(0, 20) }), 'its private part is not an Ed25519 key'],
    ['with a public part of another key', (jwk) => ({ ...jwk, x: jwk.d }), 'its public and private parts do not belong together'],
    ['that is far too large', (jwk) => ({ ...jwk, more: 'x'.repeat(5_000) }), 'and a key has at most 4096'],
  ])('%s is refused without a word of what is in it', async (_title, change, why) => {
    const jwk = JSON.parse(await readFile(file(), 'utf8')) as Record<string, string>;
    const changed = change(jwk);
    await writeFile(file(), typeof changed === 'string' ? changed : JSON.stringify(changed));
    const error = await errorOf(readKey('ann', directory));
    expect(error.message).toContain(`The key file ${file()} cannot be used:`);
    expect(error.message).toContain(why);
    const told = `${error.stack} ${error.remedy} ${String(error.cause)}`;
    for (const secret of [jwk.d, jwk.d?.slice(0, 12)]) expect(told).not.toContain(secret);
  });

  test('that is a directory is refused', async () => {
    await mkdir(path.join(directory, 'bob.jwk'), { mode: 0o700 });
    expect((await errorOf(readKey('bob', directory))).message).toContain('it is not a file');
  });
});

describe('the people with keys', () => {
  test('are listed in order, without other files', async () => {
    await createKey('bob', directory);
    await createKey('ann', directory);
    await writeFile(path.join(directory, 'notes.txt'), '');
    await writeFile(path.join(directory, 'Not-A-Person.jwk'), '');
    expect(await knownPeople(directory)).toEqual(['ann', 'bob']);
  });

  test('are nobody where there is no directory', async () => {
    expect(await knownPeople(directory)).toEqual([]);
  });
});

describe('the key directory', () => {
  test.each<[Record<string, string>, string]>([
    [{ HOLDPOINT_KEYS: '/keys', XDG_CONFIG_HOME: '/xdg', HOME: '/home/ann' }, '/keys'],
    [{ HOLDPOINT_KEYS: '', XDG_CONFIG_HOME: '/xdg', HOME: '/home/ann' }, '/xdg/holdpoint/keys'],
    [{ XDG_CONFIG_HOME: 'relative', HOME: '/home/ann' }, '/home/ann/.config/holdpoint/keys'],
    [{ HOME: '/home/ann' }, '/home/ann/.config/holdpoint/keys'],
    [{}, path.join(homedir(), '.config/holdpoint/keys')],
  ])('for the environment %j is %s', (env, expected) => {
    expect(keyDirectory(env)).toBe(expected);
  });
});

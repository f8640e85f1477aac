import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createEnvironment, type Environment } from './environment.ts';

let environment: Environment;
beforeEach(async () => {
  environment = await createEnvironment();
});
afterEach(() => environment.stop());

const told = (outcome: { lines: { text: string }[] }): string => outcome.lines.map(({ text }) => text).join('');

describe('keys list', () => {
  test('prints each key as holdpoint.yaml has it', async () => {
    const { code, stdout } = await environment.call(['keys', 'list']);
    const configuration = await readFile(join(environment.directory, 'holdpoint.yaml'), 'utf8');
    const keys = [...configuration.matchAll(/^ {2}(\w+): .*key: ([\w-]+)/gm)].map(([, person = '', key = '']) => ({ person, key }));
    expect(keys.length).toBeGreaterThan(2);
    expect(code).toBe(0);
    for (const { person, key } of keys)
      expect(stdout).toContain(`Key file of ${person} in ${environment.directory}/keys:\n  key: ${key}\n`);
  });

  test('says what is wrong with a key or an agent, without a word of the key, and prints the others', async () => {
    const file = join(environment.directory, 'keys', 'ada.jwk');
    const { d } = JSON.parse(await readFile(file, 'utf8')) as { d: string };
    await chmod(file, 0o644);
    environment.env.SSH_AUTH_SOCK = join(environment.directory, 'no-agent.sock');
    const outcome = await environment.call(['keys', 'list']);
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toContain('Key file of grace in');
    expect(outcome.stdout).not.toContain('Key file of ada in');
    expect(outcome.stdout).toContain(`The key file ${file} is open to other users (mode 644).\n  Close it with: chmod 600`);
    expect(outcome.stdout).toContain('no-agent.sock cannot be reached (ENOENT).\n  Start an agent');
    expect(told(outcome)).not.toContain(d);
    const json = JSON.parse((await environment.call(['keys', 'list', '--json'])).stdout) as { problems: unknown[] };
    expect(json.problems).toHaveLength(2);
  });

  test('says how to make a key where there is none', async () => {
    environment.env.HOLDPOINT_KEYS = join(environment.directory, 'none');
    expect((await environment.call(['keys', 'list'])).stdout).toContain('`holdpoint keys create NAME` makes one.');
  });
});

describe('keys of holdpoint.yaml', () => {
  const key = 'AAAAC3NzaC1lZDI1NTE5AAAAIB0vKFHEDY6pzR5KRijtHgpbFRVC1Jv77HwgmlxyzlkU';

  test('are enrolled by a line that can be put there as it is', async () => {
    const file = join(environment.directory, 'id.pub');
    await writeFile(file, `ssh-ed25519 ${key} "eve"@laptop: home\n`);
    const { code, stdout } = await environment.call(['keys', 'enrol', 'eve', file]);
    expect(code).toBe(0);
    expect(stdout).toContain('SHA256:');
    const people = stdout.slice(stdout.indexOf('people:\n') + 'people:\n'.length);
    const configuration = join(environment.directory, 'holdpoint.yaml');
    await writeFile(configuration, (await readFile(configuration, 'utf8')).replace('people:\n', `people:\n${people}`));
    const list = await environment.call(['keys', 'list', '--people']);
    expect(list.code).toBe(0);
    expect(list.stdout).toMatch(/^eve +ssh +SHA256:\S{43} +good$/m);
    expect(list.stdout).toMatch(/^ada +ed25519 +SHA256:\S{43} +good$/m);
  });

  test('are listed with their state, in the zone of the user', async () => {
    const configuration = join(environment.directory, 'holdpoint.yaml');
    const [revoked, over, later] = ['revoked: 2020-01-01T00:00:00Z', 'until: 2021-01-01T00:00:00Z', 'from: 2999-01-01T00:00:00Z'];
    for (const [times, words] of [
      [revoked, 'revoked since 1 Jan 2020'],
      [over, 'over since 1 Jan 2021'],
      [later, 'counts from 1 Jan 2999'],
    ]) {
      const text = await readFile(configuration, 'utf8');
      const line = `  eve: { name: Eve, keys: [{ type: ssh, key: ssh-ed25519 ${key}, ${times} }] }`;
      await writeFile(configuration, text.replace(/people:\n( {2}eve.*\n)?/, `people:\n${line}\n`));
      const { stdout } = await environment.call(['keys', 'list', '--people']);
      expect(stdout).toMatch(new RegExp(`^eve +ssh +\\S+ +${words}, 00:00:00 UTC$`, 'm'));
    }
  });

  test('cannot be enrolled from a private key or a key of another type, whose text is not repeated', async () => {
    const file = join(environment.directory, 'id.pub');
    await writeFile(file, '-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n');
    const outcome = await environment.call(['keys', 'enrol', 'eve', file]);
    expect(outcome.code).toBe(1);
    expect(told(outcome)).toContain('is not one line with a key of type ssh-ed25519.');
    expect(told(outcome)).not.toContain('c2VjcmV0');
    expect((await environment.call(['keys', 'enrol', 'Eve!', file])).code).toBe(2);
  });
});

describe('who signs', () => {
  test.each<[string, string[], Record<string, string>, string]>([
    [
      'a kind of signer that is none',
      ['--as', 'ada'],
      { HOLDPOINT_SIGNER: 'pigeon' },
      'HOLDPOINT_SIGNER is "pigeon", which is no kind of signer.',
    ],
    ['an agent where none is', ['--as', 'ada', '--signer', 'ssh-agent'], {}, 'There is no SSH agent here: SSH_AUTH_SOCK is not set.'],
    ['an agent by the environment', ['--as', 'ada'], { HOLDPOINT_SIGNER: 'ssh-agent' }, 'There is no SSH agent here'],
    [
      'an agent that is gone',
      ['--signer', 'ssh-agent'],
      { SSH_AUTH_SOCK: '/nowhere/agent.sock' },
      'The SSH agent at /nowhere/agent.sock cannot be reached',
    ],
  ])('is refused with %s, before anything is connected to', async (_what, options, env, sentence) => {
    Object.assign(environment.env, env);
    const outcome = await environment.call(['pause', 'eks/eu-central-1/demo', ...options]);
    expect(outcome.code).toBeGreaterThan(0);
    expect(told(outcome)).toContain(sentence);
  });

  test('is the key file with --signer file, whatever the environment says', async () => {
    await writeFile(join(environment.directory, 'keys', 'ada.jwk'), '{}');
    environment.env.HOLDPOINT_SIGNER = 'ssh-agent';
    const outcome = await environment.call(['pause', 'eks/eu-central-1/demo', '--as', 'ada', '--signer', 'file']);
    expect(told(outcome)).toContain('ada.jwk cannot be used: it is not a private Ed25519 key in JWK form.');
  });
});

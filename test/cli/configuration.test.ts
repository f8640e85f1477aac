import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createEnvironment, type Environment } from './environment.ts';

let environment: Environment;
beforeAll(async () => {
  environment = await createEnvironment();
});
afterAll(() => environment.stop());

test.each([
  ['lint', 'node-maintenance'],
  ['evidence', 'verify', 'nowhere'],
])('a holdpoint.yaml that everybody may write to is not believed: %s %s', async (...argv) => {
  const file = join(environment.directory, 'holdpoint.yaml');
  await chmod(file, 0o666);
  const refused = await environment.call([...argv, '--json']);
  const told = `The configuration ${file} is not believed: everybody may write to it (mode 666). Close it with: chmod o-w ${file}`;
  expect([refused.code, JSON.parse(refused.stdout)]).toEqual([2, { error: { code: 'usage', message: told, remedy: null } }]);
  await chmod(file, 0o664);
  expect((await environment.call([...argv, '--json'])).stdout).not.toContain('not believed');
});

test('a kubeconfig with a password in the address of a server is refused without it', async () => {
  const config = {
    clusters: [{ name: 'demo', cluster: { server: 'https://me:a-long-password@127.0.0.1:1' } }],
    users: [{ name: 'me', user: {} }],
    contexts: [{ name: 'demo', context: { cluster: 'demo', user: 'me' } }],
    'current-context': 'demo',
  };
  environment.env.KUBECONFIG = join(environment.directory, 'kubeconfig');
  await writeFile(environment.env.KUBECONFIG, JSON.stringify(config));
  const { code, lines } = await environment.call(['drain', 'n-1', '--plan', '--json']);
  const all = lines.map(({ text }) => text).join('');
  expect([code, all]).toEqual([1, expect.stringContaining('its cluster \\"demo\\" has a password in the address of its server')]);
  expect(all).not.toContain('a-long-password');
});

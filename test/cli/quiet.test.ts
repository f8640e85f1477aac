import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { programCommand } from '../../cli/program-files.ts';

const none = join(tmpdir(), 'holdpoint-has-no-such-file');
/** As a shell has it: nothing of what tests are started with. */
const env = {
  PATH: process.env.PATH,
  HOME: tmpdir(),
  AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
  AWS_ACCESS_KEY_ID: 'nobody',
  AWS_SECRET_ACCESS_KEY: 'nothing',
  AWS_CONFIG_FILE: none,
  AWS_SHARED_CREDENTIALS_FILE: none,
  KUBECONFIG: none,
};

test.each([
  ['the help', ['--help'], /^$/],
  ['the AWS SDK', ['evidence', 'verify', 's3://records/holdpoint/r-20261121-7kq2m'], /^error: .*\n(?: {2}.*\n)?$/],
  ['the Kubernetes client', ['who-blocks', 'node-1'], /^error: .*\n(?: {2}.*\n)?$/],
  ['the client of Temporal', ['runs'], /^error: .*\n(?: {2}.*\n)?$/],
])('%s has nothing to say on stderr but what Holdpoint says', (_what, words, said) => {
  const { command, args } = programCommand('cli/main');
  const { stderr } = spawnSync(command, [...args, ...words], { env: { ...env, TEMPORAL_ADDRESS: '127.0.0.1:1' }, encoding: 'utf8' });
  expect(stderr).toMatch(said);
});

test('Where nobody reads on, it ends without a word.', () => {
  const { command, args } = programCommand('cli/main');
  const words = [command, ...args, '--help'].map((word) => `'${word}'`).join(' ');
  const { stderr, stdout } = spawnSync('sh', ['-c', `(sleep 0.5; ${words}) | head -c 0`], { env, encoding: 'utf8' });
  expect([stdout, stderr]).toEqual(['', '']);
});

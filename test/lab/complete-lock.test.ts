import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { missingFrom } from '../../lab/complete-lock.mjs';

test('package-lock.json names the optional packages of every platform, or `npm ci` would refuse it (npm run lock)', async () => {
  expect(missingFrom(JSON.parse(await readFile('package-lock.json', 'utf8')))).toEqual([]);
});

test('an optional package without an entry is found', () => {
  const lock = { packages: { 'node_modules/a': { optionalDependencies: { 'a-darwin-arm64': '^1.2.3', 'a-linux-x64': '1.2.3' } } } };
  const rest = { 'node_modules/a-linux-x64': { version: '1.2.3' } };
  expect(missingFrom({ packages: { ...lock.packages, ...rest } })).toEqual([{ name: 'a-darwin-arm64', version: '1.2.3', isDev: false }]);
});

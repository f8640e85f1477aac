import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { loadConfiguration } from '../../../runbooks/configuration/configuration.ts';
import { formatProblem } from '../../../runbooks/grammar/problem.ts';

const people = (oidc: string): string => `apiVersion: holdpoint.dev/v1
kind: Configuration
people:
  ada: { name: Ada, key: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo${oidc} }
groups: { sre: [ada] }
policies: { one: { atLeast: 1, of: sre } }
`;
const read = (api: string, oidc = '') => loadConfiguration(`${people(oidc)}api: ${api}\n`, 'h.yaml');
const provider = 'issuer: https://idp.example.com, clientId: x';

test('the holdpoint.yaml of the page on serving has no problem', async () => {
  const page = await readFile('docs/serving-the-console.md', 'utf8');
  const [, text = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  const { configuration, problems } = loadConfiguration(text, 'holdpoint.yaml');
  expect(problems).toEqual([]);
  expect(configuration?.api).toMatchObject({ url: 'https://holdpoint.example.com', oidc: { groupsClaim: 'groups' } });
  expect(configuration?.people.ada?.oidc).toEqual({ issuer: 'https://idp.example.com', subject: '00u1a2b3c4' });
});

test.each([
  ['{ url: "http://holdpoint.example.com" }', 'ust be an https:// address'],
  ['{ url: "https://holdpoint.example.com/console" }', 'Must have no path: write https://holdpoint.example.com.'],
  ['{ url: "http://127.0.0.1:8080" }', 'or http://localhost'],
  ['{ url: "https://u:p@holdpoint.example.com" }', 'without a user'],
  ['{ url: "https://h.example.com", oidc: { issuer: "http://idp.example.com", clientId: x } }', 'ust be an https:// address'],
  ['{ url: "https://h.example.com", oidc: { issuer: "http://localhost:9", clientId: x } }', 'whoever is on the way could sign anybody in'],
  [`{ url: "https://h.example.com", oidc: { ${provider}, clientSecretFile: a, clientSecretFromEnvironment: B } }`, 'not both'],
  [`{ url: "https://h.example.com", oidc: { ${provider}, clientSecret: plain } }`, 'clientSecret'],
  ['{ url: "https://h.example.com", roles: { viewer: [a] } }', 'there is no `oidc`'],
  [`{ url: "https://h.example.com", oidc: { ${provider} }, roles: { approver: [a] } }`, 'approver'],
  ['{ url: "https://h.example.com", tokens: { grafana: { hash: secret } } }', '`holdpoint keys token` makes one'],
  ['{ url: "https://h.example.com", tokens: { Grafana: { hash: x } } }', 'small letters'],
])('api: %s is refused with its place', (api, message) => {
  const told = read(api).problems.map(formatProblem).join('\n');
  expect(told).toContain(message);
  expect(told).toMatch(/^h\.yaml:7:\d+/);
});

test('two people cannot be one at the identity provider', () => {
  const grace = '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c';
  const same = 'oidc: { issuer: "https://idp.example.com", subject: s }';
  const text = people(`, ${same}`).replace(
    'groups:',
    `  grace: { name: Grace, key: ${Buffer.from(grace, 'hex').toString('base64url')}, ${same} }\ngroups:`,
  );
  const { problems } = loadConfiguration(`${text}api: { url: "https://h.example.com" }\n`, 'h.yaml');
  expect(problems.map(formatProblem).join()).toContain('Is also "ada"');
});

test('messages link to the pages where their address is known', () => {
  const notifications = 'notifications: { channels: {}, routes: [] }';
  const { configuration } = loadConfiguration(`${people('')}api: { url: "https://h.example.com/" }\n${notifications}\n`, 'h.yaml');
  expect(configuration?.notifications?.pagesUrl).toBe('https://h.example.com');
});

import { describe, expect, test } from '@jest/globals';
import { loadConfiguration } from '../../../runbooks/configuration/configuration.ts';
import { formatProblem } from '../../../runbooks/grammar/problem.ts';
import { notificationsOf } from '../../../worker/configuration-file.ts';

const people = `apiVersion: holdpoint.dev/v1
kind: Configuration
people: { ada: { name: Ada, key: ${Buffer.alloc(32, 1).toString('base64url')} } }
groups: { sre: [ada] }
policies: { production: { atLeast: 1, of: sre } }
notifications:
`;

function load(channel: string, route = '{ channels: [one] }', rest = '') {
  return loadConfiguration(`${people}  channels: { one: ${channel} }\n  routes: [${route}]\n${rest}`, 'h.yaml');
}

test('channels, routes and templates; paths are relative to the file', () => {
  const { configuration, problems } = load(
    '{ slack: { channel: C024BE91L, tokenFile: slack.token } }, two: { mail: { server: smtp.example.com, user: h, ' +
      'passwordFromEnvironment: SMTP_PASSWORD, from: h@example.com, to: [sre@example.com] } }',
    '{ events: [opened, stuck], policies: [production], groups: [sre], channels: [one, two] }',
    '  templates: { opened: opened.txt }\n',
  );
  expect(problems).toEqual([]);
  expect(notificationsOf('/etc/holdpoint/h.yaml', configuration!)).toEqual({
    channels: {
      one: { kind: 'slack', channel: 'C024BE91L', token: { file: '/etc/holdpoint/slack.token' } },
      two: {
        kind: 'mail',
        server: 'smtp.example.com',
        port: 587,
        tls: 'starttls',
        login: { user: 'h', password: { environment: 'SMTP_PASSWORD' } },
        from: 'h@example.com',
        to: ['sre@example.com'],
      },
    },
    routes: [{ events: ['opened', 'stuck'], policies: ['production'], groups: ['sre'], channels: ['one', 'two'] }],
    templates: { opened: '/etc/holdpoint/opened.txt' },
  });
});

describe('is refused, with its place', () => {
  test.each([
    ['{ slack: { channel: C024BE91L } }', 'notifications.channels.one.slack', 'either `tokenFile` or `tokenFromEnvironment`'],
    ['{ slack: { channel: C024BE91L, token: xoxb-1 } }', 'notifications.channels.one.slack', 'token'],
    ['{ slackWebhook: { urlFile: a, urlFromEnvironment: B } }', 'notifications.channels.one.slackWebhook', 'either `urlFile`'],
    ['{ cloudEvents: { url: "http://example.com", keyFile: k } }', 'notifications.channels.one.cloudEvents.url', 'https://'],
    ['{ cloudEvents: { url: "https://u:p@example.com", keyFile: k } }', 'notifications.channels.one.cloudEvents.url', 'without a user'],
    ['{}', 'notifications.channels.one', 'Must be one of'],
    [
      '{ mail: { server: mx, tls: none, user: u, passwordFile: p, from: a@b, to: [c@d] } }',
      'notifications.channels.one.mail.tls',
      'not encrypted',
    ],
    ['{ mail: { server: mx, from: "a@b, x@y", to: [c@d] } }', 'notifications.channels.one.mail.from', 'mail address'],
  ])('%s', (channel, place, message) => {
    const problems = load(channel).problems.map(formatProblem);
    expect(problems).toEqual([expect.stringContaining(message)]);
    expect(problems[0]).toContain(place);
  });

  test('what a route names and there is not', () => {
    const route = '{ events: [opend], policies: [prod], groups: [sree], channels: [on] }';
    const sound = '{ policies: [prod], groups: [sree], channels: [on] }';
    const channel = '{ slackWebhook: { urlFile: u } }';
    expect(load(channel, route).problems.map(formatProblem)).toEqual([expect.stringContaining('notifications.routes[0].events[0]')]);
    expect(load(channel, sound).problems.map(formatProblem)).toEqual([
      expect.stringContaining('There is no policy "prod"'),
      expect.stringContaining('There is no group "sree". Did you mean "sre"?'),
      expect.stringContaining('There is no channel "on"'),
    ]);
  });
});

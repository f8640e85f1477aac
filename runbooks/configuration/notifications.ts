import * as z from 'zod';
import { notificationEvents, type NotificationEvent, type Route } from '../../domain/notification.ts';
import { didYouMean } from '../../domain/suggestion.ts';
import type { SourceMap } from '../grammar/document.ts';
import type { ValuePath } from '../grammar/problem.ts';
import { httpUrl, isLoopback, secretFile, secretOf, secretVariable, secretWithPath, type Secret } from './secret.ts';

/** Channels, and routes, of one configuration. */
const entriesMax = 100;

/** A way to reach people. */
export type Channel =
  | { kind: 'slack'; channel: string; token: Secret; apiUrl?: string }
  | { kind: 'slackWebhook'; url: Secret }
  | { kind: 'mail'; server: string; port: number; tls: 'starttls' | 'implicit' | 'none'; login?: MailLogin; from: string; to: string[] }
  | { kind: 'cloudEvents'; url: string; key: Secret };

/** How a worker logs in at a mail server. */
export interface MailLogin {
  user: string;
  password: Secret;
}

/** Whom to tell of what, and how. */
export interface Notifications {
  channels: Record<string, Channel>;
  routes: Route[];
  /** Paths of texts in the place of those that are built in. */
  templates: Partial<Record<NotificationEvent, string>>;
  /** Where people reach the pages, without a path; messages have no links where it is left out. */
  pagesUrl?: string;
}

const address = z
  .string()
  .max(320)
  .regex(/^[^\s@<>,;"]+@[^\s@<>,;"]+$/, 'must be a mail address such as sre@example.com');

const slack = z.strictObject({
  channel: z
    .string()
    .regex(/^[A-Z0-9]{3,30}$/, 'must be the id of a channel, such as C024BE91L')
    .describe('Id of the channel.'),
  tokenFile: secretFile('the bot token'),
  tokenFromEnvironment: secretVariable('the bot token'),
  apiUrl: httpUrl.describe('Base of the API for GovSlack; https://slack.com/api/ if left out.').optional(),
});
const slackWebhook = z.strictObject({
  urlFile: secretFile('the address of the incoming webhook, which is a secret'),
  urlFromEnvironment: secretVariable('the address of the incoming webhook'),
});
const mail = z.strictObject({
  server: z.string().min(1).max(253).describe('Host name of the SMTP server.'),
  port: z.int().min(1).max(65_535).describe('Its port; 587 if left out.').optional(),
  tls: z.enum(['starttls', 'implicit', 'none']).describe('How the connection is encrypted; starttls if left out.').optional(),
  user: z.string().min(1).max(320).describe('Who logs in; nobody if left out.').optional(),
  passwordFile: secretFile('the password'),
  passwordFromEnvironment: secretVariable('the password'),
  from: address.describe('The sender.'),
  to: z.array(address).min(1).max(50).describe('The recipients.'),
});
const cloudEvents = z.strictObject({
  url: httpUrl.describe('Where events are sent to, by POST.'),
  keyFile: secretFile('the key that signs them (HMAC-SHA256)'),
  keyFromEnvironment: secretVariable('the key that signs them (HMAC-SHA256)'),
});
const channel = z
  .strictObject({
    slack: slack.describe('A channel of Slack, by a bot (chat.postMessage).').optional(),
    slackWebhook: slackWebhook.describe('A channel of Slack, by an incoming webhook.').optional(),
    mail: mail.describe('Mail, by SMTP.').optional(),
    cloudEvents: cloudEvents.describe('CloudEvents over HTTP.').optional(),
  })
  .meta({ minProperties: 1, maxProperties: 1 });
const route = z.strictObject({
  events: z.array(z.enum(notificationEvents)).min(1).describe('The events that it is for; all of them if left out.').optional(),
  policies: z.array(z.string()).min(1).describe('The policies of holds that it is for; any if left out.').optional(),
  groups: z.array(z.string()).min(1).describe('The groups whose signatures are asked for; any if left out.').optional(),
  channels: z.array(z.string()).min(1).describe('The channels that are told.'),
});

const channelName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'must be made of small letters, digits, `-`, `_` and `.`');

/** The section `notifications` of holdpoint.yaml. */
export const notificationsGrammar = z.strictObject({
  channels: z.record(channelName, channel).describe('Ways to reach people, by name.'),
  routes: z.array(route).max(entriesMax).describe('Which events go to which channels; every route that matches counts.'),
  templates: z
    .partialRecord(z.enum(notificationEvents), z.string().min(1).max(4096))
    .describe('Files with texts in the place of those that are built in, by event; relative to this file.')
    .optional(),
});

type Document = z.output<typeof notificationsGrammar>;

/** Tells what a grammar cannot: that each channel is one, has its secret from one place, and that routes name what there is. */
export function checkNotifications(
  { channels, routes }: Document,
  { policies, groups }: { policies: object; groups: object },
  sourceMap: SourceMap,
): void {
  const count = Object.keys(channels).length;
  if (count > entriesMax) sourceMap.error(['notifications', 'channels'], `Has ${count} entries; at most ${entriesMax} are allowed.`);
  for (const [name, given] of Object.entries(channels)) checkChannel(given, ['notifications', 'channels', name], sourceMap);
  const known = { policies: Object.keys(policies), groups: Object.keys(groups), channels: Object.keys(channels) };
  const single = { policies: 'policy', groups: 'group', channels: 'channel' };
  for (const [index, given] of routes.entries()) {
    for (const part of ['policies', 'groups', 'channels'] as const) {
      for (const [place, name] of (given[part] ?? []).entries()) {
        if (known[part].includes(name)) continue;
        const message = `There is no ${single[part]} "${name}".${didYouMean(name, known[part])}`;
        sourceMap.error(['notifications', 'routes', index, part, place], message);
      }
    }
  }
}

function checkChannel(given: z.output<typeof channel>, path: ValuePath, sourceMap: SourceMap): void {
  const kinds = Object.entries(given).filter(([, value]) => value !== undefined);
  if (kinds.length !== 1) return sourceMap.error(path, 'Must be one of `slack`, `slackWebhook`, `mail`, `cloudEvents`.');
  const needOne = (kind: string, secret: string, fromFile: unknown, fromEnvironment: unknown): void => {
    if ((fromFile === undefined) !== (fromEnvironment === undefined)) return;
    sourceMap.error([...path, kind], `Must name either \`${secret}File\` or \`${secret}FromEnvironment\`.`);
  };
  if (given.slack) needOne('slack', 'token', given.slack.tokenFile, given.slack.tokenFromEnvironment);
  if (given.slackWebhook) needOne('slackWebhook', 'url', given.slackWebhook.urlFile, given.slackWebhook.urlFromEnvironment);
  if (given.cloudEvents) needOne('cloudEvents', 'key', given.cloudEvents.keyFile, given.cloudEvents.keyFromEnvironment);
  const { mail } = given;
  if (!mail) return;
  const hasPassword = mail.passwordFile !== undefined || mail.passwordFromEnvironment !== undefined;
  if (mail.user !== undefined || hasPassword) needOne('mail', 'password', mail.passwordFile, mail.passwordFromEnvironment);
  if (hasPassword && mail.user === undefined) sourceMap.error([...path, 'mail'], 'A password belongs to a `user`.');
  if (hasPassword && mail.tls === 'none' && !isLoopback(mail.server)) {
    sourceMap.error([...path, 'mail', 'tls'], 'A password must not go over a connection that is not encrypted.');
  }
}

/** Of notifications that have been checked. */
export function notificationsOf({ channels, routes, templates = {} }: Document): Notifications {
  return { channels: Object.fromEntries(Object.entries(channels).map(([name, given]) => [name, channelOf(given)])), routes, templates };
}

function channelOf({ slack, slackWebhook, mail, cloudEvents }: z.output<typeof channel>): Channel {
  if (slack) {
    const { channel, apiUrl, tokenFile, tokenFromEnvironment } = slack;
    return { kind: 'slack', channel, token: secretOf(tokenFile, tokenFromEnvironment), ...(apiUrl !== undefined && { apiUrl }) };
  }
  if (slackWebhook) return { kind: 'slackWebhook', url: secretOf(slackWebhook.urlFile, slackWebhook.urlFromEnvironment) };
  if (cloudEvents) {
    return { kind: 'cloudEvents', url: cloudEvents.url, key: secretOf(cloudEvents.keyFile, cloudEvents.keyFromEnvironment) };
  }
  if (!mail) throw new RangeError('a channel that was checked is of one kind');
  const { server, port = 587, tls = 'starttls', user, from, to } = mail;
  const login = user === undefined ? undefined : { user, password: secretOf(mail.passwordFile, mail.passwordFromEnvironment) };
  return { kind: 'mail', server, port, tls, ...(login && { login }), from, to };
}

/** The same with each path as `absolute` makes it. */
export function withPaths({ channels, routes, templates, ...rest }: Notifications, absolute: (path: string) => string): Notifications {
  const secret = (given: Secret): Secret => secretWithPath(given, absolute);
  const complete = Object.entries(channels).map(([name, channel]): [string, Channel] => {
    switch (channel.kind) {
      case 'slack':
        return [name, { ...channel, token: secret(channel.token) }];
      case 'slackWebhook':
        return [name, { ...channel, url: secret(channel.url) }];
      case 'cloudEvents':
        return [name, { ...channel, key: secret(channel.key) }];
      case 'mail': {
        const { login } = channel;
        return [name, login ? { ...channel, login: { ...login, password: secret(login.password) } } : channel];
      }
    }
  });
  const paths = Object.entries(templates).map(([event, path]): [string, string] => [event, absolute(path)]);
  return { channels: Object.fromEntries(complete), routes, templates: Object.fromEntries(paths), ...rest };
}

import type { Message } from '../../domain/notification.ts';
import type { Channel } from '../../runbooks/configuration/notifications.ts';
import { readSecret, SecretError } from '../secret.ts';
import type { Delivery, Send } from './channel.ts';
import { cloudEvents } from './cloud-events.ts';
import { mail } from './mail.ts';
import { slackBot, slackWebhook } from './slack.ts';

/** Sends a message over a channel, with the secret as it is now. Never throws, and tells nothing of the secret. */
export async function send(channel: Channel, message: Message): Promise<Delivery> {
  try {
    return await (
      await senderOf(channel)
    )(message);
  } catch (error) {
    if (error instanceof SecretError) return { state: 'refused', reason: error.message };
    return { state: 'failed', reason: 'it could not be sent' };
  }
}

async function senderOf(channel: Channel): Promise<Send> {
  switch (channel.kind) {
    case 'slack':
      return slackBot({ ...channel, token: await readSecret(channel.token) });
    case 'slackWebhook':
      return slackWebhook(await readSecret(channel.url));
    case 'cloudEvents':
      return cloudEvents({ url: channel.url, key: await readSecret(channel.key) });
    case 'mail': {
      const { login, ...rest } = channel;
      return mail({ ...rest, ...(login && { login: { user: login.user, password: await readSecret(login.password) } }) });
    }
  }
}

import { ErrorCode, LogLevel, WebClient } from '@slack/web-api';
import type { Message } from '../../domain/notification.ts';
import { boundedFetch, HttpError } from '../http.ts';
import { retryAfterMaxMs, sendLimits, type Delivery, type Send } from './channel.ts';
import { deliveryAfter, deliveryOf } from './http-answer.ts';

/** Slack cuts longer texts off or refuses them. */
const textCharactersMax = 10_000;
/** Errors of Slack that pass by themselves; the others mean that somebody has to change something. */
const passingErrors = ['ratelimited', 'rate_limited', 'internal_error', 'fatal_error', 'service_unavailable', 'request_timeout'];
/** What the client would write could hold tokens. */
const noLogger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  setLevel: () => undefined,
  getLevel: () => LogLevel.ERROR,
  setName: () => undefined,
};

/** A channel of Slack, as a bot. */
export function slackBot({ token, channel, apiUrl }: { token: string; channel: string; apiUrl?: string }): Send {
  return async (message) => {
    // What the connection came to: the client tells it in other words.
    let trouble: HttpError | undefined;
    const client = new WebClient(token, {
      logger: noLogger,
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
      allowAbsoluteUrls: false,
      ...(apiUrl !== undefined && { slackApiUrl: apiUrl }),
      fetch: async (url, init) => {
        try {
          return await boundedFetch(url, init ?? {}, sendLimits);
        } catch (error) {
          if (error instanceof HttpError) trouble = error;
          throw error;
        }
      },
    });
    try {
      await client.chat.postMessage({ channel, ...payloadOf(message), unfurl_links: false, unfurl_media: false, parse: 'none' });
      return { state: 'delivered' };
    } catch (error) {
      return trouble ? deliveryAfter(trouble) : deliveryOfError(error);
    }
  };
}

function deliveryOfError(error: unknown): Delivery {
  const { code, retryAfter, statusCode, data } = error as {
    code?: string;
    retryAfter?: number;
    statusCode?: number;
    data?: { error?: string };
  };
  if (code === ErrorCode.RateLimitedError) {
    const wait = Math.min((retryAfter ?? 1) * 1000, retryAfterMaxMs);
    return { state: 'failed', reason: 'Slack asks to wait (429)', retryAfterMs: wait };
  }
  if (code === ErrorCode.PlatformError) {
    const said = /^[a-z_]{1,60}$/.test(data?.error ?? '') ? (data?.error ?? '') : 'an error without a name';
    return { state: passingErrors.includes(said) ? 'failed' : 'refused', reason: `Slack answered ${said}` };
  }
  if (code === ErrorCode.HTTPError && statusCode !== undefined) return deliveryOf(new Response(null, { status: statusCode }));
  return { state: 'failed', reason: 'Slack gave no answer that can be understood' };
}

/** A channel of Slack, by an incoming webhook. */
export function slackWebhook(url: string): Send {
  return async (message) => {
    if (!URL.canParse(url)) return { state: 'refused', reason: 'what is in the place of the address of the webhook is none' };
    try {
      const headers = { 'content-type': 'application/json' };
      return deliveryOf(await boundedFetch(url, { method: 'POST', headers, body: JSON.stringify(payloadOf(message)) }, sendLimits));
    } catch (error) {
      return deliveryAfter(error);
    }
  };
}

/**
 * The text is one preformatted block, in which Slack reads nothing: no mention, link or format. The title, shown where there is no room for
 * blocks, has the three characters escaped that Slack begins any of these with.
 */
function payloadOf({ title, text }: Message) {
  return {
    text: title.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;'),
    blocks: [
      {
        type: 'rich_text' as const,
        elements: [
          { type: 'rich_text_preformatted' as const, elements: [{ type: 'text' as const, text: text.slice(0, textCharactersMax) }] },
        ],
      },
    ],
  };
}

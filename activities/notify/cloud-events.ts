import { createHmac } from 'node:crypto';
import { CloudEvent, HTTP } from 'cloudevents';
import { boundedFetch } from '../http.ts';
import { sendLimits, type Send } from './channel.ts';
import { deliveryAfter, deliveryOf } from './http-answer.ts';

/** The header with the time and the signature of a request: `t=<seconds since 1970>,v1=<hex>`. */
export const signatureHeader = 'holdpoint-signature';

/**
 * CloudEvents 1.0 in structured mode. Each request is signed by HMAC-SHA256 over `<t>.<body>`, so that a receiver can tell who sent it and
 * refuse an old one; a repeat has the same `source` and `id`.
 */
export function cloudEvents({ url, key }: { url: string; key: string }): Send {
  return async ({ id, event, at, run, target, title, text, mark, values }) => {
    try {
      const made = new CloudEvent({
        id,
        type: `dev.holdpoint.${event}`,
        source: `/holdpoint/${target === '' ? 'test' : target}`,
        ...(run !== '' && { subject: run }),
        time: at,
        datacontenttype: 'application/json',
        data: { ...values, event, title, text, ...(mark && { mark }) },
      });
      const { headers, body } = HTTP.structured(made);
      const sentAt = Math.floor(Date.now() / 1000);
      const signature = createHmac('sha256', key)
        .update(`${sentAt}.${String(body)}`)
        .digest('hex');
      const signed = { ...(headers as Record<string, string>), [signatureHeader]: `t=${sentAt},v1=${signature}` };
      return deliveryOf(await boundedFetch(url, { method: 'POST', headers: signed, body: String(body) }, sendLimits));
    } catch (error) {
      return deliveryAfter(error);
    }
  };
}

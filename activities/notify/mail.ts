import { Readable } from 'node:stream';
import { createTransport } from 'nodemailer';
import { sendLimits, type Delivery, type Send } from './channel.ts';

/** A mail server, and who writes to whom. */
export interface MailSettings {
  server: string;
  port: number;
  tls: 'starttls' | 'implicit' | 'none';
  login?: { user: string; password: string };
  from: string;
  to: string[];
}

/** Mail, as plain text. */
export function mail({ server, port, tls, login, from, to }: MailSettings): Send {
  return async ({ id, title, text, mark }) => {
    const { timeoutMs } = sendLimits;
    let isUnderWay = false;
    // Read when the server has let us in: from there on, only its answer tells whether it has taken the mail.
    const read = function* (): Generator<string> {
      isUnderWay = true;
      yield text;
    };
    const transport = createTransport({
      host: server,
      port,
      secure: tls === 'implicit',
      requireTLS: tls === 'starttls',
      ignoreTLS: tls === 'none',
      ...(login && { auth: { user: login.user, pass: login.password } }),
      dnsTimeout: timeoutMs,
      connectionTimeout: timeoutMs,
      greetingTimeout: timeoutMs,
      socketTimeout: timeoutMs,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    try {
      await transport.sendMail({
        from,
        to,
        subject: title,
        text: Readable.from(read()),
        // A repeat has the same, so that programs can tell.
        messageId: `<${id.replace(/[^\w.-]/g, '.')}@${from.slice(from.lastIndexOf('@') + 1)}>`,
        headers: { 'Auto-Submitted': 'auto-generated', ...(mark && { 'Holdpoint-Mark': mark }) },
      });
      return { state: 'delivered' };
    } catch (error) {
      return deliveryAfter(error, isUnderWay);
    } finally {
      transport.close();
    }
  };
}

function deliveryAfter(error: unknown, isUnderWay: boolean): Delivery {
  const { code, command, responseCode } = error as { code?: string; command?: string; responseCode?: number };
  // What servers say can repeat what was sent, such as a login.
  if (responseCode !== undefined) {
    const isFinal = responseCode >= 500;
    return { state: isFinal ? 'refused' : 'failed', reason: `the mail server answered ${responseCode} to ${command ?? 'the mail'}` };
  }
  const reason = `the connection to the mail server failed (${code ?? 'unknown'})`;
  return { state: isUnderWay ? 'unsure' : 'failed', reason };
}

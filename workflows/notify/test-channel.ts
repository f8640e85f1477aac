import type { TestResult } from '../messages.ts';
import { sender } from '../proxies.ts';

/** Sends a message that is marked as a test over a channel, once. */
export async function testChannel({ channel }: { channel: string }): Promise<TestResult> {
  const outcome = await sender.testChannel({ channel: String(channel) });
  return outcome.state === 'delivered' ? { delivered: true } : { delivered: false, reason: outcome.reason };
}

import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import { getExternalWorkflowHandle, sleep, workflowInfo } from '@temporalio/workflow';
import { endingKind, undeliveredKind } from '../../domain/evidence/evidence.ts';
import type { NotificationTrouble } from '../../domain/run/state.ts';
import { notificationSignal, type NotificationNews, type NotifyInput } from '../messages.ts';
import { router, sender } from '../proxies.ts';
import { EvidenceLog, undeliveredEntry } from '../run/evidence-log.ts';

/** How often a message is tried over a channel that does not take it: over about an hour. */
const attemptsMax = 12;
/** How often it is sent again when nobody knows whether it has arrived. */
const repeatsMax = 1;
const waitFirstMs = 1_000;
const waitFactor = 3;
const waitMaxMs = 10 * 60_000;
/** What troubles are told of where nobody could find out whom to tell. */
const everyChannel = '(all)';

/** What became of one attempt. */
type Outcome = Awaited<ReturnType<typeof sender.sendNotification>>;

/**
 * Tells people of one entry of a record, over each channel by itself. A run starts it and does not wait for it. What cannot be delivered
 * is told to the run; where that is over, it is in a record of its own.
 */
export async function notify(input: NotifyInput): Promise<void> {
  const { run, sequence } = input;
  const untold = await tellAll(input);
  if (untold.length === 0) return;
  const record = new EvidenceLog(`notify-${workflowInfo().runId}`, 0);
  for (const trouble of untold) await record.write(undeliveredKind, { ...undeliveredEntry(trouble), run });
  await record.write(endingKind, { phase: 'done', reason: `people were not told of entry ${sequence} of ${run}`, leftovers: [] });
}

/** Returns what could not be delivered, nor told to the run. */
async function tellAll(input: NotifyInput): Promise<NotificationTrouble[]> {
  const { run, sequence } = input;
  let routed: Awaited<ReturnType<typeof router.routeNotification>>;
  try {
    routed = await router.routeNotification({ run, sequence });
  } catch (error) {
    const trouble: NotificationTrouble = {
      sequence,
      event: 'unknown',
      channel: everyChannel,
      state: 'undelivered',
      reason: '',
      attempts: 1,
    };
    trouble.reason = reasonOf(error);
    return (await isToldToRun(input, trouble)) ? [] : [trouble];
  }
  const { event = 'unknown', channels } = routed;
  const troubles = await Promise.all(channels.map((channel) => deliver(input, event, channel)));
  return troubles.flatMap((trouble) => trouble ?? []);
}

/** Returns the trouble where a message could not be delivered, and the run could not be told of that. */
async function deliver(input: NotifyInput, event: string, channel: string): Promise<NotificationTrouble | undefined> {
  const { run, sequence } = input;
  let unsure = 0;
  for (let attempts = 1; ; attempts += 1) {
    const outcome = await attempt({ run, sequence, channel, mayRepeat: unsure > 0 });
    const told = { sequence, event, channel, attempts };
    if (outcome.state === 'delivered') {
      if (attempts > 1) await isToldToRun(input, { ...told, state: 'delivered', reason: '' });
      return undefined;
    }
    if (outcome.state === 'unsure') unsure += 1;
    const { reason } = outcome;
    if (outcome.state === 'refused' || unsure > repeatsMax || attempts >= attemptsMax) {
      const arrived = unsure > 0 ? '; nobody knows whether it has arrived' : '';
      const trouble = { ...told, state: 'undelivered' as const, reason: `${reason}${arrived}` };
      return (await isToldToRun(input, trouble)) ? undefined : trouble;
    }
    if (attempts === 1) await isToldToRun(input, { ...told, state: 'trying', reason });
    const asked = outcome.state === 'failed' ? (outcome.retryAfterMs ?? 0) : 0;
    await sleep(Math.max(asked, Math.min(waitFirstMs * waitFactor ** (attempts - 1), waitMaxMs)));
  }
}

/** A worker that dies while it sends leaves it open whether the message has gone out. */
async function attempt(request: Parameters<typeof sender.sendNotification>[0]): Promise<Outcome> {
  try {
    return await sender.sendNotification(request);
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error;
    // What the activity itself throws, it throws before it sends.
    return error.cause instanceof ApplicationFailure
      ? { state: 'failed', reason: error.cause.message }
      : { state: 'unsure', reason: 'the worker was lost while it was sent' };
  }
}

/** Tells the run how it goes; false where it is over, or nobody can say. */
async function isToldToRun({ run, target }: NotifyInput, news: Omit<NotificationNews, 'run'>): Promise<boolean> {
  try {
    if (!(await router.isOpenRun({ run, target }))) return false;
    await getExternalWorkflowHandle(target).signal(notificationSignal, { ...news, run });
    return true;
  } catch {
    return false;
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}

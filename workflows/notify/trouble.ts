import type { NotificationTrouble, RunState } from '../../domain/run/state.ts';
import { cut } from '../../domain/visible.ts';
import type { NotificationNews } from '../messages.ts';

/** Troubles that are shown; older ones give way. */
const shownMax = 20;
/** How much of each text is kept: anybody can send a signal. */
const charactersMax = 500;

/**
 * Takes news into what is shown of a run. Returns the trouble where it is to go into the record, which is where people will not be told any
 * more. What is not for this run, or has not the shape of news, is passed over.
 */
export function takeNews(state: RunState, news: NotificationNews): NotificationTrouble | undefined {
  const given: Partial<Record<keyof NotificationNews, unknown>> | undefined = news;
  const { run, sequence, event, channel, reason, attempts, state: becomes } = given ?? {};
  if (run !== state.run || !Number.isSafeInteger(sequence) || !Number.isSafeInteger(attempts)) return undefined;
  if (typeof event !== 'string' || typeof channel !== 'string' || typeof reason !== 'string') return undefined;
  const others = (state.notifications ?? []).filter((known) => known.sequence !== sequence || known.channel !== channel);
  if (becomes !== 'trying' && becomes !== 'undelivered') {
    state.notifications = others;
    return undefined;
  }
  const [told, over, why] = [event, channel, reason].map((text) => cut(text, charactersMax)) as [string, string, string];
  const counts = { sequence: sequence as number, attempts: attempts as number };
  const trouble: NotificationTrouble = { ...counts, event: told, channel: over, reason: why, state: becomes };
  state.notifications = [...others, trouble].slice(-shownMax);
  if (becomes !== 'undelivered') return undefined;
  state.undelivered = (state.undelivered ?? 0) + 1;
  return trouble;
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { HeldConnection } from '../../domain/database/probe-report.ts';
import { nowMs } from './heartbeat-sender.ts';
import { DatabaseTrouble, type Connect } from './session.ts';

const lookMs = 250;

/** Holds a connection open and writes over it now and then; `seen` is told of each change. Ends with the signal, or with the connection. */
export async function holdConnection(
  connect: Connect,
  write: (session: Awaited<ReturnType<Connect>>) => Promise<void>,
  timeoutMs: number,
  seen: (held: HeldConnection) => void,
  signal: AbortSignal,
): Promise<void> {
  const session = await connect(timeoutMs).catch(() => undefined);
  if (!session) return;
  const { server } = session;
  let held: HeldConnection = {
    server,
    openedMs: nowMs(),
    lastAnswerMs: nowMs(),
    lastAnswer: 'accepted',
    refusedFromMs: null,
    cutMs: null,
  };
  while (!signal.aborted && held.cutMs === null) {
    const trouble = await write(session).then(
      () => undefined,
      (error: unknown) => (error instanceof DatabaseTrouble ? error : new DatabaseTrouble('unknown trouble', true)),
    );
    const atMs = nowMs();
    if (trouble?.isUnanswered) held = { ...held, cutMs: atMs };
    else if (trouble) held = { ...held, lastAnswerMs: atMs, lastAnswer: trouble.message, refusedFromMs: held.refusedFromMs ?? atMs };
    else held = { ...held, lastAnswerMs: atMs, lastAnswer: 'accepted' };
    seen(held);
    await sleep(lookMs, undefined, { signal }).catch(() => undefined);
  }
  session.close();
}

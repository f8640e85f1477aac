import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { WorkflowNotFoundError } from '@temporalio/client';
import { requestsPlannedMax } from '../../activities/index.ts';
import { decideUpdate, planWorkflow, type DecisionRequest } from '../../workflows/messages.ts';
import { documentOf, runbookOf, startEngine, untilTrue, workAtOnce, type Engine } from '../support/engine.ts';
import { isExhaustive } from '../support/exhaustive.ts';
import { startMortalServer, type MortalServer } from '../support/mortal-server.ts';

/** Limits of a server that is nearly too small for a run: its own are ten and four times as large. The last is that of docs/security. */
const lowered = {
  'limit.historyCount.error': 5_000,
  'limit.historySize.error': 12 * 1024 * 1024,
  'history.maxInFlightUpdatePayloads': 2 * 1024 * 1024,
};
const signalsAtOnce = 100;
/** A run leaves a history of 4,000 events, in mid-step too. */
const eventsMax = 4_200;
/** And one of 8 MiB, when it hears of the next message. */
const bytesMax = 10_000_000;
const largeCharacters = 1_900_000;
const requests = 2 * requestsPlannedMax;
/** Each is below what gRPC takes, and the answer of a worker to two of them is not. */
const wordCharacters = 3_000_000;
const wordTimeoutMs = 3_000;

let directory: string;
let server: MortalServer;
let engine: Engine;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-limits-'));
  server = await startMortalServer(directory, lowered);
  engine = await startEngine('limits', undefined, server.address);
});
afterAll(async () => {
  await engine.stop();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

function unlessOver(error: unknown): void {
  if (!(error instanceof WorkflowNotFoundError)) throw error;
}

test.each<[string, number, string]>([
  ['many messages', signalsAtOnce, 'x'],
  ...(isExhaustive ? [['large messages', 1, 'x'.repeat(largeCharacters)] as [string, number, string]] : []),
])(
  'a run whose history is filled with %s goes on in a new one before the server ends it',
  async (_what, atOnce, text) => {
    const { run, target, site } = await engine.working((site) => site.slow.add('first'));
    await untilTrue(() => site.marks.size > 0);
    const first = (await engine.handle(target).describe()).runId;
    for (;;) {
      const { runId, historyLength, historySize = 0 } = await engine.handle(target).describe();
      if (runId !== first || historyLength >= eventsMax || historySize >= bytesMax) break;
      // Where the run goes on in a new one at that moment, Temporal says that it is over; how it ended is looked at below.
      const messages = Array.from({ length: atOnce }, () => engine.handle(target).signal('anything', text).catch(unlessOver));
      await Promise.all(messages);
    }
    await untilTrue(async () => (await engine.handle(target).describe()).runId !== first);
    const { status, historyLength } = await engine.client.workflow.getHandle(target, first).describe();
    expect(status.name).toBe('CONTINUED_AS_NEW');
    expect(historyLength).toBeLessThan(lowered['limit.historyCount.error']);
    site.finishSlow();
    await engine.until(target, 'done');
    expect(site.done).toEqual(['first', 'second', 'third']);
    const kinds = await engine.verifiedKinds(run);
    expect(kinds.filter((kind) => kind === 'step.started')).toHaveLength(1);
  },
  300_000,
);

test('several large words at once are turned away by a server with the limit of docs/security, and the run goes on', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster);
  await engine.until(target, 'holding');
  const { connection } = engine.client;
  const word = { person: 'ada', run, reason: 'x'.repeat(wordCharacters) } as unknown as DecisionRequest;
  const send = (): Promise<unknown> => engine.handle(target).executeUpdate(decideUpdate, { args: [word] });
  const words = Promise.allSettled([send, send, send].map((one) => connection.withDeadline(Date.now() + wordTimeoutMs, one)));
  // A genuine one beside them counts.
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  expect((await words).map(({ status }) => status)).toEqual(Array(3).fill('rejected'));
  expect(site.done).toEqual(['first', 'second', 'third']);
  const { events } = await engine.handle(target).fetchHistory();
  expect((events ?? []).filter((event) => event.workflowTaskFailedEventAttributes)).toEqual([]);
});

test('requests for plans that nobody has signed leave a worker room for what was signed', async () => {
  const signed = engine.newSite();
  await engine.begin(signed.cluster, runbookOf());
  await engine.until(signed.target, 'holding');
  const { cluster, site } = engine.newSite();
  let open = (): void => undefined;
  site.planGate = new Promise((resolve) => (open = resolve));
  const document = documentOf('\n  - { id: look, uses: eks.preflight }');
  const asked = Array.from({ length: requests }, () =>
    engine.client.workflow.execute(planWorkflow, {
      workflowId: `plan-${randomUUID()}`,
      taskQueue: engine.settings.taskQueue,
      workflowExecutionTimeout: 120_000,
      args: [{ document, inputs: { cluster } }],
    }),
  );
  let refused = 0;
  for (const one of asked) one.catch(() => (refused += 1));
  const answers = Promise.allSettled(asked);
  await untilTrue(() => site.planning === requestsPlannedMax);
  await engine.decide(signed.target, 'ada');
  await engine.until(signed.target, 'done');
  expect(signed.site.done).toEqual(['first', 'second', 'third']);
  expect(site.planning).toBeLessThanOrEqual(requestsPlannedMax);
  // Those that are turned away are told so; the others are answered, and so are genuine ones afterwards.
  await untilTrue(() => refused > 0);
  open();
  const told = (await answers).map((answer) => (answer.status === 'fulfilled' ? 'planned' : messagesOf(answer.reason)));
  expect(told.filter((one) => one === 'planned').length).toBeGreaterThanOrEqual(requestsPlannedMax);
  // Where the machine stands still for as long as a worker may be silent, Temporal gives requests up, whose worker did nothing wrong.
  for (const one of told) expect(one).toMatch(/^planned$|other documents to check first|activity Heartbeat timeout/);
  expect((await engine.holdpoint.plan(workAtOnce, { cluster })).spans).toHaveLength(1);
}, 300_000);

function messagesOf(error: unknown): string {
  return error instanceof Error ? `${error.message}: ${messagesOf(error.cause)}` : '';
}

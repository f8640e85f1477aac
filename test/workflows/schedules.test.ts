import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { calendarsOf } from '../../domain/calendar/definition.ts';
import { clockChangeDefault } from '../../domain/calendar/window.ts';
import { statementFor } from '../../domain/approval/statement.ts';
import { digestOf } from '../../domain/plan/plan.ts';
import type { Phase, RunState } from '../../domain/run/state.ts';
import type { RunbookDocument } from '../../domain/runbook.ts';
import type { ScheduleToApply, KeptOutcome } from '../../client/schedules.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { checkInputs, targetOf } from '../../runbooks/compiler/inputs.ts';
import type { Signer } from '../../client/signing.ts';
import type { Channel } from '../../runbooks/configuration/notifications.ts';
import { runWorkflow, type RunInput } from '../../workflows/messages.ts';
import { startEndpoint } from '../support/endpoint.ts';
import { TestsBeside } from '../support/in-turns.ts';
import { documentOf, runbookOf, startEngine, untilTrue, workAtOnce, type Engine, type Person, type Site } from '../support/engine.ts';

const hourMs = 3_600_000;
const twoHolds = documentOf(`
  - { id: first, hold: one }
  - { id: look, uses: eks.preflight }
  - { id: second, hold: one }
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }`);

const besides = new TestsBeside(2);
let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('schedules');
  besides.begin();
});
afterAll(async () => {
  for (const { name } of await engine.holdpoint.schedules.list()) {
    // Those of other tests go by, and a busy server may need more than one try.
    await untilTrue(() =>
      engine.holdpoint.schedules.delete(name).then(
        () => true,
        () => false,
      ),
    );
  }
  await engine.stop();
});

interface Given {
  document?: RunbookDocument;
  /** How long ago the opening began; negative for one that is to come. */
  agoMs?: number;
  durationMs?: number;
  freezes?: { from: string; until: string; why: string }[];
  catchUpMs?: number;
  jitterMs?: number;
  person?: Person;
}

interface Scheduled {
  name: string;
  cluster: string;
  target: string;
  site: Site;
  toApply: ScheduleToApply;
  opensMs: number;
  opens: string;
  closes: string;
}

/** A schedule with a calendar of its own, whose only opening of this year is at hand, as the worker and the client know it. */
function newSchedule(given: Given = {}): Scheduled {
  const { document = runbookOf(), agoMs = 60_000, durationMs = hourMs, freezes = [], catchUpMs = 0, jitterMs = 0, person = 'dana' } = given;
  const { cluster, target, site } = engine.newSite();
  const name = `s-${randomUUID().slice(0, 8)}`;
  const opensMs = Math.floor((Date.now() - agoMs) / 1_000) * 1_000;
  const start = new Date(opensMs).toISOString().slice(0, 19);
  const calendars = (engine.configuration.calendars ??= {});
  calendars[name] = { zone: 'UTC', rrule: 'FREQ=YEARLY', start, durationMs, dst: clockChangeDefault, freezes };
  const { runbook } = compileRunbook(document.text, document.file, engine.configuration);
  if (!runbook) throw new Error('the runbook cannot be used');
  const { inputs } = checkInputs(runbook, { cluster });
  const claims = {
    person,
    schedule: name,
    target: targetOf(runbook, inputs),
    runbook: runbook.digest,
    inputsHash: digestOf(inputs),
    calendar: name,
    jitterMs,
    catchUpMs,
  };
  const calendar = calendarsOf(calendars).calendars.get(name)!;
  const [opens, closes] = [new Date(opensMs).toISOString(), new Date(opensMs + durationMs).toISOString()];
  return { name, cluster, target, site, toApply: { claims, document, runbook, inputs, calendar }, opensMs, opens, closes };
}

async function apply({ toApply }: Scheduled): Promise<void> {
  await engine.holdpoint.schedules.apply(toApply, engine.keys[toApply.claims.person as Person], Date.now());
}

/** Has Temporal give the alarm of the opening that has begun already, as it does after it was down. */
async function alarm({ name, opensMs }: Scheduled): Promise<void> {
  const [start, end] = [new Date(opensMs - 1_000), new Date(opensMs + 1_000)];
  await engine.client.schedule.getHandle(`schedule/${name}`).backfill({ start, end, overlap: 'ALLOW_ALL' });
}

async function outcomesOf({ name }: Scheduled, count = 1): Promise<KeptOutcome[]> {
  let outcomes: KeptOutcome[] = [];
  await untilTrue(async () => {
    outcomes = await engine.holdpoint.schedules.outcomes(await engine.holdpoint.schedules.get(name));
    return outcomes.length >= count && outcomes.every(({ state }) => state !== 'waiting');
  });
  return outcomes;
}

async function replayAlarm(scheduled: Scheduled, name: string): Promise<void> {
  await outcomesOf(scheduled);
  const { description } = await engine.holdpoint.schedules.get(scheduled.name);
  const { workflowId } = description.info.recentActions[0]!.action.workflow;
  await engine.replay(workflowId, { name });
}

/** The run that the alarm starts, as soon as it is in that phase. */
async function runOf({ target }: Scheduled, phase: Phase): Promise<RunState> {
  await untilTrue(() =>
    engine
      .handle(target)
      .describe()
      .then(() => true)
      .catch(() => false),
  );
  return engine.until(target, phase);
}

/** Signs the plan of each hold, and what comes before the first one, for the opening. */
async function signInAdvance(scheduled: Scheduled, person: Person, holds: string[]): Promise<string[]> {
  const { toApply, opens, closes, cluster, name } = scheduled;
  const { claims, document } = toApply;
  const forecast = await engine.holdpoint.plan(document, { cluster });
  const signed: string[] = [];
  for (const { hold, plan } of forecast.spans) {
    const id = hold?.id ?? '(start)';
    if (!holds.includes(id)) continue;
    const statement = statementFor(
      {
        kind: 'pre-approval',
        target: claims.target,
        runbook: claims.runbook,
        inputs: claims.inputsHash,
        hold: id,
        policy: hold?.policy ?? '(start)',
        planHash: plan.hash,
        notBefore: opens,
        notAfter: closes,
        reason: 'read it before',
      },
      { person, at: new Date().toISOString(), nonce: randomUUID() },
    );
    signed.push(await engine.keys[person].sign(statement));
  }
  await engine.holdpoint.schedules.changePreApprovals(name, (before) => [...before, ...signed]);
  return signed;
}

test('a scheduled run whose plan was signed in advance for its opening goes through without asking', async () => {
  const scheduled = newSchedule();
  await apply(scheduled);
  await signInAdvance(scheduled, 'ada', ['sign']);
  await alarm(scheduled);
  const state = await runOf(scheduled, 'done');
  expect(state.requester).toBe('dana');
  expect(state.schedule).toEqual({ name: scheduled.name, opens: scheduled.opens, closes: scheduled.closes });
  expect(scheduled.site.done).toEqual(['first', 'second', 'third']);
  const kinds = await engine.verifiedKinds(state.run);
  expect(kinds.slice(0, 4)).toEqual(['run.scheduled', 'plan.made', 'step.started', 'step.done']);
  expect(kinds).toContain('pre-approval.accepted');
  await engine.replay(scheduled.target, { name: 'scheduled' });
  await replayAlarm(scheduled, 'schedule-started');
});

test('what was signed in advance does not count for another plan: people are asked, and told why', async () => {
  const scheduled = newSchedule();
  await apply(scheduled);
  await signInAdvance(scheduled, 'ada', ['sign']);
  scheduled.site.generation = 2;
  await alarm(scheduled);
  const { run, hold } = await runOf(scheduled, 'holding');
  expect(hold?.decisions).toEqual([]);
  expect(hold?.notInAdvance).toEqual([{ person: 'ada', reason: expect.stringContaining('The pre-approval of ada is for plan sha256:') }]);
  expect(scheduled.site.done).toEqual([]);
  await engine.decide(scheduled.target, 'ada');
  await engine.until(scheduled.target, 'done');
  await expect(engine.verifiedKinds(run)).resolves.toContain('attempt.refused');
});

besides.test('what was signed in advance does not count when its opening is over', async () => {
  const scheduled = newSchedule({ document: twoHolds, agoMs: 260_000, durationMs: 300_000 });
  await apply(scheduled);
  await signInAdvance(scheduled, 'grace', ['second']);
  await alarm(scheduled);
  await runOf(scheduled, 'holding');
  await untilTrue(() => Date.now() > scheduled.opensMs + 300_000);
  await engine.decide(scheduled.target, 'ada');
  const { hold } = await engine.until(
    scheduled.target,
    (state) => state.hold?.request.hold === 'second' && state.hold.notInAdvance !== undefined,
  );
  expect(hold?.notInAdvance).toEqual([{ person: 'grace', reason: expect.stringContaining('could start until') }]);
  await engine.decide(scheduled.target, 'grace');
  await engine.until(scheduled.target, 'done');
});

besides.test('how late a run may start does not limit what was signed in advance for its later holds', async () => {
  const scheduled = newSchedule({ document: twoHolds, agoMs: 0, catchUpMs: 40_000 });
  await apply(scheduled);
  await signInAdvance(scheduled, 'grace', ['second']);
  await alarm(scheduled);
  await runOf(scheduled, 'holding');
  await untilTrue(() => Date.now() > scheduled.opensMs + 40_000);
  await engine.decide(scheduled.target, 'ada');
  await engine.until(scheduled.target, 'done');
});

test('a signature in advance that has been counted can be taken back, and is not counted again', async () => {
  const scheduled = newSchedule({ document: runbookOf({ policy: 'two' }) });
  await apply(scheduled);
  await signInAdvance(scheduled, 'ada', ['sign']);
  await alarm(scheduled);
  const state = await runOf(scheduled, 'holding');
  expect(state.hold?.decisions).toEqual([expect.objectContaining({ person: 'ada', inAdvance: true })]);
  const { holdpoint, keys } = engine;
  await expect(holdpoint.withdraw(state, 'not tonight', keys.ada)).resolves.toEqual({ state: 'waiting', missing: 2 });
  // The plan changes, and is back to what was signed in advance.
  for (const [generation, number] of [
    [2, 2],
    [1, 3],
  ] as const) {
    scheduled.site.generation = generation;
    for (const person of ['grace', 'linus'] as const) await engine.decide(scheduled.target, person);
    await engine.until(scheduled.target, ({ hold }) => hold?.request.number === number);
  }
  const { hold } = await engine.until(scheduled.target, 'holding');
  expect(hold?.request.planHash).toBe(state.hold?.request.planHash);
  expect(hold?.notInAdvance).toEqual([{ person: 'ada', reason: expect.stringContaining('it counts once') }]);
  expect([hold?.decisions, scheduled.site.done]).toEqual([[], []]);
  await engine.decide(scheduled.target, 'ada', 'reject');
  await engine.until(scheduled.target, 'rejected');
  await expect(engine.verifiedKinds(state.run)).resolves.toEqual(expect.arrayContaining(['pre-approval.accepted', 'decision.withdrawn']));
  await engine.replay(scheduled.target);
});

test('Temporal is told of the jitter, to skip what overlaps, and to catch up within an opening only', async () => {
  const scheduled = newSchedule({ jitterMs: 90_000, durationMs: 2 * hourMs, agoMs: -hourMs });
  await apply(scheduled);
  const { description } = await engine.holdpoint.schedules.get(scheduled.name);
  expect(description.spec.jitter).toBe(90_000);
  expect(description.policies).toMatchObject({ overlap: 'SKIP', catchupWindow: 2 * hourMs });
});

test('a signature in advance of somebody whom the policy excludes, or for another opening, does not count', async () => {
  const scheduled = newSchedule();
  await apply(scheduled);
  await signInAdvance(scheduled, 'dana', ['sign']);
  const [opens, closes] = [1, 2].map((hours) => new Date(scheduled.opensMs + hours * hourMs).toISOString()) as [string, string];
  await signInAdvance({ ...scheduled, opens, closes }, 'grace', ['sign']);
  await alarm(scheduled);
  const { hold } = await runOf(scheduled, 'holding');
  expect(hold?.decisions).toEqual([]);
  expect(hold?.notInAdvance).toEqual([{ person: 'dana', reason: expect.stringContaining('dana') }]);
  await engine.decide(scheduled.target, 'ada', 'reject');
  await engine.until(scheduled.target, 'rejected');
});

test('where the target has an open run, the schedule starts none, and both say so', async () => {
  const scheduled = newSchedule();
  const endpoint = await startEndpoint();
  const bus: Channel = { kind: 'cloudEvents', url: endpoint.url, key: { environment: 'PATH' } };
  engine.configuration.notifications = { channels: { bus }, routes: [{ events: ['skipped'], channels: ['bus'] }], templates: {} };
  const { run } = await engine.begin(scheduled.cluster);
  await engine.until(scheduled.target, 'holding');
  await apply(scheduled);
  await alarm(scheduled);
  const [outcome] = await outcomesOf(scheduled);
  expect(outcome).toMatchObject({ state: 'skipped', code: 'target-busy', opens: scheduled.opens });
  // People are told of it by a real channel.
  await untilTrue(() => endpoint.received.length > 0);
  const event = JSON.parse(endpoint.received[0]?.body ?? '') as { type: string; data: { text: string } };
  expect(event.type).toBe('dev.holdpoint.skipped');
  expect(event.data.text).toContain(`holdpoint schedule show ${scheduled.name}`);
  engine.configuration.notifications = undefined;
  await endpoint.stop();
  await untilTrue(async () => (await engine.entries(run)).some(({ kind }) => kind === 'attempt.refused'));
  const [name = ''] = (outcome as { evidence: string }).evidence.split('/').slice(-1);
  await expect(engine.verifiedKinds(name.replace(/\.jsonl?$/, ''))).resolves.toEqual(['schedule.skipped', 'run.ended']);
  await replayAlarm(scheduled, 'schedule-skipped');
  await engine.decide(scheduled.target, 'ada', 'reject');
  await engine.until(scheduled.target, 'rejected');
});

test('an alarm that comes too late, in a freeze, or for a paused schedule starts nothing', async () => {
  const late = newSchedule({ catchUpMs: 30_000 });
  const frozen = newSchedule({ freezes: [{ from: '2020-01-01', until: '2090-01-01', why: 'year end' }] });
  const paused = newSchedule();
  for (const one of [late, frozen, paused]) await apply(one);
  await engine.holdpoint.schedules.pause(paused.name, 'storage is being replaced');
  for (const one of [late, frozen, paused]) await alarm(one);
  await expect(outcomesOf(late)).resolves.toMatchObject([{ state: 'skipped', code: 'opening-missed' }]);
  await expect(outcomesOf(frozen)).resolves.toMatchObject([{ code: 'opening-frozen', reason: expect.stringContaining('"year end"') }]);
  await expect(outcomesOf(paused)).resolves.toMatchObject([
    { code: 'schedule-paused', reason: expect.stringContaining('storage is being replaced') },
  ]);
  await expect(engine.handle(late.target).describe()).rejects.toThrow();
  await expect(engine.handle(frozen.target).describe()).rejects.toThrow();
  await expect(engine.handle(paused.target).describe()).rejects.toThrow();
});

test('a schedule whose calendar or requester is gone starts nothing', async () => {
  const without = newSchedule();
  const left = newSchedule({ person: 'oscar' });
  for (const one of [without, left]) await apply(one);
  delete engine.configuration.calendars?.[without.name];
  const { oscar } = engine.configuration.people;
  delete engine.configuration.people.oscar;
  try {
    for (const one of [without, left]) await alarm(one);
    await expect(outcomesOf(without)).resolves.toMatchObject([{ code: 'calendar-gone' }]);
    await expect(outcomesOf(left)).resolves.toMatchObject([{ code: 'person-unknown' }]);
  } finally {
    engine.configuration.people.oscar = oscar!;
  }
});

test('what changes something above the first hold is done only if the requester has signed its plan in advance', async () => {
  const unsigned = newSchedule({ document: workAtOnce });
  await apply(unsigned);
  await alarm(unsigned);
  await expect(outcomesOf(unsigned)).resolves.toMatchObject([
    { state: 'refused', reason: expect.stringContaining('a schedule signs no plan') },
  ]);
  expect(unsigned.site.done).toEqual([]);

  const signed = newSchedule({ document: workAtOnce });
  await apply(signed);
  // Only the requester's signature counts for it.
  await signInAdvance(signed, 'dana', ['(start)']);
  await alarm(signed);
  const { run } = await runOf(signed, 'done');
  expect(signed.site.done).toEqual(['first', 'second', 'third']);
  await expect(engine.verifiedKinds(run)).resolves.toContain('pre-approval.accepted');
});

test('a schedule that a stranger has put on the server, or a start in the name of one, has no effect', async () => {
  const forged = newSchedule();
  const { claims } = forged.toApply;
  // Well signed, by somebody else than it says.
  const mallory: Signer = {
    ...engine.keys.oscar,
    person: 'dana',
    sign: (statement) => engine.keys.oscar.sign({ ...statement, person: 'oscar' }),
  };
  await engine.holdpoint.schedules.apply(forged.toApply, mallory, Date.now());
  await alarm(forged);
  await expect(outcomesOf(forged)).resolves.toMatchObject([
    { state: 'skipped', code: expect.stringMatching(/signature-forged|signer-differs/) },
  ]);
  await expect(engine.handle(forged.target).describe()).rejects.toThrow();

  // What was signed once for a schedule that is deleted by now.
  const deleted = newSchedule();
  await apply(deleted);
  const { input } = await engine.holdpoint.schedules.get(deleted.name);
  await engine.holdpoint.schedules.delete(deleted.name);
  await expect(engine.holdpoint.schedules.get(deleted.name)).rejects.toMatchObject({ code: 'schedule-unknown' });
  const { opens, closes, target } = deleted;
  const started: RunInput = {
    run: 'r-stranger',
    target,
    document: input.document,
    inputs: input.inputs,
    requester: 'dana',
    planHash: '',
    signature: input.signature,
    schedule: { claims: input.claims, opens, closes },
  };
  const startRun = (given: RunInput): Promise<unknown> =>
    engine.client.workflow.execute(runWorkflow, { workflowId: given.target, taskQueue: engine.settings.taskQueue, args: [given] });
  await expect(startRun(started)).resolves.toMatchObject({ phase: 'refused', reason: expect.stringContaining('it was deleted') });
  // The same on another target.
  const elsewhere = engine.newSite();
  const moved = { ...started, run: 'r-moved', target: elsewhere.target, inputs: { cluster: elsewhere.cluster } };
  await expect(startRun(moved)).resolves.toMatchObject({ phase: 'refused', reason: expect.stringContaining('another target') });
  expect(claims.person).toBe('dana');
  expect([...forged.site.done, ...deleted.site.done, ...elsewhere.site.done]).toEqual([]);
});

test('Temporal gives the alarm by itself, once, and the alarms to come are set anew', async () => {
  const scheduled = newSchedule({ agoMs: -8_000 });
  await apply(scheduled);
  const { run, schedule } = await runOf(scheduled, 'holding');
  expect(schedule?.opens).toBe(scheduled.opens);
  await engine.decide(scheduled.target, 'ada', 'reject');
  await engine.until(scheduled.target, 'rejected');
  await expect(outcomesOf(scheduled)).resolves.toMatchObject([{ state: 'started', run }]);
  const { alarmsMs } = await engine.holdpoint.schedules.get(scheduled.name);
  expect(alarmsMs[0]).toBe(scheduled.opensMs);
  expect(alarmsMs.length).toBeGreaterThan(3);
});

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Calendar } from '../../domain/calendar/calendar.ts';
import type { Freeze } from '../../domain/calendar/freeze.ts';
import type { Interval } from '../../domain/calendar/interval.ts';
import { clockChangeDefault } from '../../domain/calendar/window.ts';
import type { RunbookDocument } from '../../domain/runbook.ts';
import type { RunState } from '../../domain/run/state.ts';
import { TestsBeside } from '../support/in-turns.ts';
import { documentOf, startEngine, untilTrue, type Engine, type Site } from '../support/engine.ts';

const hourMs = 3_600_000;
/** Until an opening of these tests begins or ends: the server has no clock that could be put forward. */
const soonMs = 5_000;
const timeoutMs = 150_000;
const besides = new TestsBeside(5);
const testBeside = besides.test.bind(besides);

let engine: Engine;
let beforeEntry: (kind: string, run: string) => void = () => undefined;
beforeAll(async () => {
  engine = await startEngine('windows', async (kind, run) => beforeEntry(kind, run));
  const { policies } = engine.configuration;
  policies.keeping = { ...policies.one!, name: 'keeping', keepSignatures: true };
  policies.closing = { ...policies.one!, name: 'closing', expiresAtClose: true };
  besides.begin();
});
afterAll(() => engine.stop());

/** A calendar whose openings and freezes a test changes. */
interface Window {
  name: string;
  openings: Interval[];
  freezes: Freeze[];
  /** What the next look at the calendar changes before it sees it: however busy the machine is, a test is not too late for a time of it. */
  beforeLook?: (() => void) | undefined;
}

let windowsMade = 0;

function newWindow(...openings: [fromMs: number, untilMs: number][]): Window {
  const name = `window-${(windowsMade += 1)}`;
  const nowMs = Date.now();
  const window: Window = { name, openings: openings.map(([from, until]) => ({ from: nowMs + from, until: nowMs + until })), freezes: [] };
  const touching = <One extends Interval>(all: readonly One[], range: Interval): One[] =>
    all.filter(({ from, until }) => until > range.from && from < range.until);
  const wallTimes = (from: number, until: number): Interval[] => {
    window.beforeLook?.();
    return touching(window.openings, { from, until });
  };
  const freezesIn = (range: Interval): Freeze[] => {
    window.beforeLook?.();
    return touching(window.freezes, range);
  };
  const windows = [{ text: 'as the test says', zone: 'UTC', onClockChange: clockChangeDefault, wallTimes }];
  engine.calendars.set(name, new Calendar({ name, zone: 'UTC', windows, freezes: [{ name: 'test', freezesIn }] }));
  calendarsOfConfiguration()[name] = { zone: 'UTC', weekly: ['Mon 00:00-01:00'], dst: clockChangeDefault, freezes: [] };
  return window;
}

function calendarsOfConfiguration(): NonNullable<Engine['configuration']['calendars']> {
  return (engine.configuration.calendars ??= {});
}

/** Two steps that change something, after a hold; the first is slow where the site says so. */
function twoSteps({ name }: Window, { policy = 'one', atClose = 'finish-step' } = {}): RunbookDocument {
  const { text, file } = documentOf(`
  - { id: sign, hold: ${policy} }
  - { id: first, uses: kubernetes.drain, with: { nodes: [node-a] }, atClose: ${atClose} }
  - { id: second, uses: kubernetes.drain, with: { nodes: [node-b] } }`);
  return { file, text: text.replace('steps:', `window: ${name}\nsteps:`) };
}

async function begin(document: RunbookDocument, prepare: (site: Site) => void = () => undefined) {
  const { cluster, target, site } = engine.newSite();
  prepare(site);
  const { run, admission } = await engine.begin(cluster, document);
  expect(admission).toEqual({ admitted: true });
  return { run, target, site };
}

const parkedBefore = (step: string) => (state: RunState) => state.phase === 'parked' && state.window?.step === step;

/** A run whose window closes while its first step goes on. */
async function closedInMidRun(policy: string, window: Window, options: { atClose?: string } = {}) {
  const begun = await begin(twoSteps(window, { policy, ...options }), (site) => site.slow.add('node-a'));
  await engine.decide(begun.target, 'ada');
  await untilTrue(() => begun.site.marks.has('node-a'));
  window.openings[0]!.until = Date.now();
  begun.site.finishSlow();
  await engine.until(begun.target, parkedBefore('second'));
  expect(begun.site.drained).toEqual(['node-a']);
  return begun;
}

function openNow(window: Window): void {
  window.openings.push({ from: Date.now() - 1, until: Date.now() + hourMs });
}

/** Has a parked run look at its window, which it does by itself once in an hour. */
async function lookAgain(target: string): Promise<void> {
  await engine.holdpoint.operate(target, 'pause', '', engine.keys.dana);
  await engine.until(target, 'paused');
  await engine.holdpoint.operate(target, 'resume', '', engine.keys.dana);
}

/** Has the first opening begin so long after a parked run has seen when that is. */
async function openAfterLook(window: Window, target: string, afterMs: number): Promise<void> {
  window.beforeLook = () => {
    window.beforeLook = undefined;
    window.openings[0]!.from = Date.now() + afterMs;
  };
  await lookAgain(target);
  await untilTrue(() => window.beforeLook === undefined);
}

testBeside(
  'what is signed while the window is shut waits for it, says until when, and goes on by itself without being signed again',
  async () => {
    const window = newWindow([hourMs, 2 * hourMs]);
    const { run, target } = await begin(twoSteps(window));
    await engine.decide(target, 'ada');
    const parked = await engine.until(target, 'parked');
    const opensAt = new Date(window.openings[0]!.from).toISOString();
    expect(parked.window).toMatchObject({ calendar: window.name, step: 'first', state: 'shut', opensAt });
    expect(parked.commands).toEqual(['proceed', 'pause', 'abort']);
    await untilTrue(async () =>
      (await engine.holdpoint.list({ openOnly: true })).some((one) => one.run === run && one.opensAt === opensAt),
    );
    await openAfterLook(window, target, soonMs);
    await engine.until(target, 'done');
    const kinds = await engine.verifiedKinds(run);
    expect(kinds.filter((kind) => kind.startsWith('window.'))).toEqual(['window.parked', 'window.parked', 'window.resumed']);
    expect(kinds.filter((kind) => kind === 'hold.requested')).toHaveLength(1);
    const started = (await engine.entries(run)).find(({ kind }) => kind === 'step.started');
    expect(Date.parse(started!.at)).toBeGreaterThanOrEqual(window.openings[0]!.from);
    await engine.replay(target, { name: 'window' });
  },
  timeoutMs,
);

testBeside(
  'a window that closes in mid-run lets the step finish, and what is left is signed anew in the next opening',
  async () => {
    const window = newWindow([-hourMs, hourMs]);
    const { run, target, site } = await closedInMidRun('one', window);
    openNow(window);
    await lookAgain(target);
    const { hold } = await engine.until(target, 'holding');
    expect(hold?.request).toMatchObject({ hold: 'sign', number: 2 });
    expect(hold?.plan.steps.map(({ id }) => id)).toEqual(['second']);
    expect(site.drained).toEqual(['node-a']);
    await engine.decide(target, 'grace');
    await engine.until(target, 'done');
    expect(site.drained).toEqual(['node-a', 'node-b']);
    await expect(engine.verifiedKinds(run)).resolves.toContain('window.resumed');
    await engine.replay(target, { name: 'window-anew' });
  },
  timeoutMs,
);

testBeside(
  'signatures are kept where the policy says so and the plan of what is left is the same',
  async () => {
    const window = newWindow([-hourMs, hourMs]);
    const { run, target, site } = await closedInMidRun('keeping', window);
    openNow(window);
    await lookAgain(target);
    await engine.until(target, 'done');
    expect(site.drained).toEqual(['node-a', 'node-b']);
    const kinds = await engine.verifiedKinds(run);
    expect(kinds.filter((kind) => kind === 'hold.requested')).toHaveLength(1);
  },
  timeoutMs,
);

testBeside(
  'signatures that the policy keeps are void all the same where the plan has changed, and the difference is shown',
  async () => {
    const window = newWindow([-hourMs, hourMs]);
    const { run, target, site } = await closedInMidRun('keeping', window);
    site.generation = 2;
    openNow(window);
    await lookAgain(target);
    const { hold } = await engine.until(target, 'holding');
    expect(hold?.drift).toEqual([expect.objectContaining({ step: 'second', object: 'fact generation', after: 2 })]);
    await engine.decide(target, 'grace');
    await engine.until(target, 'done');
    await engine.verifiedKinds(run);
  },
  timeoutMs,
);

testBeside(
  'a freeze that is declared while a run is parked is honoured, and told',
  async () => {
    const window = newWindow([hourMs, 2 * hourMs]);
    const { run, target, site } = await begin(twoSteps(window));
    await engine.decide(target, 'ada');
    await engine.until(target, 'parked');
    await openAfterLook(window, target, soonMs);
    const { from, until } = window.openings[0]!;
    const freeze = { from: from - 1, until: until - hourMs / 2, why: 'a sale' };
    // Declared at the last moment: the run has set its timer to the opening.
    window.beforeLook = () => void (Date.now() >= from && window.freezes.length === 0 && window.freezes.push(freeze));
    const frozen = await engine.until(target, ({ window }) => window?.state === 'frozen');
    expect(frozen.window).toMatchObject({ reason: expect.stringContaining('a sale'), opensAt: new Date(freeze.until).toISOString() });
    expect(site.drained).toEqual([]);
    freeze.until = Date.now();
    await lookAgain(target);
    await engine.until(target, 'done');
    const [started] = (await engine.entries(run)).filter(({ kind }) => kind === 'step.started');
    expect(Date.parse(started!.at)).toBeGreaterThanOrEqual(freeze.until);
    await engine.verifiedKinds(run);
  },
  timeoutMs,
);

testBeside(
  'a step that would not be over before the close waits for the next opening that is long enough',
  async () => {
    const window = newWindow([-hourMs, hourMs / 2], [hourMs, 10 * hourMs]);
    const { run, target, site } = await begin(twoSteps(window), (made) => (made.estimateMs = hourMs));
    await engine.decide(target, 'ada');
    const short = await engine.until(target, ({ window }) => window?.state === 'short');
    expect(short.window?.reason).toBe(`Step first takes about 60 min, with the time to undo it, and ${window.name} closes before that.`);
    window.openings[0]!.until = Date.now();
    window.openings[1]!.from = Date.now() + soonMs;
    await lookAgain(target);
    // Its signatures were for the opening that was at hand.
    await engine.until(target, ({ hold }) => hold?.request.number === 2);
    await engine.decide(target, 'ada');
    await engine.until(target, 'done');
    expect(site.drained).toEqual(['node-a', 'node-b']);
    await engine.verifiedKinds(run);
  },
  timeoutMs,
);

testBeside(
  'a plan with a step that no opening is long enough for says so',
  async () => {
    const window = newWindow([hourMs, 2 * hourMs]);
    const { cluster, site } = engine.newSite();
    site.estimateMs = 3 * hourMs;
    const { spans } = await engine.holdpoint.plan(twoSteps(window), { cluster });
    const reason = 'The step takes about 3 h 0 min, with the time to undo it; the longest opening has 60 min.';
    expect(spans[1]?.plan.steps[0]?.plan.blockers).toEqual([expect.objectContaining({ reason })]);
  },
  timeoutMs,
);

testBeside(
  'going on outside of the window is asked for with a reason, signed by the policy, and recorded',
  async () => {
    const window = newWindow([hourMs, 2 * hourMs]);
    const { run, target, site } = await begin(twoSteps(window));
    await engine.decide(target, 'ada');
    await engine.until(target, 'parked');
    await expect(engine.holdpoint.operate(target, 'proceed', '', engine.keys.dana)).rejects.toMatchObject({ code: 'reason-missing' });
    const asked = await engine.holdpoint.operate(target, 'proceed', 'the shop is down', engine.keys.dana);
    expect(asked.hold).toBe('proceed');
    const { hold } = await engine.until(target, 'holding');
    expect(hold?.request).toMatchObject({ askedBy: 'dana', policy: { name: 'one' }, expiresAt: expect.any(String) });
    expect(site.drained).toEqual([]);
    await engine.decide(target, 'grace');
    await engine.until(target, 'done');
    expect(site.drained).toEqual(['node-a', 'node-b']);
    const entry = (await engine.entries(run)).find(({ kind }) => kind === 'window.exception');
    expect(entry?.body).toMatchObject({ calendar: window.name, askedBy: 'dana', reason: 'the shop is down', signedBy: ['grace'] });
    await engine.verifiedKinds(run);
    await engine.replay(target, { name: 'window-exception' });
  },
  timeoutMs,
);

testBeside(
  'a request to go on outside of the window closes when the window opens, and the run goes on by itself',
  async () => {
    const window = newWindow([hourMs, 2 * hourMs]);
    const { run, target } = await begin(twoSteps(window));
    await engine.decide(target, 'ada');
    await engine.until(target, 'parked');
    await openAfterLook(window, target, 6 * soonMs);
    await engine.until(target, (state) => state.window?.opensAt === new Date(window.openings[0]!.from).toISOString());
    await engine.holdpoint.operate(target, 'proceed', 'it is late', engine.keys.dana);
    await engine.until(target, 'done');
    const kinds = await engine.verifiedKinds(run);
    expect(kinds).toContain('hold.expired');
    expect(kinds).not.toContain('window.exception');
  },
  timeoutMs,
);

testBeside(
  'a run that is parked can be aborted, and one that has changed something be undone',
  async () => {
    const window = newWindow([-hourMs, hourMs]);
    const { run, target, site } = await closedInMidRun('one', window);
    await engine.holdpoint.operate(target, 'undo', 'not tonight', engine.keys.dana);
    await engine.decide(target, 'grace');
    // A rollback waits for no window.
    await engine.until(target, 'undone');
    expect(site.undone).toEqual(['node-a']);
    await engine.verifiedKinds(run);
    const other = await begin(twoSteps(window));
    await engine.decide(other.target, 'ada');
    await engine.until(other.target, 'parked');
    await engine.holdpoint.operate(other.target, 'abort', 'not at all', engine.keys.dana);
    await engine.until(other.target, 'aborted');
    await engine.verifiedKinds(other.run);
  },
  timeoutMs,
);

testBeside(
  'a step that goes on past the close is recorded as such, and people are told where it says page',
  async () => {
    const window = newWindow([-hourMs, hourMs]);
    const { run, target, site } = await lateRun(window, 'page');
    await untilTrue(async () => (await engine.entries(run)).some(({ kind }) => kind === 'window.closed'));
    const closed = (await engine.entries(run)).find(({ kind }) => kind === 'window.closed');
    expect(closed?.body).toMatchObject({ step: 'first', atClose: 'page' });
    expect(Date.parse(closed!.at)).toBeGreaterThanOrEqual(Date.parse(closed!.body.closesAt as string));
    // Later looks before the step began have been told of later closes.
    window.openings[0]!.until = Date.now();
    site.finishSlow();
    await engine.until(target, parkedBefore('second'));
    await engine.holdpoint.operate(target, 'abort', 'enough', engine.keys.dana);
    await engine.until(target, 'aborted');
    await engine.verifiedKinds(run);
  },
  timeoutMs,
);

/** A run whose first step goes on when the window closes. */
async function lateRun(window: Window, atClose: string, onBegun: (run: string) => void = () => undefined) {
  const begun = await begin(twoSteps(window, { atClose }), (site) => site.slow.add('node-a'));
  onBegun(begun.run);
  // However long the machine takes until then: the close comes soon after the step has begun.
  const { site, target } = begun;
  let until = 0;
  Object.defineProperty(window.openings[0]!, 'until', {
    get: () => (site.marks.has('node-a') ? until : (until = Date.now() + soonMs)),
    set: (ms: number) => (until = ms),
  });
  await engine.decide(target, 'ada');
  await untilTrue(() => site.marks.has('node-a'));
  return begun;
}

test(
  'a step that is to be undone at the close is stopped and the run rolled back, not at a close that was put off',
  async () => {
    const window = newWindow([-hourMs, hourMs]);
    const { run, target, site } = await lateRun(window, 'undo');
    const closes = window.openings[0]!.until;
    let putOff = 0;
    window.beforeLook = () => {
      if (putOff === 0 && Date.now() >= closes) window.openings[0]!.until = putOff = Date.now() + soonMs;
    };
    const { ended } = await engine.until(target, 'undone');
    expect(ended?.reason).toBe(`undone automatically, as the window ${window.name} closed while step first went on`);
    expect(site.undone).toEqual(['node-a']);
    const closed = (await engine.entries(run)).filter(({ kind }) => kind === 'window.closed');
    const closesAt = new Date(putOff).toISOString();
    expect(closed.map(({ body }) => body)).toEqual([{ calendar: window.name, step: 'first', closesAt, atClose: 'undo' }]);
    expect(await engine.verifiedKinds(run)).not.toContain('window.parked');
    await engine.replay(target, { name: 'window-undo' });
  },
  timeoutMs,
);

test(
  'a worker looks for itself: no run turns round for a close that has not come',
  async () => {
    const window = newWindow([-hourMs, hourMs]);
    let late: string | undefined;
    beforeEntry = (kind, of) => void (of === late && kind === 'window.closed' && (window.openings[0]!.until = Date.now() + hourMs));
    try {
      const { target, site } = await lateRun(window, 'undo', (run) => (late = run));
      const { stuck } = await engine.until(target, 'stuck');
      expect(stuck).toMatchObject({ code: 'step-not-signed', step: 'first', reason: expect.stringContaining('has not closed') });
      expect(stuck?.reason).toMatch(/^It was stopped, as the window .* closed while step first went on, and could not be undone auto/);
      expect(site.undone).toEqual([]);
      await engine.holdpoint.operate(target, 'abort', 'enough', engine.keys.dana);
      await engine.until(target, 'aborted');
    } finally {
      beforeEntry = () => undefined;
    }
  },
  timeoutMs,
);

test.each<[string, (window: Window) => void]>([
  ['while the window was shut', (window) => (window.openings = [])],
  ['in a freeze', (window) => window.freezes.push({ from: Date.now() - hourMs, until: Date.now() + hourMs, why: 'a sale' })],
  [
    'between two openings',
    (window) => {
      const [nowMs, opening] = [Date.now(), window.openings[0]!];
      window.openings = [
        { from: opening.from, until: nowMs - hourMs / 2 },
        { from: nowMs + hourMs / 2, until: nowMs + hourMs },
      ];
    },
  ],
])(
  'a worker looks for itself: it carries out nothing that was begun %s, whatever the run says',
  async (_when, shut) => {
    const window = newWindow([-hourMs, hourMs]);
    const { run, target, site } = await begin(twoSteps(window));
    beforeEntry = (kind, of) => void (of === run && kind === 'step.started' && shut(window));
    try {
      await engine.decide(target, 'ada');
      const { stuck } = await engine.until(target, 'stuck');
      expect(stuck).toMatchObject({ code: 'step-not-signed', reason: expect.stringContaining('was shut when it was begun') });
    } finally {
      beforeEntry = () => undefined;
    }
    expect(site.drained).toEqual([]);
  },
  timeoutMs,
);

testBeside(
  'a calendar that is gone stops the run for an operator, who has it tried again',
  async () => {
    const window = newWindow([-hourMs, hourMs]);
    const { run, target } = await begin(twoSteps(window));
    const calendar = engine.calendars.get(window.name)!;
    const definition = calendarsOfConfiguration()[window.name]!;
    engine.calendars.delete(window.name);
    delete calendarsOfConfiguration()[window.name];
    await engine.decide(target, 'ada');
    const { stuck } = await engine.until(target, 'stuck');
    expect(stuck).toMatchObject({ code: 'calendar-unknown' });
    engine.calendars.set(window.name, calendar);
    calendarsOfConfiguration()[window.name] = definition;
    await engine.holdpoint.operate(target, 'retry', 'it is back', engine.keys.dana);
    await engine.until(target, 'done');
    await engine.verifiedKinds(run);
  },
  timeoutMs,
);

testBeside(
  'a hold that closes with the window closes with the opening at hand',
  async () => {
    const window = newWindow([-hourMs, hourMs]);
    const { target } = await begin(twoSteps(window, { policy: 'closing' }));
    const { hold } = await engine.until(target, 'holding');
    expect(hold?.request.expiresAt).toBe(new Date(window.openings[0]!.until).toISOString());
  },
  timeoutMs,
);

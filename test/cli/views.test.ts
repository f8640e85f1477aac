import { Readable, Writable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import type { HoldState, RunState } from '../../domain/run/state.ts';
import { formatClock, formatDuration, formatTime, hashMatches, shellWords } from '../../cli/format.ts';
import { differenceLines, forecastLines, hashLines, planLines, shortPlanLines } from '../../cli/plan-view.ts';
import { stepsInShort, summaryOfHold } from '../../client/hold-summary.ts';
import { wrapped } from '../../cli/layout.ts';
import { awaitedText, leavingLines, runLines } from '../../cli/run-view.ts';
import type { AwaitedOpening } from '../../domain/run/window.ts';
import { Terminal } from '../../cli/terminal.ts';
import type { LiveRun } from '../../client/holdpoint.ts';
import type { ProgressItem } from '../../domain/action.ts';
import { shortHash, type ActionPlan, type SpanPlan } from '../../domain/plan/plan.ts';

const escape = '\u001b';
const now = new Date('2026-11-21T05:24:07Z');
const hash = `sha256:${'ab'.repeat(32)}`;

interface Screen {
  tty?: boolean;
  columns?: number;
  env?: Record<string, string>;
  color?: boolean;
  json?: boolean;
}

function terminalOf({ tty = true, columns, env = {}, color = true, json = false }: Screen = {}): Terminal {
  const stdout = Object.assign(new Writable({ write: (_chunk, _encoding, done) => done() }), { isTTY: tty, columns });
  const stdin = Object.assign(Readable.from([]), { isTTY: tty });
  const surroundings = { stdin, stdout, stderr: stdout, env, now: () => now, signal: new AbortController().signal };
  return new Terminal(surroundings, { json, color });
}

function planOf(parts: Partial<ActionPlan>): SpanPlan {
  const plan = { effects: [], facts: {}, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 0, ...parts };
  const step = { id: 'drain', uses: 'kubernetes.drain', input: {}, plan };
  return { target: 'eks/r/c', runbook: hash, title: 'Rotate a node group', inputs: {}, steps: [step], hash };
}

function draining(nodes: number): LiveRun {
  const items = Array.from({ length: nodes }, (_, index): ProgressItem => {
    const states = ['done', 'moving', 'waiting', 'blocked'] as const;
    const name = `ip-10-0-0-${index}.eu-central-1.compute.internal`;
    return { name, state: states[index % 4] ?? 'done', done: index % 9, total: 8, detail: 'PDB shop/storefront allows no more' };
  });
  const progress = { summary: 'moving', done: 3, total: 800, unit: 'pods', items };
  return { state: stateOf({ phase: 'running' }), progress: { drain: progress }, retrying: [] };
}

function stateOf(parts: Partial<RunState>): RunState {
  return {
    run: 'r-20261121-7kq2m4',
    target: 'eks/eu-central-1/demo',
    runbook: { name: 'rotation', title: 'Rotate a node group', digest: hash },
    inputs: {},
    requester: 'dana',
    phase: 'holding',
    steps: [
      { id: 'sign', kind: 'hold', uses: 'production-change', status: 'done', summary: 'signed by ada' },
      { id: 'drain', kind: 'action', uses: 'kubernetes.drain', status: 'running', startedAt: '2026-11-21T05:23:00Z' },
      { id: 'delete', kind: 'action', uses: 'eks.deleteNodegroup', status: 'waiting' },
    ],
    commands: [],
    evidence: '',
    refusedAttempts: 0,
    ...parts,
  };
}

function holdOf(parts: Partial<HoldState>): HoldState {
  const policy = { name: 'p', atLeast: 2, of: 'sre', exclude: ['requester' as const], reason: 'optional' as const, expiresMs: 1 };
  const times = { requestedAt: '2026-11-21T05:24:07Z', expiresAt: '2026-11-21T09:24:07Z' };
  const plan = { planHash: hash, policy, members: ['ada', 'dana', 'grace'], requester: 'dana' };
  const request = { hold: 'sign', number: 2, question: 'Go on?', ...plan, ...times };
  return { request, plan: planOf({}), decisions: [], ...parts };
}

describe('escape codes are written only for a person who wants colours', () => {
  test.each<[string, boolean, Screen]>([
    ['a terminal', true, {}],
    ['a pipe', false, { tty: false }],
    ['NO_COLOR', false, { env: { NO_COLOR: '1' } }],
    ['an empty NO_COLOR', true, { env: { NO_COLOR: '' } }],
    ['--no-color', false, { color: false }],
    ['--json', false, { json: true }],
    ['a dumb terminal', false, { env: { TERM: 'dumb' } }],
  ])('%s: %s', (_name, colored, screen) => {
    const terminal = terminalOf(screen);
    const plan = planOf({ notes: ['w'], effects: [{ object: 'o', change: 'c' }] });
    const text = [...runLines(draining(5), terminal, { plan: true }), ...planLines(plan, terminal)].join('\n');
    expect(text.includes(escape)).toBe(colored);
  });
});

describe('somebody else’s text', () => {
  const forged = `${escape}[32m✓ all good${escape}[39m\n\u202eb`;

  function writtenBy(write: (terminal: Terminal) => void, screen: Screen = {}): string {
    let text = '';
    const terminal = terminalOf(screen);
    const keep = new Writable({ write: (chunk, _encoding, done) => ((text += String(chunk)), done()) });
    Object.assign(terminal.surroundings, { stdout: Object.assign(keep, { isTTY: screen.tty ?? true }), stderr: keep });
    write(terminal);
    return text;
  }

  test('is not obeyed by the terminal, beside colours of ours that are', () => {
    const shown = '\\x1b[32m✓ all good\\x1b[39m\\n\\u202eb';
    expect(writtenBy((terminal) => terminal.line(`${terminal.colors.red('✗')} ${forged}`))).toBe(`${escape}[31m✗${escape}[39m ${shown}\n`);
    expect(writtenBy((terminal) => terminal.line(terminal.colors.bold(forged)))).toBe(`${escape}[1m${shown}${escape}[22m\n`);
    expect(writtenBy((terminal) => terminal.note(forged), { color: false })).toBe(`${shown}\n`);
    expect(writtenBy((terminal) => terminal.noteBlock(`It ended.\n${forged}`), { color: false })).toBe(
      'It ended.\n  | \\x1b[32m✓ all good\\x1b[39m\n  | \\u202eb\n',
    );
  });

  test('is the same for a program, and not obeyed where JSON is looked at', () => {
    const json = writtenBy((terminal) => terminal.result({ forged: `${forged}\u009b2J` }), { json: true });
    expect(json).toMatch(/^[\x20-\x7e✓]+\n$/);
    expect(JSON.parse(json)).toEqual({ forged: `${forged}\u009b2J` });
  });

  test('within a colour may have another one: the end of that ends only itself', () => {
    expect(writtenBy((terminal) => terminal.line(terminal.colors.dim(`a ${terminal.colors.bold('b')} c`)))).toBe(
      `${escape}[2ma ${escape}[1mb${escape}[22m${escape}[2m c${escape}[22m\n`,
    );
  });
});

describe('a hundred nodes', () => {
  test.each([60, 80, 120])('fit into %d columns and show the ones that move first', (columns) => {
    const lines = runLines(draining(100), terminalOf({ columns, color: false }), { plan: false });
    const rows = lines.slice(3);
    expect(Math.max(...rows.map((row) => row.length))).toBeLessThanOrEqual(columns);
    expect(rows.filter((row) => row.includes('ip-10-0-0-'))).toHaveLength(12);
    expect(rows.find((row) => row.includes('ip-10-0-0-'))).toContain(columns < 100 ? 'ip-10-0-0-1 ' : 'ip-10-0-0-1.');
    expect(rows.join('\n')).toContain('… and 88 more');
    // What matters is why they wait.
    expect(rows.join(' ').replaceAll(/\s+/g, ' ')).toContain('PDB shop/storefront allows no more');
  });

  test('are not cut off in a pipe', () => {
    const lines = runLines(draining(100), terminalOf({ tty: false }), { plan: false });
    expect(lines.join('\n')).toContain('PDB shop/storefront allows no more');
    expect(lines.filter((line) => /\s$/.test(line))).toEqual([]);
  });
});

describe('a paused drain on terminals of three widths', () => {
  const reason = 'PDB shop/storefront needs 7 healthy pods and has 7';
  const items: ProgressItem[] = [
    { name: 'ip-10-0-0-5.eu-central-1.compute.internal', state: 'blocked', done: 3, total: 7, detail: reason },
    { name: 'ip-10-1-0-4.eu-central-1.compute.internal', state: 'done', done: 8, total: 8 },
  ];
  const progress = { summary: `11 of 15 pods gone, 1 waiting: ${reason}`, done: 11, total: 15, unit: 'pods', items };
  const steps: RunState['steps'] = [
    { id: 'sign', kind: 'hold', uses: 'production-change', status: 'done', summary: '서명: ada', startedAt: '2026-11-21T05:20:00Z' },
    { id: '드레인', kind: 'action', uses: 'kubernetes.drain', status: 'running', startedAt: '2026-11-21T05:23:00Z', progress },
  ];
  const state = stateOf({ phase: 'paused', pauseRequestedBy: 'ada', commands: ['resume', 'abort'], steps });
  const shown = (columns: number): string[] => {
    const terminal = terminalOf({ columns, color: false });
    return runLines({ state, progress: {}, retrying: [] }, terminal, { plan: false }).flatMap((line) => wrapped(line, columns));
  };

  test('60', () => {
    expect(shown(60)).toEqual([
      'Rotate a node group on eks/eu-central-1/demo',
      'run r-20261121-7kq2m4  started by dana  paused (asked by',
      '  ada)',
      '',
      '✓ sign               서명: ada',
      '▶ 드레인  1 min 7 s  11 of 15 pods gone, 1 waiting: PDB',
      '                     shop/storefront needs 7 healthy pods',
      '                     and has 7',
      '      ip-10-0-0-5  3/7 pods  PDB shop/storefront needs 7',
      '                             healthy pods and has 7',
      '      ip-10-1-0-4  8/8 pods',
      '',
      '  Paused: nothing new is begun. Nodes that it has cordoned',
      '    stay cordoned until it ends.',
      '  holdpoint resume r-20261121-7kq2m4',
      '      go on, or take back what waits for a second person',
      '  holdpoint abort r-20261121-7kq2m4 --reason "…"',
      '      end the run as it stands, and lift its cordons',
    ]);
  });

  test('80', () => {
    expect(shown(80)).toEqual([
      'Rotate a node group on eks/eu-central-1/demo',
      'run r-20261121-7kq2m4  started by dana  paused (asked by ada)',
      '',
      '✓ sign               서명: ada',
      '▶ 드레인  1 min 7 s  11 of 15 pods gone, 1 waiting: PDB shop/storefront needs 7',
      '                     healthy pods and has 7',
      '      ip-10-0-0-5  ████░░░░░░ 3/7 pods  PDB shop/storefront needs 7 healthy pods',
      '                                        and has 7',
      '      ip-10-1-0-4  ██████████ 8/8 pods',
      '',
      '  Paused: nothing new is begun. Nodes that it has cordoned stay cordoned until',
      '    it ends.',
      '  holdpoint resume r-20261121-7kq2m4',
      '      go on, or take back what waits for a second person',
      '  holdpoint abort r-20261121-7kq2m4 --reason "…"',
      '      end the run as it stands, and lift its cordons',
    ]);
  });

  test('120', () => {
    expect(shown(120)).toEqual([
      'Rotate a node group on eks/eu-central-1/demo',
      'run r-20261121-7kq2m4  started by dana  paused (asked by ada)',
      '',
      '✓ sign    production-change             서명: ada',
      '▶ 드레인  kubernetes.drain   1 min 7 s  11 of 15 pods gone, 1 waiting: PDB shop/storefront needs 7 healthy pods and has',
      '                                        7',
      '      ip-10-0-0-5.eu-central-1.compute.internal  █████████░░░░░░░░░░░ 3/7 pods  PDB shop/storefront needs 7 healthy pods',
      '                                                                                and has 7',
      '      ip-10-1-0-4.eu-central-1.compute.internal  ████████████████████ 8/8 pods',
      '',
      '  Paused: nothing new is begun. Nodes that it has cordoned stay cordoned until it ends.',
      '  holdpoint resume r-20261121-7kq2m4               go on, or take back what waits for a second person',
      '  holdpoint abort r-20261121-7kq2m4 --reason "…"   end the run as it stands, and lift its cordons',
    ]);
  });
});

describe('what a person is told of a run', () => {
  const text = (live: Partial<LiveRun> & Pick<LiveRun, 'state'>): string =>
    runLines({ progress: {}, retrying: [], ...live }, terminalOf({ tty: false }), { plan: true }).join('\n');

  test('how long a step has been running', () => expect(text(draining(1))).toMatch(/▶ drain {3}kubernetes\.drain +1 min 7 s {2}moving/));

  test('who may sign, how many are missing, and until when', () => {
    const shown = text({ state: stateOf({ hold: holdOf({}) }) });
    expect(shown).toContain('waits for 2 signatures of sre (ada and grace may sign); closes in 4 h, 21 Nov 2026');
    expect(shown).toContain(`holdpoint approve r-20261121-7kq2m4 --plan ${shortHash(hash)}`);
  });

  test('that signatures are void and what has drifted', () => {
    const drift = [{ step: 'drain', kind: 'gone' as const, object: 'Node/b' }];
    const shown = text({ state: stateOf({ hold: holdOf({ drift }) }) });
    expect(shown).toMatch(/the signatures are void\. What differs:\n {2}- drain: Node\/b\n/);
  });

  test('why it is stuck, what to do, and with which commands', () => {
    const shown = text({
      state: stateOf({
        phase: 'stuck',
        commands: ['retry', 'abort'],
        stuck: { step: 'drain', code: 'action-stuck', reason: 'It is shut.', remedy: 'Open it.' },
      }),
    });
    expect(shown).toContain('✗ Stuck at step drain: It is shut.\n  Open it.\n');
    expect(shown).toMatch(/ {2}holdpoint retry r-20261121-7kq2m4 .*\n {2}holdpoint abort r-20261121-7kq2m4 --reason "…"/);
  });

  test('who has paused it and how it goes on', () => {
    const shown = text({ state: stateOf({ phase: 'paused', commands: ['resume', 'abort'], pauseRequestedBy: 'ada' }) });
    expect(shown).toContain('paused (asked by ada)');
    expect(shown).toContain('holdpoint resume r-20261121-7kq2m4');
  });

  test('why it is parked, and when it goes on by itself', () => {
    const window = { calendar: 'night', step: 'drain', state: 'shut' as const, reason: 'The window night is shut.' };
    const opensAt = '2026-11-28T19:00:00.000Z';
    const parked = stateOf({ phase: 'parked', commands: ['proceed', 'pause', 'abort'], window: { ...window, opensAt } });
    const shown = text({ state: parked });
    expect(shown).toContain('■ Parked before step drain: The window night is shut.\n  It goes on by itself at Sat 28 Nov 2026, ');
    expect(shown).toContain('holdpoint proceed r-20261121-7kq2m4');
    expect(text({ state: { ...parked, window } })).toContain('\n  No opening is in sight.');
  });

  test.each<[string, Partial<AwaitedOpening>, RegExp]>([
    [
      'to come',
      { opensAt: '2026-11-28T19:00:00.000Z', closesAt: '2026-11-28T23:00:00.000Z' },
      /^window night: opens Sat 28 Nov .* \(in \d.*\), until /,
    ],
    [
      'to come after a freeze',
      { opensAt: '2026-11-28T19:00:00.000Z', frozenFor: ['year end'] },
      /no close is in sight; a freeze .*: year end$/,
    ],
    ['at hand', { opensAt: '2026-11-21T01:00:00.000Z', closesAt: '2026-11-28T23:00:00.000Z' }, /^window night: open, until Sat|Sun/],
    ['over', { closesAt: '2026-11-21T01:00:00.000Z' }, /^window night: its opening is over/],
    ['not in sight', {}, /^window night: no opening is in sight$/],
  ])('when the steps below a hold may begin: the opening is %s', (_what, opening, shown) => {
    const now = new Date('2026-11-21T10:00:00Z');
    expect(awaitedText({ calendar: 'night', frozenFor: [], ...opening }, now)).toMatch(shown);
  });

  test('what is being tried again', () => {
    const retrying = [
      { reason: 'AWS throttles', attempt: 3 },
      { step: 'drain', reason: 'the API server is away', attempt: 2 },
    ];
    expect(text({ state: stateOf({}), retrying })).toContain(
      '\n! being tried again (attempt 3): AWS throttles\n! drain is being tried again (attempt 2): the API server is away',
    );
    const lost = [{ step: 'drain', reason: 'activity Heartbeat timeout', attempt: 2 }];
    expect(text({ state: stateOf({}), retrying: lost })).toContain(
      '(attempt 2): the worker that carried it out was not heard of any more;',
    );
  });

  test('how far each of the steps is that run at once', () => {
    const rowOf = (id: string) => ({ id, kind: 'action' as const, uses: 'kubernetes.drain', status: 'running' as const });
    const group = { ...rowOf('drain'), kind: 'group' as const };
    const steps = [group, ...['drain[n-1]', 'drain[n-2]'].map((id) => ({ ...rowOf(id), parent: 'drain' }))];
    const progressOf = (summary: string, name: string) => {
      return { summary, done: 1, total: 8, unit: 'pods', items: [{ name, state: 'moving' as const, done: 1, total: 8 }] };
    };
    const progress = { 'drain[n-1]': progressOf('1 of 8 moved', 'n-1'), 'drain[n-2]': progressOf('nothing moved yet', 'n-2') };
    const lines = text({ state: stateOf({ phase: 'running', steps }), progress }).split('\n');
    expect(lines.slice(-5).map((line) => line.replaceAll(/[█░]+ /g, ''))).toEqual([
      '▶ drain    kubernetes.drain',
      expect.stringMatching(/^▶ {3}\[n-1\] {2}kubernetes\.drain +1 of 8 moved$/),
      expect.stringMatching(/^ +n-1 +1\/8 pods$/),
      expect.stringMatching(/^▶ {3}\[n-2\] {2}kubernetes\.drain +nothing moved yet$/),
      expect.stringMatching(/^ +n-2 +1\/8 pods$/),
    ]);
  });

  test('that a request has expired, how another one is made, and nothing that nobody can do any more', () => {
    const held = holdOf({});
    const closed = { because: 'expired' as const, at: '2026-11-21T05:00:00Z' };
    const hold = { ...held, request: { ...held.request, closed } };
    const shown = text({ state: stateOf({ phase: 'stuck', hold, commands: ['retry', 'abort'] }) });
    expect(shown).toContain('This request has expired (21 Nov 2026');
    expect(shown).toContain('`holdpoint retry r-20261121-7kq2m4` has the plan made anew and asks again.');
    expect(shown).not.toMatch(/may sign|holdpoint approve/);
  });

  test('that nobody answers, since when, what goes on all the same, and what to do', () => {
    const lastKnown = {
      ...{ why: 'silent' as const, queue: 'holdpoint', address: 't:7233', at: '2026-11-21T05:20:00Z', incomplete: true },
      ...{ lastPollAt: '2026-11-21T05:23:27Z', carriedOut: [] },
    };
    const shown = text({ state: stateOf({ phase: 'running' }), lastKnown });
    expect(shown).toContain('Last known, not live: as of 21 Nov 2026');
    expect(shown).toContain('No worker answers on the task queue holdpoint of t:7233. One last asked it for work 40 s ago');
    expect(shown).toMatch(/nodes stay cordoned\.\n.*holdpoint worker.*\n.*in its record only/);
    // The clock of a step stops with what is known of it.
    expect(text({ state: stateOf({ phase: 'running' }), lastKnown: { ...lastKnown, at: '2026-11-21T05:23:30Z' } })).toMatch(
      /▶ drain +kubernetes\.drain +30 s/,
    );
    const carriedOut = [{ step: 'drain', at: '2026-11-21T05:24:00Z' }];
    const heard = text({ state: stateOf({}), lastKnown: { ...lastKnown, carriedOut } });
    expect(heard).toContain('The worker that carries out drain was last heard of at');
    expect(heard).toMatch(/▶ drain +kubernetes\.drain +1 min/);
    const over = stateOf({ phase: 'done', ended: { at: '2026-11-21T05:20:00Z', reason: 'every step is done', leftovers: [] } });
    expect(text({ state: over, lastKnown })).not.toContain('are refused');
  });

  test('what an abort would leave, before it is sent', () => {
    const steps: RunState['steps'] = [
      { id: 'preflight', kind: 'action', uses: 'eks.preflight', status: 'done', startedAt: '2026-11-21T05:20:00Z', summary: 'fine' },
      { id: 'update', kind: 'action', uses: 'eks.updateNodegroupVersion', status: 'running', startedAt: '2026-11-21T05:21:00Z' },
      { id: 'drain', kind: 'action', uses: 'kubernetes.drain', status: 'waiting' },
    ];
    const progress = { update: { summary: '2 of 6 old nodes replaced', done: 2, total: 6, unit: 'nodes', items: [] } };
    const state = stateOf({ phase: 'running', steps, commands: ['undo', 'abort'] });
    expect(leavingLines({ state, progress, retrying: [] }, terminalOf({ tty: false }))).toEqual([
      'Aborting ends r-20261121-7kq2m4 on eks/eu-central-1/demo where it stands:',
      '  - update (eks.updateNodegroupVersion) is cut off; what EKS was asked for goes on in EKS: 2 of 6 old nodes replaced',
      '  - its cordons are lifted; pods that were moved stay where they are; its target is free for another run',
      '  It cannot be taken up again. To go back step by step: holdpoint undo r-20261121-7kq2m4 --reason "…"',
    ]);
  });

  test('how it ended, once, and what it leaves behind', () => {
    const ended = { at: '2026-11-21T05:24:07Z', reason: 'aborted by ada: no reason given', leftovers: ['step create stays'] };
    const shown = text({ state: stateOf({ phase: 'aborted', ended, evidence: '/e/r.jsonl' }) });
    expect(shown).toContain('■ aborted by ada: no reason given (21 Nov 2026');
    expect(shown).toContain(
      '- step create stays\n  Its cordons were lifted. Pods that were moved stay where they are.\n  To go on, start it anew',
    );
    expect(shown).toContain('\n  holdpoint evidence verify /e/r.jsonl');
    const kept = { ...ended, leftovers: ['cordons of r-20261121-7kq2m4 may still be there, as they could not be lifted: refused'] };
    expect(text({ state: stateOf({ phase: 'aborted', ended: kept }) })).not.toContain('were lifted');
    const terminated = text({ state: stateOf({ phase: 'terminated', ended }) });
    expect(terminated).toContain('as the run itself has last seen it; nobody has looked since:\n  - step create stays\n');
    expect(terminated).not.toContain('were lifted');
  });
});

describe('a plan', () => {
  const lines = (parts: Partial<ActionPlan>): string[] => planLines(planOf(parts), terminalOf({ tty: false }));
  const head = ['  Rotate a node group on eks/r/c', `  runbook ${hash}`];

  test('shows its blockers with the remedy, its notes and its hash', () => {
    const blockers = [{ object: 'PodDisruptionBudget/shop/cart', reason: 'It never opens.', remedy: 'Open it.' }];
    expect(lines({ blockers, notes: ['Look out.'], effects: [{ object: 'a', change: 'delete' }], estimateMs: 90_000 })).toEqual([
      head[0],
      '  In all: 1 change; about 1 min 30 s; 1 note; 1 blocker',
      '    ✗ PodDisruptionBudget/shop/cart: It never opens.',
      '      Open it.',
      head[1],
      '  drain kubernetes.drain, about 1 min 30 s (forecast)',
      '    ~ a: delete',
      '    ↶ rollback: lifts the cordons that it has set; pods that were moved stay where they are',
      '    ! not signed: Look out.',
    ]);
    expect(hashLines(planOf({ effects: [{ object: 'a', change: 'delete' }] }), terminalOf({ tty: false }).colors)).toEqual([
      '  It makes 1 change.',
      `  plan ${hash}`,
    ]);
  });

  test('puts what happens to many objects together, and leaves none of them out', () => {
    const change = { change: 'cordon', before: 'open', after: 'shut' };
    const effects = Array.from({ length: 100 }, (_, index) => ({ object: `Node/${index}`, ...change }));
    const shown = lines({ effects });
    expect(shown[1]).toBe('  In all: 100 changes (100 Nodes); nothing blocks it');
    expect(shown[4]).toBe('    ~ cordon (open → shut): 100 objects');
    expect(shown.slice(5, 30).join(', ').match(/\d+/g)).toEqual(effects.map(({ object }) => object.slice('Node/'.length)));
  });

  test('says so where nothing changes', () => {
    expect(hashLines(planOf({}), terminalOf({ tty: false }).colors)[0]).toBe('  Nothing in the world is changed by these steps.');
  });

  test('of a later span is marked as a forecast, and what blocks it today does not block the start', () => {
    const blockers = [{ object: 'a', reason: 'b', remedy: 'c' }];
    const hold = { id: 'sign', policy: 'p', question: 'Go?' };
    const spans = [{ plan: planOf({}) }, { hold, plan: planOf({ blockers }) }];
    const runbook = { name: 'n', title: 'T', digest: hash };
    const shown = forecastLines({ target: 'eks/r/c', runbook, inputs: {}, spans }, terminalOf({ tty: false }));
    expect(shown).toContain('■ hold sign (policy p)');
    expect(shown.slice(-3)).toEqual([
      expect.stringContaining('The author of the runbook asks: “Go?”'),
      expect.any(String),
      `  plan ${hash}`,
    ]);
    expect(shown).toContain('Forecast; planned again and signed at the hold:');
    expect(shown).toContain('    ! blocked today: a: b');
  });
});

test('drift is shown object by object, and of a long list only what differs in it', () => {
  const budget = (name: string, maxUnavailable: string): { name: string; maxUnavailable: string } => ({ name, maxUnavailable });
  const others = Array.from({ length: 50 }, (_, index) => budget(`shop/other-${index}`, '1'));
  const shown = differenceLines(
    [
      { step: 'drain', kind: 'added', object: 'Node/a', after: 'cordon' },
      { step: 'drain', kind: 'gone', object: 'Node/b' },
      { step: 'run', kind: 'changed', object: 'input size', before: 1, after: 2 },
      {
        step: 'drain',
        kind: 'changed',
        object: 'fact budgets',
        before: [...others, budget('shop/cart', '1'), budget('shop/gone', '1')],
        after: [...others, budget('shop/cart', '2'), budget('shop/new', '1')],
      },
      { step: 'drain', kind: 'changed', object: 'fact nodes', before: ['a', 'b'], after: ['b', 'a'] },
    ],
    terminalOf({ tty: false }),
  );
  expect(shown).toEqual([
    '  + drain: Node/a = cordon',
    '  - drain: Node/b',
    '  ~ run: input size: 1 → 2',
    '  ~ drain: fact budgets:',
    '      ~ shop/cart: maxUnavailable 1 → 2',
    '      - {"name":"shop/gone","maxUnavailable":"1"}',
    '      + {"name":"shop/new","maxUnavailable":"1"}',
    '  ~ drain: fact nodes:',
    '      ~ the order',
  ]);
});

describe('formats', () => {
  test('times are of the zone of the user, and name it', () => {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const name = new Intl.DateTimeFormat('en-GB', { timeZone: zone, timeZoneName: 'short' }).format(now).split(', ')[1] ?? '';
    expect(formatTime(now.toISOString())).toMatch(/^2[01] Nov 2026, \d\d:24:07 /);
    expect(formatTime(now.toISOString()).endsWith(` ${name}`)).toBe(true);
    expect(formatClock(now).endsWith(` ${name}`)).toBe(true);
    expect(formatTime(undefined)).toBe('');
  });

  test.each([
    [0, '0 s'],
    [59_400, '59 s'],
    [59_600, '1 min'],
    [200_000, '3 min 20 s'],
    [7_500_000, '2 h 5 min'],
    [7_200_000, '2 h'],
    [172_800_000, '48 h'],
    [572_460_000, '6 days 15 h'],
    [604_800_000, '7 days'],
  ])('%d ms are %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

  test('a hash is meant by 32 of its digits or more, with or without its prefix', () => {
    const typed = ['ab'.repeat(16), `sha256:${'ab'.repeat(17)}`, hash, 'ab'.repeat(15), 'ac'.repeat(16), '', 'sha256:'];
    expect(typed.map((text) => hashMatches(hash, text))).toEqual([true, true, true, false, false, false, false]);
  });

  test('words of a command line are quoted where a shell would take them apart', () => {
    expect(shellWords(['start', './my.yaml', '-i', "a=it's $5", '-i', 'b='])).toBe("start ./my.yaml -i 'a=it'\\''s $5' -i b=");
  });
});

test('A risk is shown with its numbers and its remedy, and once for all objects that have it.', () => {
  const down = { risk: 'it is down for a while', remedy: 'Have its owner run a second pod.' };
  const room = { object: 'Deployment shop/web', risk: 'its pods find no room', detail: '3 cpu short.', remedy: 'Add nodes.' };
  const risks = [room, { object: 'StatefulSet shop/db', ...down }, { object: 'Deployment shop/api', detail: '1 pod.', ...down }];
  expect(planLines(planOf({ risks }), terminalOf({ tty: false })).slice(4)).toEqual([
    '    ! risk: Deployment shop/web: its pods find no room',
    '      3 cpu short. Add nodes.',
    '    ! risk: it is down for a while: 2 objects',
    '        StatefulSet shop/db',
    '        Deployment shop/api: 1 pod.',
    '      Have its owner run a second pod.',
  ]);
});

describe('a hold in short, as data and as lines of the inbox', () => {
  const nodes = ['a', 'b', 'c', 'd'].map((node) => ({ object: `Node/${node}`, change: 'drain' }));
  const risks = [{ object: 'Deployment shop/web', risk: 'it is down for a while' }];
  const drained = planOf({ effects: nodes, risks, estimateMs: 60_000 });
  const [drain] = drained.steps;
  const removal = { ...drain!.plan, effects: [{ object: 'Nodegroup/demo/blue', change: 'delete' }], risks: [] };
  const remove = { id: 'delete', uses: 'eks.deleteNodegroup', input: { nodegroup: 'blue' }, plan: removal };
  const past = { runs: 5, medianMs: 120_000, p95Ms: 180_000 };
  const dangerous = { ...drain!, past, input: { nodes: ['a'], deleteEmptyDirData: true } };
  const plan: SpanPlan = { ...drained, steps: [dangerous, remove] };
  const policy = { name: 'two', atLeast: 2, of: 'sre', exclude: ['requester' as const], reason: 'optional' as const, expiresMs: 1 };
  const parties = { policy, members: ['ada', 'grace', 'dana'], groups: { sre: ['ada', 'grace', 'dana'] }, requester: 'dana' };
  const times = { requestedAt: now.toISOString(), expiresAt: now.toISOString() };
  const request = { hold: 'sign', number: 1, question: '', planHash: hash, ...parties, ...times };
  const signed = { person: 'ada', decision: 'approve' as const, reason: '', at: now.toISOString(), jws: 'x' };

  test('says who may sign, how many are missing, who may not and why, and of each step its estimate, risks and rollback', () => {
    const { standing, mayNotSign, steps } = summaryOfHold({ request, plan, decisions: [signed] }, now.getTime());
    expect(standing).toEqual({ state: 'waiting', missing: 1, inWords: '1 signature of sre', maySign: ['grace'] });
    expect(mayNotSign).toEqual([{ person: 'dana', why: 'starts the run, and the requester does not count' }]);
    expect(steps).toMatchObject([
      { id: 'drain', estimateMs: 120_000, past, undo: { does: expect.any(String) } },
      { id: 'delete', changes: ['Nodegroup/demo/blue: delete'], risks: [], estimateMs: 60_000, undo: { none: expect.any(String) } },
    ]);
    expect(steps[0]?.risks).toEqual(['Deployment shop/web: it is down for a while', expect.stringMatching(/^deleteEmptyDirData: /)]);
    const nothing = summaryOfHold({ request, plan: planOf({}), decisions: [] }, now.getTime());
    expect(nothing.steps).toEqual([{ id: 'drain', uses: 'kubernetes.drain', changes: [], risks: [], estimateMs: 0 }]);
  });

  test('takes a few lines, and says how much more there is', () => {
    const { colors } = terminalOf({ tty: false });
    const lines = shortPlanLines(stepsInShort(plan), colors);
    expect(lines.slice(0, 2)).toEqual([
      '  5 changes: Node/a: drain; Node/b: drain; Node/c: drain; and 2 more',
      '  takes: drain about 2 min (median of 5 past runs here; 95 of 100 within 3 min); delete about 1 min (forecast)',
    ]);
    expect(lines[2]).toMatch(/^ {2}! 2 risks: Deployment shop\/web: it is down for a while; deleteEmptyDirData: /);
    expect(lines[3]).toMatch(/^ {2}! no rollback: delete: /);
    expect(shortPlanLines(stepsInShort(planOf({})), colors)).toEqual(['  0 changes']);
  });
});

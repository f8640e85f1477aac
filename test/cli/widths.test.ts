import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Readable, Writable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { inboxLines } from '../../cli/commands/inbox.ts';
import { widthOf, wrapped } from '../../cli/layout.ts';
import { forecastLines } from '../../cli/plan-view.ts';
import { runLines } from '../../cli/run-view.ts';
import { Terminal } from '../../cli/terminal.ts';
import { stepsInShort } from '../../client/hold-summary.ts';
import type { InboxItem } from '../../client/inbox.ts';
import type { ActionPlan, SpanPlan } from '../../domain/plan/plan.ts';
import type { HoldState, RunState } from '../../domain/run/state.ts';

/** `UPDATE_TRANSCRIPTS=1` writes what it sees; then a person reads the difference. */
const updates = process.env.UPDATE_TRANSCRIPTS === '1';
const now = new Date('2026-11-21T05:24:07Z');
const hash = `sha256:${'ab'.repeat(32)}`;
const ids = { run: 'r-20261121-7kq2m4', target: 'eks/ap-northeast-2/결제' };
const reason =
  'PDB payments/ledger needs 3 healthy pods and has 3; payments/ledger-7d9f4c6b8-x2x9k on ip-10-0-3-7 is not Ready (CrashLoopBackOff)';
const todo = {
  text:
    'PDB payments/ledger belongs to whoever owns Deployment payments/ledger. ' +
    'Have payments/ledger-7d9f4c6b8-x2x9k made Ready, or deleted.',
  command: 'kubectl -n payments describe pod ledger-7d9f4c6b8-x2x9k',
};

function terminalOf(columns: number): Terminal {
  const stdout = Object.assign(new Writable({ write: (_chunk, _encoding, done) => done() }), { isTTY: true, columns });
  const stdin = Object.assign(Readable.from([]), { isTTY: true });
  const surroundings = { stdin, stdout, stderr: stdout, env: {}, now: () => now, signal: new AbortController().signal };
  return new Terminal(surroundings, { json: false, color: false });
}

const nodes = [4, 5].map((host) => `ip-10-0-0-${host}.ap-northeast-2.compute.internal`);
const plan = ((): SpanPlan => {
  const effects = [
    ...nodes.map((node) => ({ object: `Node/${node}`, change: 'cordon until the run ends: no new pods come to it' })),
    { object: 'Deployment payments/ledger', change: 'evict its pods from these nodes, within its budget' },
  ];
  const risks = [
    { object: 'Deployment payments/결제-원장', risk: 'it is down for a while', detail: '1 pod.', remedy: 'Run a second pod.' },
  ];
  const blockers = [{ object: 'PodDisruptionBudget/payments/ledger', reason, remedy: todo.text }];
  const rest = {
    facts: {},
    notes: ['Pods of 결제-원장 were killed at the end of their grace period the last time.'],
    details: {},
    outputs: {},
  };
  const drain: ActionPlan = { effects, risks, blockers, estimateMs: 90_000, ...rest };
  const steps = [{ id: '결제-노드-드레인', uses: 'kubernetes.drain', input: { nodes }, plan: drain }];
  return { target: ids.target, runbook: hash, title: '결제 클러스터의 노드 그룹 교체', inputs: { nodegroup: 'blue' }, steps, hash };
})();

function stateOf(parts: Partial<RunState>): RunState {
  const runbook = { name: 'rotation', title: plan.title, digest: hash };
  return {
    ...ids,
    runbook,
    inputs: {},
    requester: '다나',
    phase: 'holding',
    steps: [],
    commands: [],
    evidence: '',
    refusedAttempts: 0,
    ...parts,
  };
}

const hold = ((): HoldState => {
  const policy = { name: 'p', atLeast: 1, of: 'sre', exclude: ['requester' as const], reason: 'optional' as const, expiresMs: 1 };
  const times = { requestedAt: '2026-11-21T05:14:07Z', expiresAt: '2026-11-21T09:24:07Z' };
  const about = { planHash: hash, policy, members: ['에이다', 'grace', '다나'], requester: '다나' };
  const request = { hold: '서명', number: 1, question: '파드를 옮길까요?', ...about, ...times };
  return { request, plan, decisions: [] };
})();

const rows: RunState['steps'] = [
  {
    id: '서명',
    kind: 'hold',
    uses: 'production-change',
    status: 'holding',
    startedAt: '2026-11-21T05:14:07Z',
    summary: '1 of sre must sign',
  },
  { id: '결제-노드-드레인', kind: 'action', uses: 'kubernetes.drain', status: 'waiting' },
];
const draining = ((): RunState => {
  const items = nodes.map((name, index) => ({ name, state: index === 0 ? ('blocked' as const) : ('waiting' as const), done: 3, total: 7 }));
  items[0] = Object.assign(items[0]!, { detail: reason });
  const progress = { summary: `6 of 14 pods gone, 1 waiting: ${reason}`, done: 6, total: 14, unit: 'pods', items, todo: [todo] };
  const drain = { ...rows[1]!, status: 'running' as const, startedAt: '2026-11-21T05:23:00Z', progress };
  return stateOf({ phase: 'running', steps: [{ ...rows[0]!, status: 'done', endedAt: '2026-11-21T05:23:00Z' }, drain] });
})();

const item: InboxItem = {
  ...{ ...ids, title: plan.title, requester: '다나', hold: '서명', request: 1, question: '', planHash: hash, missing: 1 },
  ...{ requestedAt: hold.request.requestedAt, expiresAt: hold.request.expiresAt, ageMs: 600_000, leftMs: 14_400_000 },
  steps: stepsInShort(plan),
};

const views: [string, (terminal: Terminal) => string[]][] = [
  [
    'holdpoint plan',
    (terminal) =>
      forecastLines(
        { target: ids.target, runbook: { name: 'r', title: plan.title, digest: hash }, inputs: {}, spans: [{ plan }] },
        terminal,
      ),
  ],
  [
    'holdpoint show, at a hold',
    (terminal) => runLines({ state: stateOf({ hold, steps: rows }), progress: {}, retrying: [] }, terminal, { plan: true }),
  ],
  ['holdpoint show, in a drain', (terminal) => runLines({ state: draining, progress: {}, retrying: [] }, terminal, { plan: true })],
  ['holdpoint inbox', (terminal) => inboxLines(item, terminal)],
];

const wordsOf = (lines: readonly string[]): string => lines.join(' ').replaceAll(/\s+/g, ' ');

test.each([60, 80, 120])('plan, show and inbox on a terminal of %d columns are what the transcript says', (columns) => {
  const terminal = terminalOf(columns);
  const shown = views.map(([title, view]) => [`# ${title}`, ...view(terminal).flatMap((line) => wrapped(line, columns))]);
  const folder = fileURLToPath(new URL('widths', import.meta.url));
  const text = `${shown.map((lines) => lines.join('\n')).join('\n\n')}\n`;
  if (updates) mkdirSync(folder, { recursive: true });
  if (updates) writeFileSync(`${folder}/${columns}.txt`, text);
  expect(text).toBe(readFileSync(`${folder}/${columns}.txt`, 'utf8'));
  // A reason is never cut, and nothing goes past the edge but what people copy and words that are longer than the line.
  for (const lines of [shown[0]!, shown[2]!]) expect(wordsOf(lines)).toContain(reason);
  expect(wordsOf(shown[2]!)).toContain(`${todo.text} ${todo.command}`);
  const tooWide = shown.flat().filter((line) => widthOf(line) > columns && !/^\s*(holdpoint|kubectl) /.test(line));
  expect(tooWide.filter((line) => Math.max(...line.trim().split(' ').map(widthOf)) < columns - 24)).toEqual([]);
});

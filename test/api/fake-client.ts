import { HoldpointError } from '../../domain/errors.ts';
import type { LiveRun, RunPage } from '../../client/holdpoint.ts';
import { sealSpan, type SpanPlan } from '../../domain/plan/plan.ts';
import type { ApprovalRequest } from '../../domain/approval/request.ts';
import type { ApiClient } from '../../api/context.ts';
import type { RunState } from '../../domain/run/state.ts';

export const run = 'r-20261129-abcdef';
export const target = 'eks/eu-central-1/demo';
/** What somebody who wants to harm whoever looks may have called a node. */
export const hostile = '<img src=x onerror=alert(1)>\u202e"; </script>';

/** A plan that evicts from one node with a hostile name. */
export const plan: SpanPlan = sealSpan({
  target,
  runbook: `sha256:${'a'.repeat(64)}`,
  title: 'Drain a node',
  inputs: { cluster: 'demo' },
  steps: [
    {
      id: 'drain',
      uses: 'kubernetes.drain',
      input: { nodes: [hostile] },
      plan: {
        effects: [{ object: `Node/${hostile}`, change: 'drain', before: { pods: 3 }, after: null }],
        facts: { uid: 'u-1' },
        risks: [],
        blockers: [],
        notes: [],
        details: {},
        outputs: {},
        estimateMs: 60_000,
      },
    },
  ],
});

/** A request for the signatures of sre, that dana has started. */
export const request: ApprovalRequest = {
  hold: 'sign',
  number: 2,
  question: `Drain ${hostile}?`,
  planHash: plan.hash,
  policy: { name: 'one', atLeast: 1, of: 'sre', exclude: ['requester'], reason: 'optional', expiresMs: 600_000 },
  members: ['ada', 'grace', 'dana'],
  requester: 'dana',
  requestedAt: '2026-11-29T10:00:00.000Z',
  expiresAt: '2126-11-29T14:00:00.000Z',
};

/** A run that waits at its hold. */
export function heldRun(): LiveRun {
  const state: RunState = {
    run,
    target,
    runbook: { name: 'node-maintenance', title: 'Drain a node', digest: plan.runbook },
    inputs: { cluster: 'demo' },
    requester: 'dana',
    phase: 'holding',
    steps: [
      { id: 'sign', kind: 'hold', uses: 'one', status: 'holding' },
      { id: 'drain', kind: 'action', uses: 'kubernetes.drain', status: 'waiting' },
    ],
    hold: { request, plan, decisions: [] },
    commands: ['abort'],
    evidence: `evidence/${run}`,
    refusedAttempts: 0,
  };
  return { state, progress: {}, retrying: [] };
}

/** A client whose answers a test sets, and what it was asked. */
export interface FakeClient extends ApiClient {
  asked: { name: string; args: unknown[] }[];
  live: LiveRun;
  pages: RunPage;
  submitted: () => Promise<unknown>;
}

/** Knows one run, which waits at its hold. */
export function fakeClient(): FakeClient {
  const client: FakeClient = {
    asked: [],
    live: heldRun(),
    pages: { runs: [] },
    submitted: async () => ({ state: 'approved', missing: 0 }),
    plan: async (...args: unknown[]) => {
      note('plan', args);
      const { state } = client.live;
      return { target, runbook: state.runbook, inputs: state.inputs, spans: [{ plan }] };
    },
    submitStart: (async (...args: unknown[]) => {
      note('submitStart', args);
      return client.submitted();
    }) as ApiClient['submitStart'],
    submit: (async (...args: unknown[]) => {
      note('submit', args);
      return client.submitted();
    }) as unknown as ApiClient['submit'],
    page: async (...args) => {
      note('page', args);
      return client.pages;
    },
    inbox: async () => ({ items: [], unread: [], more: false }),
    show: async (name) => {
      if (name !== run) throw new HoldpointError('run-unknown', { run: name });
      return client.live;
    },
    log: async () => ({ run, target, entries: [], incomplete: false }),
  };
  const note = (name: string, args: unknown[]): void => void client.asked.push({ name, args });
  return client;
}

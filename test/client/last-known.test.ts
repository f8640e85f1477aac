import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { defineSearchAttributeKey, TypedSearchAttributes } from '@temporalio/common';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import type { JsonObject } from '../../domain/json.ts';
import { replayedFrom, type LastKnown } from '../../client/last-known.ts';
import { requireHonestState } from '../../client/shown.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { historiesDirectory } from '../support/recorded-history.ts';

/** A recorded history up to the entry of a kind, as Temporal has it while nobody works; whole where no kind is named. */
async function seen(name: string, phase: string, upTo?: string): Promise<LastKnown> {
  const history = JSON.parse(readFileSync(join(historiesDirectory, `${name}.json`), 'utf8')) as { events: JsonObject[] };
  const last = upTo === undefined ? -1 : history.events.findIndex((event) => entriesOf(event).includes(`"kind":"${upTo}"`));
  if (upTo !== undefined && last < 0) throw new Error(`${name} has no ${upTo}`);
  const events = last < 0 ? history.events : history.events.slice(0, last + 1);
  const values = { run: 'r-1', runbook: 'rotation', requester: 'dana', phase };
  const typedSearchAttributes = new TypedSearchAttributes(
    Object.entries(values).map(([key, value]) => ({
      key: defineSearchAttributeKey(searchAttributes[key as keyof typeof values], 'KEYWORD'),
      value,
    })),
  );
  // A run is called like its target.
  const { workflowId } = events[0]?.workflowExecutionStartedEventAttributes as { workflowId: string };
  return replayedFrom(historyFromJSON({ events }), { typedSearchAttributes, workflowId });
}

/** What an event gives to the record, as text. */
function entriesOf(event: JsonObject): string {
  const scheduled = event.activityTaskScheduledEventAttributes as { input?: { payloads?: { data?: string }[] } } | undefined;
  return Buffer.from(scheduled?.input?.payloads?.[0]?.data ?? '', 'base64').toString('utf8');
}

describe('without a worker a run is known by its history', () => {
  test('which waits at a hold: what was asked of whom, and the steps before and after', async () => {
    const { state, at, incomplete } = await seen('hold', 'holding', 'hold.requested');
    expect(state).toMatchObject({ run: 'r-1', target: expect.stringMatching(/^eks\//), phase: 'holding', requester: 'dana', commands: [] });
    expect(state.hold?.request).toMatchObject({ number: 1, planHash: expect.stringMatching(/^sha256:/) });
    expect(state.steps.map(({ status }) => status)).toEqual(expect.arrayContaining(['done', 'holding', 'waiting']));
    expect(state.runbook.title).not.toBe('');
    // The plan has the hash that it names, so that nobody is shown another one.
    expect(() => requireHonestState(state.target, state, state.target)).not.toThrow();
    const changed = structuredClone(state);
    changed.hold!.plan.title = 'harmless';
    expect(() => requireHonestState(state.target, changed, state.target)).toThrow(/does not show what would be signed/);
    expect(Date.parse(at)).toBeGreaterThan(0);
    expect(incomplete).toBe(false);
  });

  test('which is stuck: why, and what to do; and which is not any more, by what Temporal says of its phase', async () => {
    const { state } = await seen('skip', 'stuck', 'step.stuck');
    expect(state.stuck).toMatchObject({ reason: expect.any(String), remedy: expect.any(String) });
    expect(state.steps.find(({ id }) => id === state.stuck?.step)?.status).toBe('stuck');
    const later = await seen('skip', 'running', 'step.stuck');
    expect(later.state.stuck).toBeUndefined();
    expect(later.state.steps.filter(({ status }) => status === 'stuck')).toEqual([]);
  });

  test('which has ended: how, and what it has left', async () => {
    const { state } = await seen('hold', 'done');
    expect(state).toMatchObject({ phase: 'done', ended: { reason: expect.any(String), leftovers: expect.any(Array) } });
    expect(state.hold).toBeUndefined();
  });

  test('which has gone on as new: by what it has handed over', async () => {
    const { state } = await seen('continued', 'running');
    expect(state.steps.length).toBeGreaterThan(0);
  });

  test.each(['break-glass', 'drift', 'expiry', 'for-each', 'nested-runbook', 'pause', 'refused', 'scheduled', 'undo', 'window'])(
    '%s: whatever its history holds, at each of its events',
    async (name) => {
      const { entries } = await seen(name, 'running');
      expect(entries.length).toBeGreaterThan(0);
      for (const kind of new Set(entries.map((entry) => entry.kind))) await expect(seen(name, 'running', kind)).resolves.toBeDefined();
    },
  );
});

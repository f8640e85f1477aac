import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Runtime, Worker, type WorkflowBundle } from '@temporalio/worker';
import type { Json, JsonObject } from '../../domain/json.ts';
import * as workflows from '../../workflows/index.ts';
import { historiesDirectory } from '../support/recorded-history.ts';
import { quietTemporal } from '../support/quiet-temporal.ts';
import { workflowBundle } from '../support/shared.ts';

/** Recorded by `npm run record-histories` when workflow code was changed on purpose; see docs/changing-workflow-code.md. */
const histories = readdirSync(historiesDirectory)
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.replace('.json', ''));

let bundle: WorkflowBundle;
beforeAll(async () => {
  quietTemporal();
  bundle = await workflowBundle();
});
afterAll(() => Runtime.instance().shutdown());

function read(name: string): JsonObject {
  return JSON.parse(readFileSync(join(historiesDirectory, `${name}.json`), 'utf8')) as JsonObject;
}

function replay(history: JsonObject): Promise<void> {
  // A run is called like its target, and looks whether it is.
  const { workflowId } = startOf(history);
  return Worker.runReplayHistory({ workflowBundle: bundle, replayName: 'replay' }, historyFromJSON(history), workflowId);
}

/** What the first event of a history says. */
function startOf(history: JsonObject): { workflowId: string; workflowType: { name: string } } {
  const [started] = history.events as JsonObject[];
  return started?.workflowExecutionStartedEventAttributes as { workflowId: string; workflowType: { name: string } };
}

test('there is a history of every workflow type', () => {
  expect([...new Set(histories.map((name) => startOf(read(name)).workflowType.name))].sort()).toEqual(Object.keys(workflows).sort());
});

test('no history says on which machine it was made', () => {
  const readable = (value: Json): string =>
    JSON.stringify(value, (key, inner: unknown) => (key === 'data' ? Buffer.from(String(inner), 'base64').toString('utf8') : inner));
  const told = histories.filter((name) => /\/tmp\/|\/work\/|\/root\/|\/home\//.test(readable(read(name))));
  expect(told).toEqual([]);
});

describe('the workflow code of today decides as it did in', () => {
  test.each(histories)('%s', async (name) => {
    await expect(replay(read(name))).resolves.toBeUndefined();
  });
});

test('a history that the code would have made otherwise is told apart', async () => {
  const name = 'hold';
  const text = JSON.stringify(read(name));
  expect(text).toContain('"activityType":{"name":"release"}');
  const changed = JSON.parse(text.replaceAll('"activityType":{"name":"release"}', '"activityType":{"name":"prepare"}')) as JsonObject;
  await expect(replay(changed)).rejects.toMatchObject({ name: 'DeterminismViolationError' });
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Caller } from '../../../activities/caller.ts';
import { createEvidenceDirectory } from '../../../activities/evidence/directory.ts';
import { Outbox } from '../../../activities/notify/outbox.ts';

let directory: string;
let outbox: Outbox;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-outbox-'));
  const evidence = createEvidenceDirectory(directory);
  const written = { execution: 'own' };
  await evidence.append('r-1', { ...written, sequence: 1, kind: 'run.started', body: { person: 'dana', target: 'kubernetes/lab' } });
  await evidence.append('r-1', { ...written, sequence: 2, kind: 'step.stuck', body: { step: 'drain', reason: 'A PDB is in the way.' } });
  const notifications = { channels: {}, routes: [{ channels: ['sre'] }], templates: {} };
  outbox = new Outbox({ evidence, readNotifications: async () => notifications });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A workflow `notify` that another execution has started, or somebody by hand. */
function startedBy(execution: string | undefined): Caller {
  const caller = { workflowType: 'notify', workflowId: 'n', execution: 'n-1', continues: async () => false };
  return execution === undefined ? caller : { ...caller, parent: { execution } };
}

test('an entry is told for the execution that has written it, and for no other', async () => {
  const told = { run: 'r-1', sequence: 2 };
  expect(await outbox.route(startedBy('own'), told)).toEqual({ event: 'stuck', channels: ['sre'] });
  for (const caller of [startedBy('another'), startedBy(undefined)]) {
    await expect(outbox.route(caller, told)).rejects.toMatchObject({ code: 'caller-refused' });
    await expect(outbox.send(caller, told, 'sre', undefined)).rejects.toMatchObject({ code: 'caller-refused' });
  }
  await expect(outbox.route(startedBy('own'), { run: 'r-1', sequence: 3 })).rejects.toMatchObject({ code: 'caller-refused' });
});

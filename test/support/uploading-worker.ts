import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { NativeConnection, Worker } from '@temporalio/worker';
import { defineAction, emptyPlan, type AnyAction } from '../../activities/action.ts';
import { createArtifactDirectory } from '../../activities/artifacts/directory.ts';
import { createEvidenceDirectory } from '../../activities/evidence/directory.ts';
import { createActivities } from '../../activities/index.ts';
import type { ActionContext, Progress } from '../../domain/action.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { actions } from '../../runbooks/actions/index.ts';
import { createConfigurationReader } from '../../worker/configuration-file.ts';
import { quietTemporal } from './quiet-temporal.ts';

const parts = 6;
const heartbeatThrottleMs = 100;
const stickyTimeoutMs = 1_000;
const pauseMs = 20;

/**
 * A worker whose `kubernetes.cordon` is an upload in six parts: one long push. Which parts are uploaded the world does not show; each is
 * a line of the file `parts`, and the last line says that the upload is complete. The file `wait-at` names a part after which the push
 * waits until it is aborted or the file says something else, the file `fail-at` one after which it fails once.
 */
async function main(): Promise<void> {
  const { HOLDPOINT_TEST_PARTS: directory = '', HOLDPOINT_TEST_BUNDLE: codePath = '' } = process.env;
  const { TEMPORAL_ADDRESS: address = '', HOLDPOINT_TASK_QUEUE: taskQueue = '', HOLDPOINT_CONFIG: configuration = '' } = process.env;
  quietTemporal();
  const nothing = { release: async () => [], find: async () => [], lift: async () => false };
  const uploads = { name: 'uploads', actions: [uploadOf(directory)], annotations: { kinds: ['eks'], ...nothing } };
  const worker = await Worker.create({
    connection: await NativeConnection.connect({ address }),
    namespace: 'default',
    taskQueue,
    activities: createActivities({
      systems: [uploads],
      artifacts: createArtifactDirectory(join(directory, 'artifacts')),
      evidence: createEvidenceDirectory(join(directory, 'evidence')),
      readConfiguration: createConfigurationReader(configuration),
    }),
    workflowBundle: { codePath },
    maxHeartbeatThrottleInterval: heartbeatThrottleMs,
    defaultHeartbeatThrottleInterval: heartbeatThrottleMs,
    stickyQueueScheduleToStartTimeout: stickyTimeoutMs,
  });
  process.stdout.write('{"listening":true}\n');
  await worker.run();
}

function uploadOf(directory: string): AnyAction {
  const file = (name: string): string => join(directory, name);
  const read = (name: string): string => (existsSync(file(name)) ? readFileSync(file(name), 'utf8') : '');
  const isComplete = (): boolean => read('parts').includes('complete');
  const effects = [{ object: 'Upload/backup', change: `upload ${parts} parts` }];
  const uploadPart = async (part: number, { signal, checkpoint, report, wait }: ActionContext): Promise<void> => {
    appendFileSync(file('parts'), `part ${part}\n`);
    checkpoint.write(part);
    report(progressAt(part));
    while (read('wait-at') === String(part) && !signal.aborted) await wait(pauseMs);
    if (read('fail-at') !== String(part)) return;
    rmSync(file('fail-at'));
    throw new HoldpointError('aws-denied', { call: 'UploadPart', target: 'the bucket', cause: 'no permission' });
  };
  return defineAction<JsonObject, JsonObject>({
    declaration: actions['kubernetes.cordon'],
    plan: async () => ({ ...emptyPlan<JsonObject>({}), effects: isComplete() ? [] : effects }),
    observe: async (_plan, { checkpoint }) => {
      const progress = progressAt(Number(checkpoint.read() ?? 0));
      return isComplete() ? { state: 'done', outputs: { nodes: [] }, progress } : { state: 'todo', progress };
    },
    act: async (_plan, context) => {
      for (let part = Number(context.checkpoint.read() ?? 0) + 1; part <= parts; part += 1) {
        context.signal.throwIfAborted();
        await uploadPart(part, context);
      }
      appendFileSync(file('parts'), 'complete\n');
    },
    undo: async () => ({ noUndo: 'The test does not ask.' }),
  });
}

function progressAt(part: number): Progress {
  return { summary: `${part} of ${parts} parts`, done: part, total: parts, unit: 'parts', items: [] };
}

/** Where a run that is over looks for what it has marked. */
await main();

import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { HoldpointError } from '../../domain/errors.ts';
import type { Interference } from './scenario-activities.ts';
import { makeWorker, quietTemporal } from './scenario-worker.ts';

/** The entries right after which it dies, each with the field that says what it is about, or with what it is about. */
const entries: Readonly<Record<string, { field: string } | { subject: string }>> = {
  'step.started': { field: 'step' },
  'step.done': { field: 'step' },
  'hold.requested': { field: 'hold' },
  'undo.started': { subject: 'undo' },
  'run.ended': { subject: 'run' },
};

/** A step that fails. */
export interface FailingStep {
  step: string;
  moment: 'before it begins' | 'when it is done';
}

/**
 * A worker of the real parts that kills itself (SIGKILL) wherever no worker before it has died: the points where they did are the
 * lines of a file. Another file names a step that fails, once it is there.
 */
async function main(): Promise<void> {
  const { HOLDPOINT_TEST_POINTS: points = '', HOLDPOINT_TEST_FAILING: failing = '', HOLDPOINT_TEST_BUNDLE: codePath = '' } = process.env;
  const { TEMPORAL_ADDRESS: address = '', HOLDPOINT_TASK_QUEUE: taskQueue = '', HOLDPOINT_CONFIG: configuration = '' } = process.env;
  const onlyOnTheWayBack = process.env.HOLDPOINT_TEST_WAY_BACK === '1';
  const died = new Set(readFileSync(points, 'utf8').split('\n'));
  const dieAt = (subject: string, point: string): void => {
    const line = `${subject}: ${point}`;
    if (died.has(line) || (onlyOnTheWayBack && !/^undo(:|$)/.test(subject))) return;
    appendFileSync(points, `${line}\n`);
    process.kill(process.pid, 'SIGKILL');
  };
  const failAt = (step: string, moment: FailingStep['moment']): void => {
    const found = existsSync(failing) ? (JSON.parse(readFileSync(failing, 'utf8')) as FailingStep) : undefined;
    if (step === found?.step && moment === found.moment) throw failure();
  };
  const interference: Interference = {
    aroundPerform: async ({ step }, perform) => {
      failAt(step, 'before it begins');
      dieAt(step, 'before it is performed');
      const performed = await perform();
      dieAt(step, 'performed');
      failAt(step, 'when it is done');
      return performed;
    },
    afterAct: async ({ step }, acts) => {
      // Once within a step, so that it is not tried more often than its action allows.
      if (acts === 1) dieAt(step, 'act 1');
    },
    afterEntry: async (_run, { kind, body }) => {
      const about = entries[kind];
      const subject = about && ('field' in about ? body[about.field] : about.subject);
      if (typeof subject === 'string') dieAt(subject, kind);
    },
  };
  quietTemporal();
  const { worker } = await makeWorker({ address, taskQueue, configuration }, interference, { codePath });
  process.stdout.write('{"listening":true}\n');
  await worker.run();
}

function failure(): HoldpointError {
  return new HoldpointError('action-stuck', { cause: 'The test wants it to fail.', remedy: 'Have it undone.' });
}

await main();

import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { HoldpointError } from '../../domain/errors.ts';
import { inTheMiddle, killingEntries } from './borders.ts';
import type { Interference } from './scenario-activities.ts';
import { makeWorker, quietTemporal } from './scenario-worker.ts';

/** A step that fails. */
export interface FailingStep {
  step: string;
  moment: 'before it begins' | 'when it is done';
}

/**
 * A worker of the real parts that kills itself (SIGKILL) wherever no worker before it has died: the points where they did are the
 * lines of a file. Where another file is named, only at the points that are its lines. A third one names a step that fails, once it
 * is there.
 */
async function main(): Promise<void> {
  const { HOLDPOINT_TEST_POINTS: points = '', HOLDPOINT_TEST_FAILING: failing = '', HOLDPOINT_TEST_BUNDLE: codePath = '' } = process.env;
  const { TEMPORAL_ADDRESS: address = '', HOLDPOINT_TASK_QUEUE: taskQueue = '', HOLDPOINT_CONFIG: configuration = '' } = process.env;
  const { HOLDPOINT_TEST_KILLS: kills = '', HOLDPOINT_TEST_WAY_BACK: wayBack } = process.env;
  const onlyOnTheWayBack = wayBack === '1';
  const isWanted = (line: string): boolean => kills === '' || (existsSync(kills) && linesOf(kills).includes(line));
  const died = new Set(linesOf(points));
  const dieAt = (subject: string, point: string): void => {
    const line = `${subject}: ${point}`;
    if (died.has(line) || (onlyOnTheWayBack && !/^undo(:|$)/.test(subject)) || !isWanted(line)) return;
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
      if (acts === 1) dieAt(step, inTheMiddle);
    },
    afterEntry: async (_run, { kind, body }) => {
      const about = killingEntries[kind];
      const subject = about && ('field' in about ? body[about.field] : about.subject);
      if (typeof subject === 'string') dieAt(subject, kind);
    },
  };
  quietTemporal();
  const { worker } = await makeWorker({ address, taskQueue, configuration }, interference, { codePath });
  process.stdout.write('{"listening":true}\n');
  await worker.run();
}

function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8').split('\n');
}

function failure(): HoldpointError {
  return new HoldpointError('action-stuck', { cause: 'The test wants it to fail.', remedy: 'Have it undone.' });
}

await main();

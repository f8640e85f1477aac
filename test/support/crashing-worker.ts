import { setTimeout as wait } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { HoldpointError } from '../../domain/errors.ts';
import { parseTarget } from '../../runbooks/targets.ts';
import { inTheMiddle, killingEntries } from './borders.ts';
import { Deaths, type FailingStep } from './deaths.ts';
import { quietTemporal } from './quiet-temporal.ts';
import type { Interference } from './scenario-activities.ts';
import { makeWorker } from './scenario-worker.ts';

/**
 * For how long a run that is at a place waits for the others that the same death can serve: a worker takes seconds of a core to start, and
 * the others seconds to hear that the one before has died. It must be less than the shortest time that an activity may take, which is
 * 7.5 s where a worker counts as dead sooner.
 */
const patienceMs = 4_500;
/** Whoever waits is not silent for as long as it takes to count as dead. */
const beatPauseMs = 500;
/** How long a step that is about to act is waited for besides: killed between its act and its place there, it never comes there again. */
const arrivalMs = 2_000;
const arrivalPauseMs = 10;

/**
 * A worker of the real parts that kills itself (SIGKILL) where its runs want it to, at each place once: see deaths.ts. It dies when
 * each of its runs that still wants a death is at such a place, or when one has waited for long enough.
 */
async function main(): Promise<void> {
  const { HOLDPOINT_TEST_DEATHS: directory = '', HOLDPOINT_TEST_BUNDLE: codePath = '' } = process.env;
  const { TEMPORAL_ADDRESS: address = '', HOLDPOINT_TASK_QUEUE: taskQueue = '', HOLDPOINT_CONFIG: configuration = '' } = process.env;
  const deaths = new Deaths(directory);
  const waiting: { cluster: string; place: string }[] = [];
  const arriving = new Set<string>();
  const die = async (): Promise<void> => {
    const endMs = performance.now() + arrivalMs;
    while (arriving.size > 0 && performance.now() < endMs) await wait(arrivalPauseMs);
    for (const { cluster, place } of waiting) deaths.note(cluster, place);
    process.kill(process.pid, 'SIGKILL');
  };
  const dieAt = async (cluster: string, place: string, beat: () => void = () => undefined): Promise<void> => {
    if (!deaths.isDue(cluster, place)) return;
    // An activity that waits here may be tried anew meanwhile.
    if (!waiting.some((present) => present.cluster === cluster && present.place === place)) waiting.push({ cluster, place });
    if (deaths.awaited().every((awaited) => waiting.some((present) => present.cluster === awaited))) void die();
    setTimeout(() => void die(), patienceMs);
    setInterval(beat, beatPauseMs);
    await new Promise<never>(() => undefined);
  };
  const failAt = ({ cluster, step }: { cluster: string; step: string }, moment: FailingStep['moment']): void => {
    const failing = deaths.failingStepOf(cluster);
    if (step === failing?.step && moment === failing.moment) throw failure();
  };
  const interference: Interference = {
    aroundPerform: async (context, perform) => {
      const { cluster, step } = context;
      failAt(context, 'before it begins');
      const beat = lastHeartbeat();
      await dieAt(cluster, `${step}: before it is performed`, beat);
      const place = placeInside(context);
      if (deaths.isDue(cluster, place)) arriving.add(`${cluster} ${place}`);
      const performed = await perform().finally(() => arriving.delete(`${cluster} ${place}`));
      await dieAt(cluster, `${step}: performed`, beat);
      failAt(context, 'when it is done');
      return performed;
    },
    afterAct: async (context, acts) => {
      // Once within a step, so that it is not tried more often than its action allows.
      if (acts !== 1) return;
      const [{ cluster }, place] = [context, placeInside(context)];
      arriving.delete(`${cluster} ${place}`);
      await dieAt(cluster, place);
    },
    afterEntry: async (_run, { kind, body }) => {
      const about = killingEntries[kind];
      const subject = about && ('field' in about ? body[about.field] : about.subject);
      if (typeof subject === 'string') await dieAt(clusterOfRun(), `${subject}: ${kind}`);
    },
  };
  quietTemporal();
  const { worker } = await makeWorker({ address, taskQueue, configuration }, interference, { codePath });
  process.stdout.write('{"listening":true}\n');
  await worker.run();
}

/** Sends the last heartbeat of the activity at hand again, as it was: the next attempt goes by what it says. */
function lastHeartbeat(): () => void {
  const activity = Context.current();
  const send = activity.heartbeat.bind(activity);
  let last = activity.info.heartbeatDetails as unknown;
  Object.assign(activity, { heartbeat: (details: unknown) => send((last = details)) });
  return () => send(last);
}

function placeInside({ step }: { step: string }): string {
  return `${step}: ${inTheMiddle}`;
}

/** A run is called like its target. */
function clusterOfRun(): string {
  return parseTarget(Context.current().info.workflowExecution?.workflowId ?? '').name;
}

function failure(): HoldpointError {
  return new HoldpointError('action-stuck', { cause: 'The test wants it to fail.', remedy: 'Have it undone.' });
}

await main();

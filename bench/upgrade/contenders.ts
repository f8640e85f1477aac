import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunningProcess } from '../../lab/process.ts';
import type { Environment } from '../rotation/environment.ts';
import { openRun } from '../rotation/whole-run.ts';
import { addons, clusterName, nodegroups, region, toVersion } from './world.ts';

/** Between two looks of the people of a run: they answer at once, so that no wait of theirs is measured. */
const answerMs = 50;

/** Someone who upgrades the cluster. */
export interface Contender {
  name: string;
  /** Begins, and gives what can be killed. */
  begin(environment: Environment, speed: number): Promise<Attempt>;
}

/** An upgrade that is under way. */
export interface Attempt {
  process: RunningProcess;
  begunAtMs: number;
  /** Resolves when it is over, with how; of a process that was killed too. */
  over: Promise<string>;
  /** Goes on after it was killed, where that is more than to begin anew; resolves when the upgrade is over. */
  goOn?: () => Promise<string>;
}

/** A script with the SDK, in a process of its own. */
export function script(name: string): Contender {
  return {
    name,
    begin: (environment, speed) => {
      const args = [join(environment.directory, 'programs', 'bench/upgrade/script-main.js'), name, environment.url, String(speed)];
      return inProcess(environment, { name, command: process.execPath, args, ready: /begun/ });
    },
  };
}

async function inProcess(environment: Environment, options: Parameters<Environment['start']>[0]): Promise<Attempt> {
  const started = await environment.start(options);
  // What a program takes to start would count as many times as the world is faster.
  const begunAtMs = performance.now();
  const over = started.ended.then((how) => {
    if (how !== 'ended with exit code 0') throw new Error(`${options.name} ${how}: ${started.output()}`);
    return 'done';
  });
  over.catch(() => undefined);
  return { process: started, begunAtMs, over };
}

/** `cluster-upgrade` on a real worker and server, with people who sign at once and bakes of no length. */
export const holdpoint: Contender = {
  name: 'holdpoint',
  begin: async (environment) => {
    const following = nodegroups.map((nodegroup) => ({ nodegroup }));
    const inputs = { region, cluster: clusterName, version: toVersion, addons: [...addons], nodegroups: following, bake: '0s' };
    const wanted = { runbook: 'cluster-upgrade', inputs, answerMs, workerMayEnd: true };
    const run = await openRun(environment, wanted, () => undefined);
    return {
      process: run.worker,
      begunAtMs: run.begunAtMs,
      over: run.phase,
      goOn: async () => {
        await run.startWorker();
        return run.phase;
      },
    };
  },
};

/** The program as it is installed; undefined where it is not. */
export function eksupgrade(): Contender | undefined {
  const command = process.env.BENCH_EKSUPGRADE ?? 'eksupgrade';
  if (spawnSync(command, ['--version'], { stdio: 'ignore' }).status !== 0) return undefined;
  return {
    name: 'eksupgrade',
    begin: async (environment, speed) => {
      // It sleeps for fixed times, which pass as fast as the world does. Nothing else of it is changed.
      const slept = `import time\n_sleep = time.sleep\ntime.sleep = lambda seconds: _sleep(seconds / ${speed})\n`;
      await writeFile(join(environment.directory, 'sitecustomize.py'), slept);
      const env = {
        ...process.env,
        PYTHONPATH: environment.directory,
        PYTHONUNBUFFERED: '1',
        AWS_ENDPOINT_URL: environment.url,
        AWS_ACCESS_KEY_ID: 'bench',
        AWS_SECRET_ACCESS_KEY: 'bench',
        AWS_EC2_METADATA_DISABLED: 'true',
      };
      const args = [clusterName, toVersion, region, '--no-interactive'];
      return inProcess(environment, { name: 'eksupgrade', command, args, env, ready: /Upgrading cluster/ });
    },
  };
}

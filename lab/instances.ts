import { execFile } from 'node:child_process';
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { cacheFolder } from './temporal-binary.ts';

const runFile = promisify(execFile);

/** How long a keeper may take to stop what it keeps; then we end its programs ourselves. */
const stopTimeoutMs = 15_000;
const stopPauseMs = 50;
const namePattern = /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/;

/** A process as the system knows it: the number alone may belong to somebody else by now. */
export interface ProcessIdentity {
  pid: number;
  /** When it was started, in the words of `ps`. */
  started: string;
}

/** A lab that somebody has started, as its state file tells. */
export interface LabInstance {
  name: string;
  kind: 'kubernetes';
  /** The `holdpoint lab up` that keeps it. */
  keeper: ProcessIdentity;
  /** Whether it serves; everything below is there only then. */
  ready: boolean;
  processes: readonly (ProcessIdentity & { name: string })[];
  directory?: string;
  kubeconfig?: string;
  server?: string;
}

/** There is a lab of that name already; it is left alone. */
export class LabTakenError extends Error {
  override readonly name = 'LabTakenError';
}

/** Whether a lab can be called that: a short word of lower-case letters, digits and hyphens. */
export function isLabName(name: string): boolean {
  return namePattern.test(name);
}

/** The identity of a process that runs; undefined where there is none of that number. */
export async function identityOf(pid: number): Promise<ProcessIdentity | undefined> {
  try {
    const { stdout } = await runFile('ps', ['-o', 'lstart=,stat=', '-p', String(pid)], { env: { ...process.env, LC_ALL: 'C' } });
    const words = stdout.trim().split(/\s+/);
    const state = words.pop() ?? 'Z';
    // A zombie has ended; only its parent has not looked yet.
    return state.startsWith('Z') ? undefined : { pid, started: words.join(' ') };
  } catch {
    return undefined;
  }
}

async function runs({ pid, started }: ProcessIdentity): Promise<boolean> {
  return (await identityOf(pid))?.started === started;
}

/**
 * Takes a name for a lab that this process is going to keep. What a keeper that was killed left under that name is cleaned up.
 * Throws LabTakenError where a keeper of that name runs.
 */
export async function claimInstance(name: string, env: NodeJS.ProcessEnv): Promise<LabInstance> {
  const keeper = await identityOf(process.pid);
  if (keeper === undefined) throw new Error('ps does not know this process: install procps, which the lab uses to tell processes apart.');
  const instance: LabInstance = { name, kind: 'kubernetes', keeper, ready: false, processes: [] };
  await mkdir(stateFolder(env), { recursive: true });
  while (!(await createState(instance, env))) {
    const other = await readInstance(name, env);
    if (other !== undefined && (await runs(other.keeper))) {
      throw new LabTakenError(`A lab called ${name} runs already (process ${other.keeper.pid}).`);
    }
    if (other === undefined) await rm(stateFile(name, env), { force: true });
    else await endInstance(other, env);
  }
  return instance;
}

/** Creates the state file with all of its text at once; false where there is one already. */
async function createState(instance: LabInstance, env: NodeJS.ProcessEnv): Promise<boolean> {
  const file = stateFile(instance.name, env);
  const draft = `${file}.${instance.keeper.pid}`;
  await writeFile(draft, JSON.stringify(instance), { mode: 0o600 });
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  } finally {
    await rm(draft, { force: true });
  }
}

/** Writes down what a lab consists of, in one step, so that a reader sees all of it or what was before. */
export async function updateInstance(instance: LabInstance, env: NodeJS.ProcessEnv): Promise<void> {
  const file = stateFile(instance.name, env);
  await writeFile(`${file}.new`, `${JSON.stringify(instance, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Forgets a lab that has been stopped. */
export async function forgetInstance(name: string, env: NodeJS.ProcessEnv): Promise<void> {
  await rm(stateFile(name, env), { force: true });
}

/** The labs of this user on this machine, by name, those included whose keeper was killed. */
export async function listInstances(env: NodeJS.ProcessEnv): Promise<LabInstance[]> {
  const files = await readdir(stateFolder(env)).catch(() => []);
  const names = files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length));
  const found = await Promise.all(names.sort().map((name) => readInstance(name, env)));
  return found.filter((instance) => instance !== undefined);
}

/** The lab of that name; undefined where there is none, or its state file is broken. */
export async function readInstance(name: string, env: NodeJS.ProcessEnv): Promise<LabInstance | undefined> {
  try {
    return JSON.parse(await readFile(stateFile(name, env), 'utf8')) as LabInstance;
  } catch {
    return undefined;
  }
}

/** Whether the lab is kept and serves. */
export async function isServing(instance: LabInstance): Promise<boolean> {
  return instance.ready && (await runs(instance.keeper));
}

/**
 * Ends a lab: asks its keeper to stop it, ends by pid whatever runs after a limit or was left by a keeper that was killed,
 * and removes its directory and its state file. Processes that only have the number of one of its are left alone.
 */
export async function endInstance(instance: LabInstance, env: NodeJS.ProcessEnv): Promise<void> {
  if (await runs(instance.keeper)) {
    signal(instance.keeper.pid, 'SIGTERM');
    await ended([instance.keeper]);
    if (await runs(instance.keeper)) signal(instance.keeper.pid, 'SIGKILL');
  }
  // What a keeper wrote down since we looked counts as well.
  const { processes, directory } = (await readInstance(instance.name, env)) ?? instance;
  for (const process of processes) if (await runs(process)) signal(process.pid, 'SIGKILL');
  await ended(processes);
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  await forgetInstance(instance.name, env);
}

async function ended(processes: readonly ProcessIdentity[]): Promise<void> {
  const giveUpAt = performance.now() + stopTimeoutMs;
  for (const process of processes) {
    while ((await runs(process)) && performance.now() < giveUpAt) await wait(stopPauseMs);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function stateFolder(env: NodeJS.ProcessEnv): string {
  return join(cacheFolder(env), 'lab');
}

function stateFile(name: string, env: NodeJS.ProcessEnv): string {
  return join(stateFolder(env), `${name}.json`);
}

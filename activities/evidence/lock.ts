import { randomUUID } from 'node:crypto';
import { lstat, readlink, symlink, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { EvidenceError, systemCodeOf } from './store.ts';

/** Bounds of waiting for a lock. */
export interface LockLimits {
  /** How long to wait for another holder. */
  waitMs: number;
  /** After how long a holder that cannot be asked (another machine) counts as dead. Far more than holding ever takes. */
  staleMs: number;
}

/** A lock that is held. */
export interface HeldLock {
  /** Throws EvidenceError if the lock was taken away, as happens to a process that was stopped for longer than `staleMs`. */
  assertHeld(): Promise<void>;
}

const pollMinMs = 5;
const pollMaxMs = 50;

/** Tells this process from an earlier one with the same number, as every container's first process has number 1. */
const processToken = randomUUID();

/**
 * Runs `work` while holding the lock at `path`, against other processes and against other calls in this one.
 * A lock is a symbolic link whose target names the holder: one system call makes it, whole or not at all.
 *
 * @throws EvidenceError `evidence-locked` where it stays taken for `limits.waitMs`.
 */
export async function withLock<Result>(path: string, limits: LockLimits, work: (lock: HeldLock) => Promise<Result>): Promise<Result> {
  const holder = [hostname(), process.pid, processToken, randomUUID()].join(':');
  await acquire(path, holder, limits);
  const isHeld = async () => (await readHolder(path)) === holder;
  try {
    return await work({
      assertHeld: async () => {
        if (!(await isHeld())) throw lockedError(path, 'The lock was taken away while this process stood still', limits);
      },
    });
  } finally {
    if (await isHeld()) await unlink(path);
  }
}

async function acquire(path: string, holder: string, limits: LockLimits): Promise<void> {
  const deadline = Date.now() + limits.waitMs;
  while (!(await tryLink(path, holder))) {
    const current = await readHolder(path);
    if (current !== undefined && (await isStale(path, current, limits))) await breakLock(path, current, limits);
    if (Date.now() >= deadline) throw lockedError(path, `It has been held by ${describe(current)} for ${limits.waitMs} ms`, limits);
    // Waiters at different paces do not meet again and again.
    await delay(pollMinMs + Math.random() * (pollMaxMs - pollMinMs));
  }
}

/**
 * Removes a dead holder's lock. Two processes that both found it dead must not both remove it, or the second would
 * remove the lock that the first has made since: so only the holder of a second lock looks again and removes.
 * That one is never broken. Should its holder die within these few lines, a person has to remove it.
 */
async function breakLock(path: string, dead: string, limits: LockLimits): Promise<void> {
  const breaking = `${path}.breaking`;
  if (!(await tryLink(breaking, dead))) {
    const since = await ageMs(breaking);
    if (since !== undefined && since > limits.staleMs) throw lockedError(breaking, 'A process died while it removed a dead lock', limits);
    return;
  }
  try {
    if ((await readHolder(path)) === dead) await unlink(path);
  } finally {
    await unlink(breaking);
  }
}

async function isStale(path: string, holder: string, limits: LockLimits): Promise<boolean> {
  const heldMs = await ageMs(path);
  if (heldMs !== undefined && heldMs > limits.staleMs) return true;
  const [host, pid, token] = holder.split(':');
  if (host !== hostname()) return false;
  return Number(pid) === process.pid ? token !== processToken : !isRunning(Number(pid));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return systemCodeOf(error) === 'EPERM';
  }
}

async function tryLink(path: string, holder: string): Promise<boolean> {
  try {
    await symlink(holder, path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** The holder, or undefined where nobody holds the lock. */
async function readHolder(path: string): Promise<string | undefined> {
  return readlink(path).catch(unlessMissing);
}

async function ageMs(path: string): Promise<number | undefined> {
  const status = await lstat(path).catch(unlessMissing);
  return status && Date.now() - status.mtimeMs;
}

function unlessMissing(error: unknown): undefined {
  if (systemCodeOf(error) !== 'ENOENT') throw error;
}

function describe(holder: string | undefined): string {
  const [host, pid] = holder?.split(':') ?? [];
  return pid === undefined ? 'several processes in turn' : `process ${pid} on ${host}`;
}

function lockedError(path: string, why: string, limits: LockLimits): EvidenceError {
  return new EvidenceError(
    'evidence-locked',
    'retry',
    `The record is locked by ${path}. ${why}.`,
    `Try again; a dead holder's lock is removed after ${limits.staleMs} ms. If no worker is running, remove ${path} by hand.`,
  );
}

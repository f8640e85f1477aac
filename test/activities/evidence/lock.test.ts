import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lutimes, mkdtemp, readdir, rm, symlink, unlink } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { withLock } from '../../../activities/evidence/lock.ts';
import { EvidenceError } from '../../../activities/evidence/store.ts';

const limits = { waitMs: 300, staleMs: 60_000 };

let directory: string;
let lock: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-lock-'));
  lock = path.join(directory, 'record.lock');
});

afterEach(() => rm(directory, { recursive: true, force: true }));

/** A number that no process has any more. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid ?? 0;
}

async function age(file: string, ageMs: number): Promise<void> {
  const then = new Date(Date.now() - ageMs);
  await lutimes(file, then, then);
}

const isTaken = (file: string) => withLock(file, limits, async () => 'taken');

/** Lets callers compete for the lock; returns how many of them were inside at once. */
async function mostAtOnce(callers: number): Promise<number> {
  let inside = 0;
  let most = 0;
  const work = async () => {
    inside += 1;
    // Several turns of the event loop and of the disk, for others to come in if they can.
    for (let look = 0; look < 5; look += 1) {
      most = Math.max(most, inside);
      await readdir(directory);
    }
    inside -= 1;
  };
  await Promise.all(Array.from({ length: callers }, () => withLock(lock, { ...limits, waitMs: 20_000 }, work)));
  return most;
}

describe('a lock', () => {
  test('lets one caller in at a time, and leaves nothing behind', async () => {
    expect(await mostAtOnce(12)).toBe(1);
    expect(await readdir(directory)).toEqual([]);
  });

  test('is given back when the work fails', async () => {
    await expect(withLock(lock, limits, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await isTaken(lock)).toBe('taken');
  });

  test('that stays held is waited for up to the limit, then named with its holder', async () => {
    const error = await withLock(lock, limits, async () => isTaken(lock).catch((reason: unknown) => reason));
    expect(error).toBeInstanceOf(EvidenceError);
    expect(error).toMatchObject({
      code: 'evidence-locked',
      consequence: 'retry',
      message: `The record is locked by ${lock}. It has been held by process ${process.pid} on ${hostname()} for 300 ms.`,
      remedy: expect.stringContaining(`remove ${lock} by hand`),
    });
  });
});

describe('a dead holder', () => {
  test('killed with the lock in hand keeps nobody waiting', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'test/activities/evidence/directory-writer.ts', 'lock', lock], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    await expect(isTaken(lock)).rejects.toThrow(`held by process ${child.pid}`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await isTaken(lock)).toBe('taken');
  });

  test('that had the number of this process, in a container started again, is told from it', async () => {
    await symlink(`${hostname()}:${process.pid}:earlier:1`, lock);
    expect(await isTaken(lock)).toBe('taken');
  });

  test('on another machine counts as dead after the limit, not before', async () => {
    await symlink('elsewhere:1:token:1', lock);
    await expect(isTaken(lock)).rejects.toThrow('held by process 1 on elsewhere');
    await age(lock, limits.staleMs + 1_000);
    expect(await isTaken(lock)).toBe('taken');
  });

  test('is cleared away by many waiters without letting two of them in, however they meet', async () => {
    const pid = await deadPid();
    for (let round = 1; round <= 40; round += 1) {
      await symlink(`${hostname()}:${pid}:token:${round}`, lock);
      expect({ round, most: await mostAtOnce(4) }).toEqual({ round, most: 1 });
      expect(await readdir(directory)).toEqual([]);
    }
  });

  test('of the second lock, which guards the clearing, has to be removed by a person', async () => {
    await symlink(`${hostname()}:${await deadPid()}:token:1`, lock);
    await symlink('left behind', `${lock}.breaking`);
    await age(`${lock}.breaking`, limits.staleMs + 1_000);
    await expect(isTaken(lock)).rejects.toThrow(`locked by ${lock}.breaking. A process died while it removed a dead lock.`);
    await unlink(`${lock}.breaking`);
    expect(await isTaken(lock)).toBe('taken');
  });
});

describe('a holder that stood still for too long', () => {
  test('notices that the lock was taken away, and does not remove the one of its successor', async () => {
    const outcome = await withLock(lock, limits, async (held) => {
      await age(lock, limits.staleMs + 1_000);
      return withLock(lock, limits, () => held.assertHeld().catch((reason: unknown) => reason));
    });
    expect(outcome).toMatchObject({
      code: 'evidence-locked',
      message: expect.stringContaining('taken away while this process stood still'),
    });
    expect(await readdir(directory)).toEqual([]);
  });
});

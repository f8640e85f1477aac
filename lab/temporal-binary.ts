import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { access, constants, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';

const runFile = promisify(execFile);

/** The newest version that `go install` can build as well: later ones have a replace line in their go.mod. */
export const temporalVersion = '1.5.1';
export const goPackage = `github.com/temporalio/cli/cmd/temporal@v${temporalVersion}`;

/** A closed network shall be noticed soon: the answer must begin within this time. */
const answerTimeoutMs = 5_000;
const downloadTimeoutMs = 10 * 60_000;
const archiveBytesMax = 200 * 1024 * 1024;
const unpackTimeoutMs = 60_000;
const buildTimeoutMs = 20 * 60_000;
const buildOutputBytesMax = 4 * 1024 * 1024;
const lockTimeoutMs = 25 * 60_000;
const lockPauseMs = 250;

/** An archive of the official release, with the SHA-256 that it must have. */
export interface Archive {
  url: string;
  sha256: string;
}

/** SHA-256 of the release archives, as in the checksums.txt of the release. */
const archiveDigests: Record<string, string> = {
  linux_amd64: 'ddc95e08b0b076efd4ea9733a3f488eb7d2be875f8834e616cd2a37358b4852d',
  linux_arm64: 'bd1b0db9f18b051026de8bf6cc1505f2510f14bbb7a8b9a4a91fff46c77454f5',
  darwin_amd64: 'bbb73e2a31135abe50a1f1cdb35030c42961df618e8ce9c60ae89f201540c5d9',
  darwin_arm64: 'cca01b7ea35ad56e2a328d9ae596bf716bd22313ef63c7a761c88354457c2415',
};

/** The official archive for a machine, by Node's names for platform and processor; undefined where there is none. */
export function officialArchive(platform: string, processor: string): Archive | undefined {
  const machine = `${platform}_${processor === 'x64' ? 'amd64' : processor}`;
  const sha256 = archiveDigests[machine];
  if (sha256 === undefined) return undefined;
  const release = `https://github.com/temporalio/cli/releases/download/v${temporalVersion}`;
  return { url: `${release}/temporal_cli_${temporalVersion}_${machine}.tar.gz`, sha256 };
}

/** Our folder for what is made once for all checkouts. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  if (env.HOLDPOINT_CACHE) return env.HOLDPOINT_CACHE;
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'holdpoint');
}

/** Where the server's binary is kept in our cache. */
export function cachedTemporal(env: NodeJS.ProcessEnv): string {
  return join(cacheFolder(env), 'bin', `temporal-${temporalVersion}`);
}

/** Whether there is a file that we may run. */
export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** The full path of a program on PATH; undefined where it is not installed. */
export async function onPath(program: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (const folder of (env.PATH ?? '').split(delimiter)) {
    const path = join(folder, program);
    if (folder !== '' && (await isExecutable(path))) return path;
  }
  return undefined;
}

/** Downloads the official binary to `target`. Throws where the network, the checksum or the archive is not as it should be. */
export async function downloadTemporal(archive: Archive, target: string): Promise<void> {
  await inScratchFolder(target, async (folder) => {
    const file = join(folder, 'archive.tar.gz');
    const sha256 = await fetchTo(archive.url, file);
    if (sha256 !== archive.sha256) throw new Error(`its SHA-256 is ${sha256}, the release says ${archive.sha256}`);
    await runFile('tar', ['-xzf', file, '-C', folder, 'temporal'], { timeout: unpackTimeoutMs });
    return join(folder, 'temporal');
  });
}

/** Builds the server to `target` with the given `go` program. Throws with what go said. */
export async function buildTemporal(go: string, target: string, env: NodeJS.ProcessEnv): Promise<void> {
  await inScratchFolder(target, async (folder) => {
    // The user's GOFLAGS (-mod=vendor and such) are for the user's own modules.
    const buildEnv = { ...env, GOBIN: folder, GOFLAGS: '' };
    await runFile(go, ['install', goPackage], { env: buildEnv, timeout: buildTimeoutMs, maxBuffer: buildOutputBytesMax });
    return join(folder, 'temporal');
  });
}

/**
 * Runs `make` while no other process of this machine does so for the same `target`. The lock only saves work done twice:
 * what is made is put in place by one rename, so that a lock taken from a dead process by two others does no harm.
 */
export async function withLock<Result>(target: string, make: () => Promise<Result>): Promise<Result> {
  const lock = `${target}.lock`;
  await mkdir(join(target, '..'), { recursive: true });
  const giveUpAt = performance.now() + lockTimeoutMs;
  while (!(await takeLock(lock))) {
    if (performance.now() > giveUpAt) {
      throw new Error(`${lock} has been held for ${lockTimeoutMs / 60_000} minutes; remove it if no such process runs`);
    }
    await wait(lockPauseMs);
  }
  try {
    return await make();
  } finally {
    await rm(lock, { force: true });
  }
}

async function takeLock(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const holder = Number(await readFile(lock, 'utf8').catch(() => ''));
  if (holder > 0 && !isAlive(holder)) await rm(lock, { force: true });
  return false;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Lets `make` put a program into a fresh folder, moves it to `target` in one step, and leaves nothing else behind. */
async function inScratchFolder(target: string, make: (folder: string) => Promise<string>): Promise<void> {
  const folder = `${target}.${randomUUID()}`;
  await mkdir(folder, { recursive: true });
  try {
    await rename(await make(folder), target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Downloads a file and returns its SHA-256. Throws where there is no answer soon, no success, or more than an archive has. */
export async function fetchTo(url: string, file: string): Promise<string> {
  const abort = new AbortController();
  const hurry = setTimeout(() => abort.abort(new Error(`no answer within ${answerTimeoutMs / 1000} s`)), answerTimeoutMs);
  const response = await fetch(url, { signal: abort.signal }).finally(() => clearTimeout(hurry));
  if (!response.ok || response.body === null) throw new Error(`the answer was ${response.status} ${response.statusText}`);
  const hash = createHash('sha256');
  let bytes = 0;
  const measured = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > archiveBytesMax) throw new Error(`it is larger than ${archiveBytesMax / 1024 / 1024} MiB`);
      hash.update(chunk);
      yield chunk;
    }
  };
  const late = AbortSignal.timeout(downloadTimeoutMs);
  await pipeline(Readable.fromWeb(response.body), measured, createWriteStream(file), { signal: late });
  return hash.digest('hex');
}

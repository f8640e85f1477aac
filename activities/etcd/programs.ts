import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { HoldpointError } from '../../domain/errors.ts';
import { cut } from '../../domain/visible.ts';
import type { EtcdAccess } from '../../runbooks/configuration/etcd.ts';

export type EtcdProgramName = 'etcdctl' | 'etcdutl' | 'etcd';

/** `etcdutl hashkv`, and JSON of all commands that are used here, are there since this release. */
const versionLeast = { major: 3, minor: 6 };
const versionTimeoutMs = 10_000;
const outputBytesMax = 1024 * 1024;
/** A program that does not end by itself after SIGTERM is ended after this time. */
const reasonCharactersMax = 500;

/** What a program that ended by itself has left. */
export interface ProgramEnd {
  /** 0 where it did what it was asked. */
  code: number;
  stdout: string;
  /** The last line that says what went wrong, cut. */
  reason: string;
}

export interface ProgramCall {
  timeoutMs: number;
  signal?: AbortSignal;
  /** The folder in which it runs; that of the worker if left out. */
  cwd?: string;
}

/**
 * Finds a program of etcd where the configuration says, or on PATH, and makes sure that it is new enough.
 * Throws HoldpointError `etcd-program-unusable`.
 */
export async function findProgram({ programs }: Pick<EtcdAccess, 'programs'>, name: EtcdProgramName): Promise<string> {
  const folders = programs === undefined ? (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '') : [programs];
  for (const folder of folders) {
    const file = join(folder, name);
    if (await isExecutable(file)) {
      await requireVersion(file, name);
      return file;
    }
  }
  const cause = programs === undefined ? 'it is not on the PATH of the worker' : `there is no executable file ${join(programs, name)}`;
  throw new HoldpointError('etcd-program-unusable', { program: name, cause });
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function requireVersion(file: string, program: EtcdProgramName): Promise<void> {
  // An etcdctl before 3.6 knows `version` too, but an old API by default; both print their version so.
  const args = program === 'etcd' ? ['--version'] : ['version'];
  const { code, stdout, reason } = await runProgram(file, args, { timeoutMs: versionTimeoutMs });
  const [, version = '', major = '', minor = ''] = /ersion: ((\d+)\.(\d+)\.\d+\S*)/.exec(stdout) ?? [];
  const told = code === 0 ? 'it does not say which version it is' : `it does not say which version it is (${reason})`;
  if (version === '') throw new HoldpointError('etcd-program-unusable', { program: file, cause: told });
  const isNewEnough = Number(major) > versionLeast.major || (Number(major) === versionLeast.major && Number(minor) >= versionLeast.minor);
  if (isNewEnough) return;
  const cause = `its version is ${version}, and ${versionLeast.major}.${versionLeast.minor} or newer is needed`;
  throw new HoldpointError('etcd-program-unusable', { program: file, cause });
}

/**
 * Runs a program to its end. It is killed when its time is over, when it says too much, or when the signal is aborted; only then the call
 * throws. Another end than the one that was hoped for is told by `code`. Variables of the worker that steer etcdctl do not reach it.
 */
export async function runProgram(file: string, args: readonly string[], { timeoutMs, signal, cwd }: ProgramCall): Promise<ProgramEnd> {
  const env = programEnvironment();
  // Node refuses a fraction, which a time that follows from a size is.
  const options = { cwd, timeout: Math.ceil(timeoutMs), maxBuffer: outputBytesMax, killSignal: 'SIGKILL' as const, signal, env };
  return new Promise((resolve, reject) => {
    execFile(file, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve({ code: 0, stdout, reason: '' });
      else if (signal?.aborted) reject(signal.reason as Error);
      else if (typeof error.code === 'number') resolve({ code: error.code, stdout, reason: reasonIn(stderr) });
      else if (error.killed && error.code === undefined) resolve({ code: -1, stdout: '', reason: `no end after ${timeoutMs / 1000} s` });
      else resolve({ code: -1, stdout: '', reason: cut(error.code ?? reasonIn(stderr), reasonCharactersMax) });
    });
  });
}

/** The environment of programs of etcd: without the variables of the worker that steer them. */
export function programEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: process.env.HOME };
}

/** Programs of etcd write lines of JSON for logs, a sentence in brackets for the member, and `Error: …` last. */
function reasonIn(stderr: string): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  const crash = lines.find((line) => line.startsWith('fatal error: ') || line.startsWith('panic: '));
  const plain = lines.filter((line) => line !== '' && !line.startsWith('{'));
  const logged = lines.findLast((line) => line.startsWith('{'));
  const cause = /desc = (.*?)"\}?$/.exec(logged ?? '')?.[1]?.replaceAll('\\"', '"');
  const said = crash ?? cause ?? plain.at(-1)?.replace(/^Error: /, '') ?? 'no reason was given';
  return cut(said.replaceAll(/[\s.]+$/g, ''), reasonCharactersMax);
}

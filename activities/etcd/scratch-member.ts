import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Target } from '../../domain/target.ts';
import type { EtcdAccess } from '../../runbooks/configuration/etcd.ts';
import { waitOrStop } from '../action.ts';
import { createEtcdClient, type EtcdClient } from './client.ts';
import { programEnvironment } from './programs.ts';

/** Sockets of this name in the folder of the member: nobody reaches it over a network, and nobody else on the machine. */
const clientSocket = 'localhost:1';
const peerSocket = 'localhost:2';
const peerUrl = `unix://${peerSocket}`;
const lookMs = 50;
const startTimeoutMs = 60_000;

/** How a member that is alone calls itself; the same when it is restored and when it is started. */
export const scratchFlags = ['--name=drill', `--initial-cluster=drill=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`] as const;

/** A member over restored data, for as long as somebody looks at it. */
export interface ScratchMember {
  client: EtcdClient;
  /** Ends it at once: its data go, too. */
  stop(): Promise<void>;
}

/**
 * Starts etcd over a data directory, alone, on sockets in a folder that only this user may enter. It ends with this process, however that
 * ends. Throws an Error where it does not serve in time.
 */
export async function startScratchMember(
  program: string,
  { folder, dataDirectory, etcd, target, signal }: ScratchStart,
): Promise<ScratchMember> {
  const urls = [`--listen-client-urls=unix://${clientSocket}`, `--advertise-client-urls=unix://${clientSocket}`];
  const args = [`--data-dir=${dataDirectory}`, ...scratchFlags, ...urls, `--listen-peer-urls=${peerUrl}`];
  // The shell reads what this process never writes, and so sees when it is gone.
  const script = '"$@" >/dev/null 2>&1 & member=$!; cat >/dev/null; kill -KILL $member';
  const options = { cwd: folder, stdio: ['pipe', 'ignore', 'ignore'] as const, env: programEnvironment() };
  const child = spawn('/bin/sh', ['-c', script, 'sh', program, ...args], { ...options, stdio: [...options.stdio] });
  const ended = once(child, 'exit').catch(() => undefined);
  const stop = async (): Promise<void> => {
    child.stdin?.end();
    await ended;
  };
  try {
    const giveUpAtMs = performance.now() + startTimeoutMs;
    while (!(await isThere(join(folder, clientSocket)))) {
      signal.throwIfAborted();
      if (performance.now() > giveUpAtMs) throw new Error(`etcd does not serve after ${startTimeoutMs / 1000} s`);
      await waitOrStop(lookMs, signal);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { client: createEtcdClient({ ...etcd, tls: undefined, endpoints: [`unix://${clientSocket}`] }, target, folder), stop };
}

/** What a member is started with. */
export interface ScratchStart {
  folder: string;
  dataDirectory: string;
  /** Says where the programs are. */
  etcd: EtcdAccess;
  target: Target;
  signal: AbortSignal;
}

function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './temporal.ts';

const runFile = promisify(execFile);
const loopback = '127.0.0.1';
const readyPattern = /ready to serve client requests/;
const readyTimeoutMs = 30_000;
const commandTimeoutMs = 20_000;
const lookMs = 50;

/** A member on a machine of its own, which is played: it is started and ended by programs, as an operator would, or a worker. */
export type PlayedMachine = {
  endpoint: string;
  peerUrl: string;
  dataDirectory: string;
  start: string[];
  stop: string[];
};

/** A real cluster of etcd on 127.0.0.1. Each member ends when this process does, however that ends. */
export interface PlayedMachines {
  machines: Record<string, PlayedMachine>;
  endpoints: string[];
  /** Ends every member. Its data stay. */
  stop(): Promise<void>;
}

/** What the members are started with. */
export interface PlayedMachinesOptions {
  /** Path of etcd. */
  program: string;
  /** Where data, logs and the two programs of each member are. */
  directory: string;
  names: readonly string[];
  /** Files in PEM, which members use as servers, as peers and as clients; they serve without TLS where it is left out. */
  tls?: { certificateAuthority: string; certificate: string; key: string };
}

/** Starts the members. Throws an Error with the log of one that does not come up; none is left running then. */
export async function startEtcdMachines(options: PlayedMachinesOptions): Promise<PlayedMachines> {
  const { directory, names, tls } = options;
  const scheme = tls ? 'https' : 'http';
  const machines: Record<string, PlayedMachine> = {};
  for (const name of names) {
    const folder = join(directory, name);
    await mkdir(folder, { recursive: true });
    machines[name] = {
      endpoint: `${scheme}://${loopback}:${await freePort()}`,
      peerUrl: `${scheme}://${loopback}:${await freePort()}`,
      dataDirectory: join(folder, 'data'),
      start: ['/bin/sh', join(folder, 'start.sh')],
      stop: ['/bin/sh', join(folder, 'stop.sh')],
    };
  }
  for (const name of names) await writePrograms(name, machines, options);
  const stop = async (): Promise<void> => {
    await Promise.all(Object.values(machines).map(({ stop: command }) => outputOf(command)));
  };
  try {
    // None of them serves before most of them are there.
    await Promise.all(Object.values(machines).map(({ start }) => outputOf(start)));
    await Promise.all(names.map((name) => untilReady(join(directory, name, 'log'), name)));
  } catch (error) {
    await stop();
    throw error;
  }
  return { machines, endpoints: Object.values(machines).map(({ endpoint }) => endpoint), stop };
}

/** What a program prints that ends by itself. Throws what execFile does where it fails, or takes too long. */
export async function outputOf([program = '', ...args]: readonly string[]): Promise<string> {
  return (await runFile(program, args, { timeout: commandTimeoutMs })).stdout;
}

async function untilReady(log: string, name: string): Promise<void> {
  const giveUpAtMs = performance.now() + readyTimeoutMs;
  for (;;) {
    const text = await readFile(log, 'utf8').catch(() => '');
    if (readyPattern.test(text)) return;
    if (performance.now() > giveUpAtMs)
      throw new Error(`etcd ${name} does not serve after ${readyTimeoutMs / 1000} s:\n${text.slice(-2000)}`);
    await wait(lookMs);
  }
}

/** Two programs of the shell, each of which may be called again. */
async function writePrograms(name: string, machines: Record<string, PlayedMachine>, options: PlayedMachinesOptions): Promise<void> {
  const { program, directory, tls } = options;
  const { endpoint, peerUrl, dataDirectory } = machines[name] as PlayedMachine;
  const folder = join(directory, name);
  const files = tls && [
    `trusted-ca-file=${tls.certificateAuthority}`,
    `cert-file=${tls.certificate}`,
    `key-file=${tls.key}`,
    'client-cert-auth',
  ];
  const flags = [
    ...[`--name=${name}`, `--data-dir=${dataDirectory}`, '--initial-cluster-token=lab'],
    `--initial-cluster=${Object.entries(machines)
      .map(([one, machine]) => `${one}=${machine.peerUrl}`)
      .join(',')}`,
    ...[`--listen-client-urls=${endpoint}`, `--advertise-client-urls=${endpoint}`],
    ...[`--listen-peer-urls=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
    ...(files ? ['', 'peer-'].flatMap((prefix) => files.map((flag) => `--${prefix}${flag}`)) : []),
  ];
  const number = join(folder, 'pid');
  // A process that has ended stays in the list until somebody has asked for its end.
  const runs = 'runs() { [ -n "$1" ] && [ -e "/proc/$1" ] && ! grep -q "^State:.Z" "/proc/$1/status"; }';
  const start = [
    runs,
    `runs "$(cat '${number}' 2>/dev/null)" && exit 0`,
    `: > '${join(folder, 'log')}'`,
    `'${program}' ${flags.map((flag) => `'${flag}'`).join(' ')} >> '${join(folder, 'log')}' 2>&1 &`,
    `member=$!; echo "$member" > '${number}'`,
    `(while runs ${process.pid} && runs "$member"; do sleep 1; done; kill "$member") > /dev/null 2>&1 &`,
  ];
  const stop = [
    runs,
    `member=$(cat '${number}' 2>/dev/null)`,
    'kill "$member" 2>/dev/null',
    'while runs "$member"; do sleep 0.1; done',
    `rm -f '${number}'`,
  ];
  await rm(number, { force: true });
  await writeFile(join(folder, 'start.sh'), `${start.join('\n')}\n`);
  await writeFile(join(folder, 'stop.sh'), `${stop.join('\n')}\n`);
}

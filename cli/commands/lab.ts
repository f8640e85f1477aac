import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import {
  claimInstance,
  endInstance,
  forgetInstance,
  identityOf,
  isLabName,
  isServing,
  LabTakenError,
  listInstances,
  readInstance,
  updateInstance,
  type LabInstance,
} from '../../lab/instances.ts';
import { findKubernetes } from '../../lab/kubernetes-binaries.ts';
import { startControlPlane, type ControlPlane } from '../../lab/kubernetes.ts';
import { createAll, nodeManifests, untilSettled } from '../../lab/workloads.ts';
import { withCommonOptions, type CommandContext, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatDuration } from '../format.ts';
import { programCommand } from '../program-files.ts';
import type { Terminal } from '../terminal.ts';

const nameDefault = 'kubernetes';
const nodesMax = 1_000;
const detachedPauseMs = 100;
/** The first start may build everything. */
const detachedTimeoutMs = 60 * 60_000;

interface UpOptions extends CommonOptions {
  name: string;
  nodes: string;
  detach?: boolean;
}

export const registerLab: RegisterCommand = (program, context) => {
  const lab = program
    .command('lab')
    .addHelpText('after', '\nExample:\n  holdpoint lab up kubernetes --nodes 6 --detach\n  holdpoint lab down');
  registerLabUp(lab, context);
  registerLabDown(lab, context);
  registerLabList(lab, context);
};

function registerLabUp(lab: Command, context: CommandContext): void {
  const kubernetes = lab
    .command('up')
    .summary('start a part and leave it running until Ctrl-C or `holdpoint lab down`')
    .command('kubernetes')
    .summary('etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and kwok, which plays the nodes')
    .option('--name <name>', 'what to call it; several can run side by side', nameDefault)
    .option('--nodes <count>', 'nodes to make, over three zones', '0')
    .option('-d, --detach', 'return when it serves and leave it running')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  holdpoint lab up kubernetes --nodes 6',
        '  holdpoint lab up kubernetes --detach --name second',
        '',
        'The programs are downloaded, or built with Go where that does not work: about 7 minutes, once.',
        'Everything listens on 127.0.0.1 only; keys, token and data live in a private directory and go with it.',
      ].join('\n'),
    );
  withCommonOptions(kubernetes).action(async (options: UpOptions) => {
    const terminal = context.terminal(options);
    const { name, nodes } = readUpOptions(options);
    if (options.detach === true) await detach(terminal, name, nodes);
    else await keep(terminal, context, name, nodes);
  });
}

function readUpOptions({ name, nodes }: UpOptions): { name: string; nodes: number } {
  if (!isLabName(name)) throw new UsageError(`--name takes up to 40 lower-case letters, digits and hyphens, not "${name}".`);
  const count = Number(nodes);
  if (!Number.isInteger(count) || count < 0 || count > nodesMax) {
    throw new UsageError(`--nodes takes a number from 0 to ${nodesMax}, not "${nodes}".`);
  }
  return { name, nodes: count };
}

/** Starts the control plane in this process and stays until Ctrl-C, `lab down`, or the end of one of its programs. */
async function keep(terminal: Terminal, context: CommandContext, name: string, nodes: number): Promise<void> {
  const { env, signal } = terminal.surroundings;
  const report = (sentence: string): void => terminal.note(sentence);
  const claimed = await claimInstance(name, env).catch((error: unknown) => {
    if (!(error instanceof LabTakenError)) throw error;
    throw new UsageError(error.message, `Stop it with \`holdpoint lab down ${name}\`, or start another one with --name.`);
  });
  let plane: ControlPlane | undefined;
  try {
    const binaries = await findKubernetes(report, { env, signal });
    const begin = performance.now();
    plane = await startControlPlane({ binaries, signal });
    const written = await writeDown(claimed, plane, env);
    if (nodes > 0) {
      await createAll(plane.request, nodeManifests({ count: nodes }));
      await untilSettled(plane.request);
    }
    await updateInstance({ ...written, ready: true }, env);
    terminal.note(`Started the control plane (${formatDuration(performance.now() - begin)}).`);
    show({ ...written, ready: true }, terminal);
    const broken = await Promise.race([plane.broken, aborted(signal)]);
    if (broken !== undefined) {
      terminal.noteBlock(broken);
      context.exit(exitCodes.error);
    }
  } catch (error) {
    // Ctrl-C in the middle of the start is no error.
    if (!signal.aborted) throw error;
  } finally {
    await plane?.stop();
    await forgetInstance(name, env);
    terminal.note('Stopped.');
  }
}

async function writeDown(claimed: LabInstance, plane: ControlPlane, env: Terminal['surroundings']['env']): Promise<LabInstance> {
  const { directory, kubeconfig, server } = plane;
  const processes: LabInstance['processes'][number][] = [];
  for (const { name, pid } of plane.processes) {
    const identity = await identityOf(pid);
    if (identity) processes.push({ name, ...identity });
  }
  const instance = { ...claimed, processes, directory, kubeconfig, server };
  await updateInstance(instance, env);
  return instance;
}

/** Has another process keep the lab and returns when it serves. Throws an Error with what that process said if it ends instead. */
async function detach(terminal: Terminal, name: string, nodes: number): Promise<void> {
  const { env, signal } = terminal.surroundings;
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-lab-start-'));
  try {
    const log = join(directory, 'log');
    const { command, args } = programCommand('cli/main');
    const file = openSync(log, 'w', 0o600);
    const words = ['lab', 'up', 'kubernetes', '--name', name, '--nodes', String(nodes)];
    const child = spawn(command, [...args, ...words], { detached: true, stdio: ['ignore', file, file], env });
    closeSync(file);
    child.unref();
    let end: number | string | undefined;
    child.once('error', (error) => (end = error.message));
    child.once('exit', (code, how) => (end = code ?? how ?? 'gone'));
    const instance = await untilServing({ name, pid: child.pid, terminal, log, hasEnded: () => end !== undefined });
    if (instance === undefined) {
      child.kill('SIGTERM');
      signal.throwIfAborted();
      const said = (await readFile(log, 'utf8')).replace(/^error: /m, '').trim();
      throw new Error(`The lab ${name} did not come up. ${said}`);
    }
    show(instance, terminal);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

interface Starting {
  name: string;
  pid: number | undefined;
  terminal: Terminal;
  log: string;
  hasEnded: () => boolean;
}

/** Passes on what the keeper says until the lab serves; undefined where it ended, we were interrupted, or it took too long. */
async function untilServing({ name, pid, terminal, log, hasEnded }: Starting): Promise<LabInstance | undefined> {
  const { env, signal } = terminal.surroundings;
  const giveUpAt = performance.now() + detachedTimeoutMs;
  let told = 0;
  while (performance.now() < giveUpAt && !signal.aborted) {
    const over = hasEnded();
    const instance = await readInstance(name, env);
    const serves = instance?.keeper.pid === pid && instance?.ready === true;
    const lines = (await readFile(log, 'utf8')).split('\n').slice(0, -1);
    for (const line of lines.slice(told)) if (/^(Downloading|Building|Still|Done|That|Started)/.test(line)) terminal.note(line);
    told = lines.length;
    if (serves) return instance;
    if (over) return undefined;
    await wait(detachedPauseMs);
  }
  return undefined;
}

function registerLabDown(lab: Command, context: CommandContext): void {
  const down = lab
    .command('down')
    .argument('[names...]', 'which labs to stop; the only one where left out')
    .summary('stop a lab, and clean up after one whose keeper was killed')
    .option('--all', 'stop every lab of this user')
    .addHelpText('after', '\nExamples:\n  holdpoint lab down\n  holdpoint lab down second\n  holdpoint lab down --all');
  withCommonOptions(down).action(async (names: string[], options: CommonOptions & { all?: boolean }) => {
    const terminal = context.terminal(options);
    const { env } = terminal.surroundings;
    const instances = chosen(await listInstances(env), names, options.all === true);
    for (const instance of instances) {
      await endInstance(instance, env);
      terminal.line(`Stopped ${instance.name}.`);
    }
    if (instances.length === 0) terminal.line('There is no lab to stop.');
    terminal.result({ stopped: instances.map(({ name }) => name) });
  });
}

function chosen(instances: LabInstance[], names: readonly string[], all: boolean): LabInstance[] {
  if (all) return instances;
  const known = instances.map(({ name }) => name);
  const unknown = names.filter((name) => !known.includes(name));
  const there = known.length === 0 ? 'There is none.' : `There are: ${known.join(', ')}.`;
  if (unknown.length > 0) throw new UsageError(`There is no lab called ${unknown.join(', ')}.`, there);
  if (names.length > 0) return instances.filter(({ name }) => names.includes(name));
  if (instances.length > 1) throw new UsageError('There are several labs; name those to stop, or give --all.', there);
  return instances;
}

function registerLabList(lab: Command, context: CommandContext): void {
  const list = lab.command('list').summary('show the labs of this user').addHelpText('after', '\nExample:\n  holdpoint lab list --json');
  withCommonOptions(list).action(async (options: CommonOptions) => {
    const terminal = context.terminal(options);
    const { env } = terminal.surroundings;
    const labs = await Promise.all(
      (await listInstances(env)).map(async (instance) => ({ ...summary(instance), serves: await isServing(instance) })),
    );
    for (const { name, serves, kubeconfig } of labs) {
      const state = serves ? `serves, KUBECONFIG=${kubeconfig}` : 'starting, or left by a keeper that was killed (`holdpoint lab down`)';
      terminal.line(`${name}  ${state}`);
    }
    if (labs.length === 0) terminal.line('There is no lab. Start one with `holdpoint lab up kubernetes`.');
    terminal.result({ labs });
  });
}

function summary({ name, kind, kubeconfig, server, keeper, processes }: LabInstance) {
  const parts = processes.map((process) => ({ name: process.name, pid: process.pid }));
  return { name, kind, kubeconfig: kubeconfig ?? null, server: server ?? null, keeper: keeper.pid, processes: parts };
}

function show(instance: LabInstance, terminal: Terminal): void {
  terminal.result(summary(instance));
  terminal.lines([
    '',
    terminal.colors.bold(`The lab ${instance.name} serves ${instance.server}.`),
    '',
    `  export KUBECONFIG=${instance.kubeconfig}`,
    '  kubectl get nodes',
    '',
    `  holdpoint lab down ${instance.name}`,
  ]);
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined));
  });
}

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { programCommand } from '../../cli/program-files.ts';

const runFile = promisify(execFile);
const drainTimeoutMs = 15 * 60_000;
const outputBytesMax = 16 * 1024 * 1024;

/** One way to empty nodes, as a command line or several that are started together. */
export interface Contender {
  name: 'kubectl' | 'kubectl, one per node' | 'Holdpoint';
  /** Resolves when every program has ended by itself. Throws where one fails or takes too long. */
  drain(nodes: readonly string[]): Promise<unknown>;
}

/** Where the programs are and what they get. */
export interface Surroundings {
  kubectl: string;
  /** For what the programs write. */
  directory: string;
  /** Leads through the counting proxy. */
  kubeconfig: string;
}

/** All that drain the same nodes, in the order of their columns. */
export function contenders({ kubectl, directory, kubeconfig }: Surroundings): Contender[] {
  const kubectlDrain = (nodes: readonly string[]): Promise<void> =>
    run(kubectl, [...kubectlFlags(directory, kubeconfig), 'drain', ...nodes, '--ignore-daemonsets', '--delete-emptydir-data']);
  const ours = programCommand('cli/main');
  const options = ['--kubeconfig', kubeconfig, '--nodes-at-once', '100%', '--yes', '--json'];
  return [
    { name: 'kubectl', drain: kubectlDrain },
    {
      name: 'kubectl, one per node',
      drain: (nodes) => Promise.all(nodes.map((node) => kubectlDrain([node]))),
    },
    {
      name: 'Holdpoint',
      drain: (nodes) => run(ours.command, [...ours.args, 'drain', ...nodes, ...options], { ...process.env, XDG_STATE_HOME: directory }),
    },
  ];
}

/** What kubectl finds out about the server once and keeps is kept, as on the machine of whoever uses it every day. */
export function kubectlFlags(directory: string, kubeconfig: string): string[] {
  return ['--kubeconfig', kubeconfig, '--cache-dir', join(directory, 'kubectl-cache')];
}

async function run(command: string, args: readonly string[], env = process.env): Promise<void> {
  await runFile(command, args, { env, timeout: drainTimeoutMs, maxBuffer: outputBytesMax });
}

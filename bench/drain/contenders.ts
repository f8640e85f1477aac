import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const runFile = promisify(execFile);
const drainTimeoutMs = 15 * 60_000;
const outputBytesMax = 16 * 1024 * 1024;

/** One way to empty nodes, as a command line or several that are started together. */
export interface Contender {
  name: 'kubectl' | 'kubectl, one per node' | 'Holdpoint';
  /** Resolves when every program has ended by itself, with what they printed. Throws where one fails or takes too long. */
  drain(nodes: readonly string[]): Promise<string>;
}

/** Where the programs are and what they get. */
export interface Surroundings {
  kubectl: string;
  /** Where the compiled program of ours is. */
  directory: string;
  /** Leads through the counting proxy. */
  kubeconfig: string;
}

/** All that drain the same nodes, in the order of their columns. */
export function contenders({ kubectl, directory, kubeconfig }: Surroundings): Contender[] {
  const kubectlDrain = (nodes: readonly string[]): Promise<string> =>
    run(kubectl, [...kubectlFlags(directory, kubeconfig), 'drain', ...nodes, '--ignore-daemonsets', '--delete-emptydir-data']);
  const program = join(directory, 'bench/drain/holdpoint-main.js');
  return [
    { name: 'kubectl', drain: kubectlDrain },
    {
      name: 'kubectl, one per node',
      drain: async (nodes) => (await Promise.all(nodes.map((node) => kubectlDrain([node])))).join('\n'),
    },
    { name: 'Holdpoint', drain: (nodes) => run(process.execPath, [program, '--kubeconfig', kubeconfig, ...nodes]) },
  ];
}

/** What kubectl finds out about the server once and keeps is kept, as on the machine of whoever uses it every day. */
export function kubectlFlags(directory: string, kubeconfig: string): string[] {
  return ['--kubeconfig', kubeconfig, '--cache-dir', join(directory, 'kubectl-cache')];
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await runFile(command, args, { timeout: drainTimeoutMs, maxBuffer: outputBytesMax });
  return stdout;
}

import { parseArgs } from 'node:util';
import { programCommand } from '../cli/program-files.ts';
import { exitCodes } from '../cli/exit-codes.ts';
import { clusterName, drainedGroup, drainedNodes } from './large/world.ts';
import { measureCommand } from './measure/command.ts';
import { rounded } from './measure/figures.ts';
import { machine } from './measure/machine.ts';
import { wholeNumber } from './measure/settings.ts';
import { startEnvironment } from './rotation/environment.ts';

const nodesDefault = 500;
const podsDefault = 10_000;
const timeoutMs = 5 * 60_000;
const sandboxMemoryMb = 8_000;
/** What is asked of a cluster of that size. */
const goals = { seconds: 30, peakMemoryMb: 512 };

/**
 * `npm run bench:check -- [--nodes 500] [--pods 10000] [--times 3] [--json]`: how long `holdpoint check` takes over a cluster of a
 * sandbox in a process of its own, EKS and all, and the most memory it has. Exit code 1 where a goal is not reached, or a part was not
 * checked.
 */
async function main(): Promise<number> {
  const { nodes, pods, times, json } = readSettings();
  const where = machine();
  const environment = await startEnvironment({
    program: 'bench/large/sandbox-main',
    args: [String(nodes), String(pods)],
    nodeArgs: [`--max-old-space-size=${sandboxMemoryMb}`],
    cluster: clusterName,
    nodegroup: drainedGroup,
    workloads: [],
  });
  try {
    const { command, args } = programCommand('cli/main');
    const words = [...args, 'check', `eks/eu-central-1/${clusterName}`, '--json'];
    const aws = { AWS_ENDPOINT_URL: environment.url, AWS_ACCESS_KEY_ID: 'sandbox', AWS_SECRET_ACCESS_KEY: 'sandbox' };
    const env = { ...process.env, ...aws };
    const measured: { seconds: number; peakMemoryMb: number; findings: number; notChecked: number }[] = [];
    for (let time = 0; time < times; time += 1) {
      const codes = [exitCodes.done, exitCodes.warningsFound, exitCodes.errorsFound];
      const { stdout, seconds, peakMemoryMb } = await measureCommand(command, words, timeoutMs, { env, codes });
      const { findings, notChecked } = JSON.parse(stdout) as { findings: unknown[]; notChecked: unknown[] };
      measured.push({ seconds: rounded(seconds), peakMemoryMb, findings: findings.length, notChecked: notChecked.length });
    }
    const worst = (figure: 'seconds' | 'peakMemoryMb'): number => Math.max(...measured.map((one) => one[figure]));
    const [seconds, peakMemoryMb] = [worst('seconds'), worst('peakMemoryMb')];
    const figures = { nodes, pods, seconds, peakMemoryMb, measured, goals, machine: where };
    console.log(json ? JSON.stringify(figures) : JSON.stringify(figures, null, 2));
    const isWhole = measured.every(({ notChecked, findings }) => notChecked === 0 && findings > 0);
    return isWhole && seconds <= goals.seconds && peakMemoryMb <= goals.peakMemoryMb ? 0 : 1;
  } finally {
    await environment.stop();
  }
}

function readSettings(): { nodes: number; pods: number; times: number; json: boolean } {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: String(nodesDefault) },
      pods: { type: 'string', default: String(podsDefault) },
      times: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
    },
  });
  return {
    nodes: wholeNumber('nodes', values.nodes, 2 * drainedNodes, 5_000),
    pods: wholeNumber('pods', values.pods, 1_000, 150_000),
    times: wholeNumber('times', values.times, 1, 20),
    json: values.json,
  };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}

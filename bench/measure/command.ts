import { spawn } from 'node:child_process';
import { peakMemoryMb } from './memory.ts';

const lookPauseMs = 20;

/** What a program has printed, how long it took, and the most memory that it had. */
export interface MeasuredCommand {
  stdout: string;
  seconds: number;
  peakMemoryMb: number;
}

/** What a program is started with, and the exit codes with which it has not failed. */
interface MeasureOptions {
  env?: NodeJS.ProcessEnv;
  codes?: readonly number[];
}

/** Runs a program to its end. Throws with what it has said where it fails or takes too long. */
export async function measureCommand(
  command: string,
  args: readonly string[],
  timeoutMs: number,
  { env = process.env, codes = [0] }: MeasureOptions = {},
): Promise<MeasuredCommand> {
  const begunAt = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs, env });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  let peak = 0;
  const looking = setInterval(() => {
    if (child.pid !== undefined) void peakMemoryMb(child.pid).then((mb) => (peak = Math.max(peak, mb || 0)));
  }, lookPauseMs);
  try {
    const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
    if (code === null || !codes.includes(code))
      throw new Error(`${args.slice(0, 2).join(' ')} … ended with ${String(code)}: ${said.stderr}${said.stdout.slice(0, 5_000)}`);
    return { stdout: said.stdout, seconds: (performance.now() - begunAt) / 1000, peakMemoryMb: peak };
  } finally {
    clearInterval(looking);
  }
}

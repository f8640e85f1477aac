import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { programCommand } from '../../cli/program-files.ts';

/** Starts one of the programs as a process, and waits until it has ended. */
export async function startProgram(
  path: 'cli/main' | 'worker/main',
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { command, args } = programCommand(path);
  const child = execFile(command, [...args, ...words], { env: { ...process.env, ...env } });
  const said = { stdout: '', stderr: '' };
  child.stdout?.on('data', (text: string) => (said.stdout += text));
  child.stderr?.on('data', (text: string) => (said.stderr += text));
  const [code] = (await once(child, 'close')) as [number];
  return { code, ...said };
}

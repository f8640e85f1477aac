import { fileURLToPath } from 'node:url';

/** A program of ours as a command line: from the sources through tsx, from a build by Node alone. */
export function programCommand(path: 'cli/main' | 'worker/main' | 'sandbox/main'): { command: string; args: string[] } {
  const fromSources = import.meta.url.endsWith('.ts');
  const file = fileURLToPath(new URL(`../${path}.${fromSources ? 'ts' : 'js'}`, import.meta.url));
  return { command: process.execPath, args: fromSources ? ['--import', import.meta.resolve('tsx'), file] : [file] };
}

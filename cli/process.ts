import { runCli, type Program } from './program.ts';

/** Runs a program as the process that it is. The first Ctrl-C ends things in good order, the second at once. */
export async function runAsProcess(program: Program): Promise<void> {
  // Of use to whoever writes programs, and we see them in our tests; whoever drains a node can do nothing about them.
  process.noDeprecation = true;
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (interrupted.signal.aborted) process.exit(130);
      interrupted.abort();
    });
  }
  const { stdin, stdout, stderr, env } = process;
  // Whoever reads has had enough (`holdpoint … | head`): that is no error, and what is under way ends in good order.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    interrupted.abort();
  });
  const surroundings = { stdin, stdout, stderr, env, now: () => new Date(), signal: interrupted.signal };
  process.exitCode = await runCli(process.argv.slice(2), surroundings, program);
}

#!/usr/bin/env node
import { runCli } from './program.ts';

const interrupted = new AbortController();
// The first Ctrl-C ends things in good order, the second at once.
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort();
  });
}
const { stdin, stdout, stderr, env } = process;
const surroundings = { stdin, stdout, stderr, env, now: () => new Date(), signal: interrupted.signal };
process.exitCode = await runCli(process.argv.slice(2), surroundings);

import { PassThrough, Writable } from 'node:stream';
import { runCli } from '../../cli/program.ts';

/** `holdpoint …` as somebody types it, in this process. */
export async function runCommand(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const said = { stdout: '', stderr: '' };
  const into = (name: keyof typeof said): Writable =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        said[name] += chunk.toString();
        done();
      },
    });
  const surroundings = { stdin: new PassThrough(), stdout: into('stdout'), stderr: into('stderr') };
  const { signal } = new AbortController();
  const code = await runCli(words, { ...surroundings, env: process.env, now: () => new Date(), signal });
  return { code, ...said };
}

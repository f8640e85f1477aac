import { PassThrough, Writable, type Readable } from 'node:stream';
import { runCli } from '../../cli/program.ts';

/** What a command has come to. */
export interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

/** What a command is called with, where it matters. */
interface Call {
  env?: NodeJS.ProcessEnv;
  /** Somebody who says nothing if left out. */
  stdin?: Readable;
  signal?: AbortSignal;
  program?: Parameters<typeof runCli>[2];
}

/** `holdpoint …` as somebody types it, in this process. */
export function runCommand(...words: string[]): Promise<Said> {
  return runCommandWith({}, ...words);
}

/** The same in another environment, or for another program. */
export async function runCommandWith(
  { env = process.env, stdin = new PassThrough(), signal = new AbortController().signal, program }: Call,
  ...words: string[]
): Promise<Said> {
  const said = { stdout: '', stderr: '' };
  const into = (name: keyof typeof said): Writable =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        said[name] += chunk.toString();
        done();
      },
    });
  const surroundings = { stdin, stdout: into('stdout'), stderr: into('stderr'), env, now: () => new Date(), signal };
  return { code: await runCli(words, surroundings, program), ...said };
}

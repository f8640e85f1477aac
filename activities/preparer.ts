import { Worker } from 'node:worker_threads';
import { HoldpointError, type ErrorCode, type ErrorDetails } from '../domain/errors.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import type { NestedPrepared, NestedRequest, PreparationRequest, Prepared } from './prepare.ts';

/** How long one document, or the inputs of one, may keep the thread busy. */
const answerTimeoutMs = 5_000;
/** How long the thread may take to start. */
const startTimeoutMs = 60_000;
/** How much memory a thread may use, in MiB. */
const memoryMaxMb = 256;
/** Questions that may wait for a thread. */
const waitingMax = 50;
/** After so long without a question a thread ends, and gives its memory back. */
const idleMs = 30_000;

/** What can be asked of the thread: the functions of prepare.ts by their names, with what they take. */
export type Question =
  { ask: 'prepareRunbook'; request: PreparationRequest; configuration: Configuration } | { ask: 'prepareNested'; request: NestedRequest };

/** What a thread says: once that it has started, then one answer to each question. An error of ours crosses as what it is made of. */
export type Answer =
  { started: true } | { value: unknown } | { refused: { code: ErrorCode; details: ErrorDetails; remedy: string } } | { failed: Error };

/** Checks documents and inputs in a thread that is ended where it takes too long or too much memory: they are made by anybody. */
export class Preparer {
  private thread: Promise<Worker> | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;
  private idle: NodeJS.Timeout | undefined;

  /** Does what prepareRunbook does, and throws what it throws; also `check-too-long` and `checks-waiting`. */
  prepareRunbook(request: PreparationRequest, configuration: Configuration): Promise<Prepared> {
    return this.ask({ ask: 'prepareRunbook', request, configuration }) as Promise<Prepared>;
  }

  /** Does what prepareNested does, and throws what it throws; also `check-too-long` and `checks-waiting`. */
  prepareNested({ runbook: { name, inputs: schema, target: template, worksOn }, inputs, target }: NestedRequest): Promise<NestedPrepared> {
    const runbook = { name, inputs: schema, target: template, worksOn };
    return this.ask({ ask: 'prepareNested', request: { runbook, inputs, target } }) as Promise<NestedPrepared>;
  }

  /** One question after another: a thread that answers several could not be ended for one of them. */
  private async ask(question: Question): Promise<unknown> {
    if (this.waiting >= waitingMax) throw new HoldpointError('checks-waiting', { waiting: this.waiting });
    this.waiting += 1;
    clearTimeout(this.idle);
    const answer = this.last.then(() => this.answerTo(question));
    this.last = answer.catch(() => undefined);
    try {
      return await answer;
    } finally {
      this.waiting -= 1;
      if (this.waiting === 0) this.idle = setTimeout(() => void this.end(), idleMs).unref();
    }
  }

  private async answerTo(question: Question): Promise<unknown> {
    const thread = await (this.thread ??= startThread().catch((error: unknown) => this.forget(error)));
    thread.postMessage(question);
    const answer = await nextAnswer(thread, answerTimeoutMs);
    if ('value' in answer) return answer.value;
    if ('refused' in answer) {
      const { code, details, remedy } = answer.refused;
      throw new HoldpointError(code, details, { remedy });
    }
    await this.end();
    if ('failed' in answer) throw answer.failed;
    const seconds = answerTimeoutMs / 1000;
    throw new HoldpointError('check-too-long', { limits: `${seconds} s and ${memoryMaxMb} MiB` });
  }

  private forget(error: unknown): never {
    this.thread = undefined;
    throw error;
  }

  private async end(): Promise<void> {
    const { thread } = this;
    this.thread = undefined;
    await (await thread)?.terminate();
  }
}

async function startThread(): Promise<Worker> {
  const options = { resourceLimits: { maxOldGenerationSizeMb: memoryMaxMb }, execArgv: [] };
  const isBuilt = !import.meta.url.endsWith('.ts');
  const thread = isBuilt
    ? new Worker(new URL('../activities/prepare-thread.js', import.meta.url), options)
    : new Worker(compiling(new URL('../activities/prepare-thread.ts', import.meta.url).href), { ...options, eval: true });
  // Whoever waits for an answer keeps the process alive; a thread that waits for a question does not.
  thread.unref();
  const answer = await nextAnswer(thread, startTimeoutMs);
  if ('started' in answer) return thread;
  await thread.terminate();
  throw 'failed' in answer ? answer.failed : new Error('the thread that checks documents has not started');
}

/** What a thread does that is started from the sources: only this has the compiler in it that everything else was loaded with. */
function compiling(source: string): string {
  return `
    const compiler = require('node:module').createRequire('${source}').resolve('tsx/esm/api').replace(/cjs$/, 'mjs');
    import(require('node:url').pathToFileURL(compiler)).then(({ tsImport }) => tsImport('${source}', '${source}'));`;
}

/** What the thread says next; that it is over where it has ended, for want of memory, or says nothing for so long. */
function nextAnswer(thread: Worker, timeoutMs: number): Promise<Answer | { over: true }> {
  return new Promise((resolve) => {
    const settle = (answer: Answer | { over: true }): void => {
      clearTimeout(timer);
      thread.off('message', settle).off('exit', over).off('error', fail);
      resolve(answer);
    };
    const over = (): void => settle({ over: true });
    const fail = (error: Error & { code?: string }): void =>
      settle(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? { over: true } : { failed: error });
    const timer = setTimeout(over, timeoutMs);
    thread.on('message', settle).on('exit', over).on('error', fail);
  });
}

import { parentPort } from 'node:worker_threads';
import { HoldpointError } from '../domain/errors.ts';
import { prepareNested, prepareRunbook } from './prepare.ts';
import type { Answer, Question } from './preparer.ts';

// The thread of a Preparer: answers one question after another, until it is ended.
parentPort?.on('message', (question: Question) => parentPort?.postMessage(answerTo(question)));
parentPort?.postMessage({ started: true } satisfies Answer);

function answerTo(question: Question): Answer {
  try {
    return {
      value: question.ask === 'prepareRunbook' ? prepareRunbook(question.request, question.configuration) : prepareNested(question.request),
    };
  } catch (error) {
    if (!(error instanceof HoldpointError)) return { failed: error as Error };
    const { code, details, remedy } = error;
    return { refused: { code, details, remedy } };
  }
}

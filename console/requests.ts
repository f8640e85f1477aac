import type { Problem } from '../api/schema/answers.ts';

const apiPath = '/api/v1';

/** What the API has refused, or that it could not be reached, with what to do. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** Reads something of the API. Throws ProblemError. */
export function read<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
  return ask<Answer>(path, { signal });
}

/** Sends something to the API. Throws ProblemError. */
export function send<Answer>(path: string, body: unknown): Promise<Answer> {
  return ask<Answer>(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

async function ask<Answer>(path: string, init: RequestInit): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(`${apiPath}${path}`, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ProblemError(
      problem('server-unreachable', 'The server of Holdpoint cannot be reached.', 'Look at your network, and load again.'),
    );
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok && answer !== undefined) return answer as Answer;
  const isTold = typeof answer === 'object' && answer !== null && 'code' in answer && 'detail' in answer;
  throw new ProblemError(
    isTold ? (answer as Problem) : problem('unexpected', `The server has answered with the status ${response.status}.`, 'Load again.'),
  );
}

function problem(code: string, detail: string, remedy: string): Problem {
  return { type: `/errors#${code}`, title: code, status: 0, detail, code, remedy };
}

/** The address that signs somebody in and brings them back to where they were. */
export function signInAddress(): string {
  return `${apiPath}/auth/login?returnTo=${encodeURIComponent(location.pathname + location.search)}`;
}

/** The address of the stream of a run. */
export function streamOf(run: string): string {
  return `${apiPath}/runs/${encodeURIComponent(run)}/events`;
}
